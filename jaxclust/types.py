"""The contract between networks, algorithms and the driver."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import jax

Key = jax.Array
"""A typed PRNG key, ``jax.random.key(seed)``."""

Order = Literal["shuffled", "sequential"]


class Variables(NamedTuple):
    """A network's arrays, as plain nested dicts.

    Attributes:
      params: trainable arrays.
      stats: arrays that change without a gradient (batch-norm statistics); may be empty.
    """

    params: dict[str, Any]
    stats: dict[str, Any]


class Network(NamedTuple):
    """A network as pure functions; any library may stand behind them.

    Images are uint8 in 0..255 or float in [0, 1], shape (n, h, w, c); features are float32, (n, d).
    Network factories are cached, so that equal arguments give the identical (hashable) network
    and jitted code is compiled once.

    Attributes:
      init: ``init(key) -> Variables``.
      encode: ``encode(variables, images, train) -> (features, stats)``.
      reconstruct: ``reconstruct(variables, images, train) -> (reconstruction, features, stats)``,
        the reconstruction float32 of the images' shape, or None where there is no decoder.
      activations: ``activations(variables, images) -> {name: array}``, inner maps, optional.
    """

    init: Callable[[Key], Variables]
    encode: Callable[[Variables, jax.Array, bool], tuple[jax.Array, dict]]
    reconstruct: (
        Callable[[Variables, jax.Array, bool], tuple[jax.Array, jax.Array, dict]] | None
    ) = None
    activations: Callable[[Variables, jax.Array], dict[str, jax.Array]] | None = None


class Schedule(NamedTuple):
    """How many steps, of which rows; static, from the config and the number of images.

    Attributes:
      batch: images per step; where that is more than n, images recur.
      steps_per_window: steps between two calls of ``refresh``.
      max_windows: windows after which a run ends, at the latest; 0 for a method that is its ``init``.
      order: "shuffled" draws a new permutation for each window and starts at its head;
        "sequential" runs through the images in their order, across windows.
    """

    batch: int
    steps_per_window: int
    max_windows: int
    order: Order


class Prediction(NamedTuple):
    """Clusters of images.

    Attributes:
      cluster: int32, (n,), in 0..k-1.
      probability: that of the cluster, as the method assigns softly; float32, (n,), in [0, 1].
      distance: Euclidean, in the embedding, to the cluster's centroid; float32, (n,).
    """

    cluster: jax.Array
    probability: jax.Array
    distance: jax.Array


class Algorithm(Protocol):
    """What a module in ``jaxclust.algorithms`` offers.

    ``Config`` is a frozen dataclass; a state and the infos are NamedTuples of arrays of fixed shape
    and dtype. A window is ``steps_per_window`` calls of ``step``, then one of ``refresh``: ``init``
    leaves the state ready for the first step. ``step`` is None where there are no windows.
    No function prints, jits, reads files or sees a true label.

    Optional: ``refresh(config, network, key, state, images) -> (state, stop, info)``, absent or None where
    nothing happens between windows; ``finish(config, network, key, state, images) -> {name: labels}``, the run's labels
    where ``predict`` does not give them, named as in the module's ``LABELINGS`` ("" where there is one);
    ``pretraining``, an algorithm that takes ``jaxclust.pretrain``'s place and its Config;
    ``network_settings(config) -> dict``, what the network's factory takes of the config.
    """

    Config: type

    def schedule(self, config: Any, n: int) -> Schedule: ...

    def init(
        self,
        config: Any,
        network: Network,
        key: Key,
        variables: Variables | None,
        images: jax.Array,
    ) -> Any: ...

    def step(
        self, config: Any, network: Network, key: Key, state: Any, batch: jax.Array, rows: jax.Array
    ) -> tuple[Any, Any]: ...

    def embed(self, config: Any, network: Network, state: Any, images: jax.Array) -> jax.Array: ...

    def predict(
        self, config: Any, network: Network, state: Any, images: jax.Array
    ) -> Prediction: ...
