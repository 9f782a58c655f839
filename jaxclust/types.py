"""The contract between networks, algorithms, methods and the engine."""

import dataclasses
import difflib
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import jax

from jaxclust.errors import UsageError

Key = jax.Array
"""A typed PRNG key, ``jax.random.key(seed)``."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A value as JSON has it."""

Order = Literal["shuffled", "sequential"]
Shape = tuple[int, int, int]
"""Height, width and channels of an image."""

PRETRAINING = "pretraining."
"""Prefix of a pretraining's settings among those of a method."""


class Variables(NamedTuple):
    """A network's arrays, as plain nested dicts.

    Attributes:
      params: the trainable arrays.
      stats: arrays that change without a gradient (batch-norm statistics); may be empty.
    """

    params: dict[str, Any]
    stats: dict[str, Any]


class Network(NamedTuple):
    """A network as pure functions; any library may stand behind them.

    Images are uint8 in 0..255 or float in [0, 1], shape (n, h, w, c); features are float32, (n, d).
    Network factories are cached: equal arguments give the identical, hashable network, so that
    jitted code is compiled once.

    Attributes:
      init: ``init(key) -> Variables``.
      encode: ``encode(variables, images, train) -> (features, stats)``.
      reconstruct: ``reconstruct(variables, images, train) -> (reconstruction, features, stats)``.
        The reconstruction is float32 and has the images' shape. None where there is no decoder.
      activations: ``activations(variables, images) -> {name: array}``, the inner maps; optional.
    """

    init: Callable[[Key], Variables]
    encode: Callable[[Variables, jax.Array, bool], tuple[jax.Array, dict]]
    reconstruct: (
        Callable[[Variables, jax.Array, bool], tuple[jax.Array, jax.Array, dict]] | None
    ) = None
    activations: Callable[[Variables, jax.Array], dict[str, jax.Array]] | None = None


NetworkFactory = Callable[..., Network]
"""``factory(shape, embedding, **settings) -> Network`` for images of shape (h, w, c)."""


class Schedule(NamedTuple):
    """How many steps a run takes and which rows each of them sees; known before compilation.

    Attributes:
      batch: images per step; where that is more than n, images are used more than once.
      steps_per_window: steps between two calls of ``refresh``.
      max_windows: windows after which a run ends at the latest; 0 for a method whose ``init``
        is the whole run.
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
      probability: soft assignment to that cluster as the method defines it; float32, (n,), in
        [0, 1].
      distance: Euclidean distance in the embedding to the cluster's centroid; float32, (n,).
    """

    cluster: jax.Array
    probability: jax.Array
    distance: jax.Array


