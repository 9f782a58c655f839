"""The contract between networks, algorithms, methods and the engine."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import jax
import numpy as np

from jaxclust.errors import UsageError, did_you_mean

Key = jax.Array
"""A typed PRNG key, such as ``jax.random.key(seed)``."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A value that JSON can hold."""

Arrays = dict[str, Union[jax.Array, "Arrays"]]
"""Arrays by name, in nested dicts."""

Params = dict[str, Any]
"""A network's arrays, as nested dicts whose names the network alone knows."""

Order = Literal["shuffled", "sequential"]
"""How images come to the steps; see ``Schedule``."""
Shape = tuple[int, int, int]
"""Height, width and channels of an image."""

NEW: Mapping[str, bool] = {"new": True}
"""Metadata of a setting that version 0.1 did not have.

At its dataclass's default such a setting changes nothing, and files leave it out there, so that
runs of both versions have the same settings where they do the same.
"""

KINDS: Mapping[str, str] = {
    "deep": "clusters and a network, trained together",
    "features": "k-means on pixels, or on the features of a network",
    "linkage": "linkage of pixels",
    "spectral": "eigenvectors of a graph of pixels",
    "factors": "parts that pixels are sums of",
    "ensemble": "what many clusterings agree on",
}
"""What a kind of method does, by its name, in the order of lists."""

PRETRAINING = "pretraining."
"""Prefix that the settings of a pretraining have among the settings of a method."""


class Variables(NamedTuple):
    """A network's arrays, as plain nested dicts.

    Attributes:
      params: the arrays that are trained.
      stats: arrays that change without a gradient, such as batch-norm statistics; may be empty.
    """

    params: Params
    stats: Params


class Network(NamedTuple):
    """A network as pure functions, which may be written with any library.

    Images are uint8 in 0..255 or float in [0, 1], (n, h, w, c); features are float32, (n, d).
    Network factories are cached: equal arguments give the identical, hashable network, so that
    jitted code is compiled once. Where ``train`` is true, batch norm takes the statistics of the
    batch, and the returned ``stats`` are updated.

    Attributes:
      init: ``init(key) -> Variables``.
      encode: ``encode(variables, images, train) -> (features, stats)``.
      reconstruct: ``reconstruct(variables, images, train) -> (reconstruction, features, stats)``.
        The reconstruction is float32 in [0, 1] and has the images' shape. It is None in a network
        without a decoder.
      activations: ``activations(variables, images) -> {name: array}`` gives the inner maps; it is
        optional.
      embedding_layer: the entry of the params that gives the features, which a reset of the weights
        leaves as it is; "" where there is none.
    """

    init: Callable[[Key], Variables]
    encode: Callable[[Variables, jax.Array, bool], tuple[jax.Array, Arrays]]
    reconstruct: (
        Callable[[Variables, jax.Array, bool], tuple[jax.Array, jax.Array, Arrays]] | None
    ) = None
    activations: Callable[[Variables, jax.Array], dict[str, jax.Array]] | None = None
    embedding_layer: str = ""


NetworkFactory = Callable[..., Network]
"""``factory(shape, embedding, **settings) -> Network`` for images of shape (h, w, c)."""


class Schedule(NamedTuple):
    """How many steps a run takes and which images each step sees; it is known before compilation.

    Attributes:
      batch: images in each step; if there are fewer images, some are used more than once.
      steps_per_window: steps between two calls of ``refresh``.
      max_windows: the largest number of windows; 0 for a method that does everything in ``init``.
      order: "shuffled" draws a new permutation for each window and starts at its first image;
        "sequential" takes the images in their order, and goes on where the last window ended.
    """

    batch: int
    steps_per_window: int
    max_windows: int
    order: Order


class Prediction(NamedTuple):
    """Clusters of images.

    Attributes:
      cluster: int32, (n,), in 0..k-1.
      probability: soft assignment to that cluster, as the method defines it; float32, (n,), in
        [0, 1].
      distance: Euclidean distance in the embedding to the cluster's centroid; float32, (n,).
    """

    cluster: jax.Array
    probability: jax.Array
    distance: jax.Array


class Algorithm(NamedTuple):
    """An algorithm: its functions, and facts about them.

    A window is ``steps_per_window`` calls of ``step`` and then one call of ``refresh``. ``init``
    makes the state for the first step. A state is a NamedTuple of arrays with fixed shapes and
    dtypes; it has a field ``variables``, the network's ``Variables``, which a pretraining hands to
    the next ``init``. An info is a NamedTuple of scalars; a history has their means over each
    window.

    The functions work for one seed and are traced by jit and vmap, so that no Python ``if`` may
    depend on an array. ``key`` is typed and new in each call. ``images`` and ``batch`` come as the
    user gave them, uint8 or float32; ``ops.batches.scaled`` brings both to [0, 1]. No function
    prints, jits, reads files or sees a true label.

    Attributes:
      Config: frozen, hashable dataclass of all settings. It has a field ``clusters``, which ``fit``
        sets, and checks its ranges in ``__post_init__``; ``methods.checks`` has the usual rules.
      schedule: ``schedule(config, n) -> Schedule``.
      init: ``init(config, network, key, variables, images) -> state``; ``variables`` are those of
        the pretraining, decoder included, or None, where ``network.init(key)`` makes fresh ones.
      step: ``step(config, network, key, state, batch, rows) -> (state, info)``; ``rows`` are the
        indices of the batch's images in the data set. None where there are no windows.
      embed: ``embed(config, network, state, images) -> features``, float32 (n, d).
      predict: ``predict(config, network, state, images) -> Prediction``; None for a pretraining.
      refresh: ``refresh(config, network, key, state, images) -> (state, stop, info)`` is called
        after each window; ``stop`` is a bool array (), and ``info`` has other names than the info
        of ``step``. None where nothing happens there.
      finish: ``finish(config, network, key, state, images) -> {name: labels}`` is called once at
        the end; None where ``predict`` gives the labels.
      name: the module's name.
      labelings: names of the labelings that a run gives, the main one first; "" if there is only
        one.
      deterministic: whether it draws no random numbers, so that every seed gives the same result.
      streams: whether its state does not grow with the number of images, so that images may come
        in blocks.
      fixed: settings that define the algorithm and must not be changed.
      kmeans: whether it is k-means alone, so that centers are the means of clusters' features.
      centers: the field of the state with the clusters' centers in the embedding, float32 (k, d);
        "" where there are none.
      soft: ``soft(config, features, centers) -> q`` gives the soft assignments, float32 (n, k),
        rows sum to 1. Their largest is the cluster of ``predict`` and its probability. None where
        ``predict`` goes by something else.
      network_settings: ``network_settings(config) -> {name: value}`` gives the arguments, beside
        shape and embedding, that the network's factory takes from the config.
      check_values: ``check_values(config, images)`` refuses images, a NumPy array, by their values.
        It is called on the host before a run begins, and for new images. None where all values can
        be taken.
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
    kmeans: bool = False
    centers: str = ""
    soft: Callable[[Any, jax.Array, jax.Array], jax.Array] | None = None
    network_settings: Callable[[Any], Mapping[str, object]] | None = None
    check_values: Callable[[Any, np.ndarray], None] | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """An algorithm with its network, its settings and its pretraining, under one name.

    Attributes:
      name: the name that a user types.
      about: one line that describes it in a list.
      reference: authors and year of the paper.
      algorithm: the algorithm that clusters.
      network: factory of the network, ``factory(shape, embedding)``; see ``build``.
      config: settings of the algorithm. Its number of clusters is a default: ``fit`` asks for one
        unless ``jaxclust.method`` or ``with_settings`` has set it.
      pretrainer: the algorithm that pretrains the network, such as
        ``jaxclust.methods.pretraining.ALGORITHM``; None where nothing is pretrained.
      pretraining: settings of ``pretrainer``, such as ``jaxclust.methods.pretraining.Config()``, or
        None.
      presets: for each preset, the settings that differ from the default's, as "name" or
        "pretraining.name". "default" has none.
      needs_weights: whether every preset except "random" needs a file of pretrained weights.
      clusters_given: whether a user has set the number of clusters.
      preset: the name of the preset that the settings started from.
      caution: one sentence, without a full stop, that a user should read before a run, such as
        where the method scores below a simpler one; "" for none.
      kind: what sort of method it is, a name of ``KINDS``.
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
        default_factory=lambda: {"default": {}, "paper": {}, "quick": {}}
    )
    needs_weights: bool = False
    clusters_given: bool = False
    preset: str = "default"
    caution: str = ""
    kind: str = "deep"

    @property
    def clusters(self) -> int:
        """Number of clusters k."""
        return self.config.clusters

    def replace(self, **changes: Any) -> "Method":
        """The method with some parts replaced.

        Args:
          **changes: fields of ``Method`` (such as ``name`` or ``network``), or functions and facts
            of its ``Algorithm`` (such as ``step`` or ``refresh``). Another ``predict`` has no
            ``soft`` unless one is given beside it.

        Raises:
          UsageError: a name is not one of these.
        """
        own = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            if name not in own and name not in Algorithm._fields:
                known = ", ".join([*sorted(own), *Algorithm._fields])
                raise UsageError(f"replace: must be of {known}, got {name!r}")
        functions = {name: value for name, value in changes.items() if name not in own}
        if "predict" in functions:
            functions.setdefault("soft", None)
        fields = {name: value for name, value in changes.items() if name in own}
        algorithm = fields.pop("algorithm", self.algorithm)._replace(**functions)
        return dataclasses.replace(self, algorithm=algorithm, **fields)

    def with_settings(self, changes: Mapping[str, Any]) -> "Method":
        """The method with some settings changed.

        Args:
          changes: values by "name", or by "pretraining.name" for settings of the pretraining.

        Raises:
          UsageError: the method has no such setting, its value has the wrong type or is out of
            range, or the setting is one of ``Algorithm.fixed``.
        """
        own: dict[str, object] = {}
        of_pretraining: dict[str, object] = {}
        for name, value in changes.items():
            bare = name.removeprefix(PRETRAINING)
            target = self.config if bare == name else self.pretraining
            kinds = {} if target is None else get_type_hints(type(target))
            if bare not in kinds:
                raise UsageError(self._unknown(name))
            group = own if bare == name else of_pretraining
            group[bare] = checked_setting(name, kinds[bare], value)
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
        """Names of all settings that may be changed; the pretraining's as "pretraining.name"."""
        names = [field.name for field in dataclasses.fields(self.config)]
        if self.pretraining is not None:
            names += [PRETRAINING + field.name for field in dataclasses.fields(self.pretraining)]
        return [name for name in names if name not in self.algorithm.fixed]

    def build(self, shape: tuple[int, ...]) -> Network:
        """Builds the network; its embedding has as many features as there are clusters.

        Args:
          shape: (h, w, c) of the images.

        Raises:
          UsageError: the network cannot take images of this shape.
        """
        settings = self.algorithm.network_settings
        more = {} if settings is None else settings(self.config)
        return self.network(tuple(shape), self.clusters, **more)

    def phases(self) -> list[tuple[str, Algorithm, Any]]:
        """Name, algorithm and settings of each phase of training, in order."""
        cluster = ("cluster", self.algorithm, self.config)
        if self.pretrainer is None or self.pretraining is None:
            return [cluster]
        return [("pretrain", self.pretrainer, self.pretraining), cluster]

    def _unknown(self, name: str) -> str:
        hint = did_you_mean(name, self.settings())
        return f"settings: {self.name} has {', '.join(self.settings())}, got {name!r}{hint}"