class Algorithm(NamedTuple):
    """An algorithm as functions and facts about them.

    A window is ``steps_per_window`` calls of ``step`` and then one of ``refresh``; ``init`` leaves
    the state ready for the first step. States and infos are NamedTuples of arrays of fixed shape
    and dtype. No function prints, jits, reads files or sees a true label.

    Attributes:
      Config: frozen, hashable dataclass of all settings.
      schedule: ``schedule(config, n) -> Schedule``.
      init: ``init(config, network, key, variables, images) -> state``; ``variables`` may be None.
      step: ``step(config, network, key, state, batch, rows) -> (state, info)``; ``rows`` are the
        batch's places in the data set. None where there are no windows.
      embed: ``embed(config, network, state, images) -> features``, float32 (n, d).
      predict: ``predict(config, network, state, images) -> Prediction``; None for a pretraining.
      refresh: ``refresh(config, network, key, state, images) -> (state, stop, info)`` after each
        window; None where nothing happens there.
      finish: ``finish(config, network, key, state, images) -> {name: labels}`` once at the end;
        None where ``predict`` gives the labels.
      name: the module's name.
      labelings: names of the labelings of a run, the one that counts first; "" where there is one.
      deterministic: whether it draws no random number, so that every seed gives the same.
      streams: whether its state does not grow with the images, which may then come in blocks.
      fixed: settings that make it what it is and that nobody may change.
      network_settings: ``network_settings(config) -> {name: value}``, what the network's factory
        takes from the config beside shape and embedding.
    """

    Config: type
    schedule: Callable[[Any, int], Schedule]
    init: Callable[..., Any]
    step: Callable[..., tuple[Any, Any]] | None
    embed: Callable[..., jax.Array]
    predict: Callable[..., Prediction] | None = None
    refresh: Callable[..., tuple[Any, jax.Array, Any]] | None = None
    finish: Callable[..., dict[str, jax.Array]] | None = None
    name: str = ""
    labelings: tuple[str, ...] = ("",)
    deterministic: bool = False
    streams: bool = False
    fixed: tuple[str, ...] = ()
    network_settings: Callable[[Any], dict[str, Any]] | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """An algorithm with its network, its settings and its pretraining: what people name.

    Attributes:
      name: what people type.
      about: one line for a list.
      reference: authors and year of the paper.
      algorithm: what clusters.
      network: factory of the network.
      config: the algorithm's settings.
      pretrainer: the algorithm that pretrains the network; None where nothing is pretrained.
      pretraining: the settings of ``pretrainer``, or None.
      presets: by name, the settings that differ from the paper's, as "name" or
        "pretraining.name".
      needs_weights: whether every preset but "random" needs a file of pretrained weights.
      clusters_given: whether somebody set the number of clusters.
    """

    name: str
    about: str
    reference: str
    algorithm: Algorithm
    network: NetworkFactory
    config: Any
    pretrainer: Algorithm | None = None
    pretraining: Any = None
    presets: Mapping[str, Mapping[str, Any]] = dataclasses.field(
        default_factory=lambda: {"paper": {}, "quick": {}}
    )
    needs_weights: bool = False
    clusters_given: bool = False

    @property
    def clusters(self) -> int:
        """Number of clusters k."""
        return self.config.clusters

    def replace(self, **changes: Any) -> "Method":
        """The method with other parts.

        Args:
          **changes: fields of ``Method`` (such as ``name``, ``network``), or functions and facts
            of its ``Algorithm`` (such as ``step``, ``refresh``).

        Raises:
          UsageError: a name is neither.
        """
        own = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            if name not in own and name not in Algorithm._fields:
                known = ", ".join([*sorted(own), *Algorithm._fields])
                raise UsageError(f"replace: must be of {known}, got {name!r}")
        functions = {name: value for name, value in changes.items() if name not in own}
        fields = {name: value for name, value in changes.items() if name in own}
        algorithm = fields.pop("algorithm", self.algorithm)._replace(**functions)
        return dataclasses.replace(self, algorithm=algorithm, **fields)

    def with_settings(self, changes: Mapping[str, Any]) -> "Method":
        """The method with other settings.

        Args:
          changes: values by "name", or "pretraining.name" for those of the pretraining.

        Raises:
          UsageError: the method has no such setting, the value is of another type or out of its
            range, or the setting is one of ``Algorithm.fixed``.
        """
        own: dict[str, Any] = {}
        of_pretraining: dict[str, Any] = {}
        for name, value in changes.items():
            bare = name.removeprefix(PRETRAINING)
            target = self.config if bare == name else self.pretraining
            fields = {} if target is None else {f.name: f for f in dataclasses.fields(target)}
            if bare not in fields:
                raise UsageError(self._unknown(name))
            group = own if bare == name else of_pretraining
            group[bare] = checked_setting(name, fields[bare].type, value)
        for name in self.algorithm.fixed:
            usual = getattr(self.config, name)
            if own.get(name, usual) != usual:
                raise UsageError(f"{name}: must stay {usual} for {self.name}, got {own[name]}")
        config = dataclasses.replace(self.config, **own)
        pretraining = self.pretraining
        if of_pretraining:
            pretraining = dataclasses.replace(pretraining, **of_pretraining)
        given = self.clusters_given or "clusters" in changes
        return dataclasses.replace(
            self, config=config, pretraining=pretraining, clusters_given=given
        )

    def settings(self) -> list[str]:
        """Names of all settings, those of the pretraining as "pretraining.name"."""
        names = [field.name for field in dataclasses.fields(self.config)]
        if self.pretraining is not None:
            names += [PRETRAINING + field.name for field in dataclasses.fields(self.pretraining)]
        return [name for name in names if name not in self.algorithm.fixed]

    def build(self, shape: tuple[int, ...]) -> Network:
        """The network for images of shape (h, w, c); its embedding is as wide as there are clusters.

        Raises:
          UsageError: the network cannot take images of this shape.
        """
        settings = self.algorithm.network_settings
        more = {} if settings is None else settings(self.config)
        return self.network(tuple(shape), self.clusters, **more)

    def phases(self) -> list[tuple[str, Algorithm, Any]]:
        """Name, algorithm and settings of each training, in their order."""
        cluster = ("cluster", self.algorithm, self.config)
        if self.pretrainer is None or self.pretraining is None:
            return [cluster]
        return [("pretrain", self.pretrainer, self.pretraining), cluster]

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.settings(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"settings: {self.name} has {', '.join(self.settings())}, got {name!r}{hint}"


def checked_setting(name: str, kind: Any, value: Any) -> Any:
    """A setting's value in the type of its field.

    Args:
      name: the setting's name, for the message.
      kind: the field's type; int, float and bool are checked here, the ranges of all by their
        ``Config``.
      value: what was given. Integers are taken for floats, NumPy's scalars for Python's.

    Raises:
      UsageError: the value is of another type.
    """
    item = getattr(value, "item", None)
    if item is not None and getattr(value, "ndim", None) == 0:
        value = item()
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    numeric = {bool, int, float} & set(kinds)
    if not numeric or (type(None) in kinds and value is None):
        return value
    if type(value) in numeric:
        return value
    if float in numeric and type(value) is int:
        return float(value)
    wanted = " or ".join(sorted(one.__name__ for one in numeric))
    raise UsageError(f"{name}: must be {wanted}, got {value!r}")


def network_name(factory: NetworkFactory) -> str:
    """A factory's name, such as "cae", with the arguments of a ``functools.partial``."""
    function = getattr(factory, "func", None)
    if function is None:
        return getattr(factory, "__name__", type(factory).__name__)
    given = [repr(one) for one in factory.args]
    given += [f"{name}={value!r}" for name, value in factory.keywords.items()]
    return f"{network_name(function)}({', '.join(given)})"