def checked_setting(name: str, kind: Any, value: Any) -> Any:
    """A setting's value, converted to the type of its field.

    Integers become floats where the field is a float, NumPy's scalars become Python's, and lists
    become tuples, since files keep tuples as lists.

    Args:
      name: the setting's name, for the message.
      kind: the field's type. int, float and bool are checked here; ``Config`` checks the ranges.
      value: the given value.

    Raises:
      UsageError: the value has the wrong type.
    """
    item = getattr(value, "item", None)
    if item is not None and getattr(value, "ndim", None) == 0:
        value = item()
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if type(None) in kinds and value is None:
        return value
    items = [get_args(each)[0] for each in kinds if get_origin(each) is tuple]
    if items:
        return _checked_tuple(name, items[0], value)
    numeric = {bool, int, float} & set(kinds)
    if not numeric:
        return value
    if type(value) in numeric:
        return value
    if float in numeric and type(value) is int:
        return float(value)
    allowed = " or ".join(sorted(number.__name__ for number in numeric))
    raise UsageError(f"{name}: must be {allowed}, got {value!r}")


def _checked_tuple(name: str, item: Any, value: Any) -> tuple:
    if not isinstance(value, tuple | list) or not all(type(each) is item for each in value):
        raise UsageError(f"{name}: must be a list of {item.__name__}, got {value!r}")
    return tuple(value)


def network_name(factory: Callable[..., Any]) -> str:
    """A factory's name, such as "cae"; for a ``functools.partial`` with its arguments."""
    function = getattr(factory, "func", None)
    if function is None:
        return getattr(factory, "__name__", type(factory).__name__)
    given = [repr(value) for value in factory.args]
    given += [f"{name}={value!r}" for name, value in factory.keywords.items()]
    return f"{network_name(function)}({', '.join(given)})"
