"""A whole run of a method for many seeds: pretraining, clustering, labels; resumable."""

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data.sources import Source
from jaxclust.engine import blocks, checkpoint, driver, programs, stopping
from jaxclust.engine.checkpoint import settings_json
from jaxclust.engine.devices import Over, fastest, same_bits
from jaxclust.engine.labelings import labelings_of, labelings_so_far
from jaxclust.engine.phase import Hook, Hooks, Phase, Task, run
from jaxclust.engine.refusals import check_values
from jaxclust.engine.weights import check_weights, pixels_digest, with_weights
from jaxclust.errors import UsageError, reading
from jaxclust.networks.torch_weights import Weights
from jaxclust.types import (
    Algorithm,
    Json,
    Key,
    Method,
    Prediction,
    Variables,
    network_name,
)

Failure = tuple[str, int]
"""The phase and step at which a seed met a NaN or inf."""


class Options(NamedTuple):
    """How a run is carried out.

    Only ``over`` "vmap" and ``weights`` can change a seed's numbers, the former by rounding.

    Attributes:
      over: how lanes run, see ``driver.Program``; None for the way that measured fastest on this
        kind of device.
      directory: where checkpoints are kept, one folder a phase, and looked for to go on from.
      pretrained: another ``directory`` for the pretraining, shared by methods with the same
        network, seeds, images and settings: used if it is finished there, done there otherwise.
      weights: arrays of the network's first layers, the same for all seeds; the rest is drawn.
      max_seconds: the run stops after the chunk in which this is passed, with a checkpoint; of a
        stream also between two blocks that are labeled, unless labels are all that was left to do.
      progress: see ``phase.Hooks``.
      on_window: see ``phase.Hooks``.
      labels: of a stream the .npy file to write, int32 (seeds, n), -1 for a failed seed and for
        an image that cannot be read.
      about: further entries that checkpoints must agree in.
      first_seed: of a stream the seed that decides the order of the blocks; None for the first of
        the seeds.
      label: whether the images get labels. A process that does not write a run's files leaves that
        to the one that does, and its run ends unfinished.
    """

    over: Over | None = None
    directory: str | os.PathLike | None = None
    pretrained: str | os.PathLike | None = None
    weights: Weights | None = None
    max_seconds: float | None = None
    progress: Hook | None = None
    on_window: Hook | None = None
    labels: Path | None = None
    about: Mapping[str, Json] = {}
    first_seed: int | None = None
    label: bool = True


_USUAL = Options()


class Fit(NamedTuple):
    """What a run gives.

    Attributes:
      phases: by name, "pretrain" (if the method has one) and "cluster", as far as the run came.
      finished: False if the run was stopped, by ``max_seconds`` or as ``stopping`` asks; ``labels``
        is then None.
      labels: int32 (seeds, n), -1 throughout for a failed seed.
      failed: for each seed None, or the phase and step at which it met a NaN or inf.
      labelings: ``labels`` by name, and further ones of a method that has several; of a run that
        was stopped those of the last whole window, where the method's ``predict`` gives them.
      unreadable: of a stream the places of images that could not be read, with reasons.
      predictions: what the method's ``predict`` says of the images, from which ``labels`` are, with
        a leading axis of seeds; None of a stream, and where the method's ``finish`` labels them.
    """

    phases: dict[str, Phase]
    finished: bool
    labels: np.ndarray | None
    failed: list[Failure | None]
    labelings: dict[str, np.ndarray]
    unreadable: dict[int, str]
    predictions: Prediction | None = None


def fit(
    method: Method,
    images: np.ndarray | Source,
    seeds: tuple[int, ...],
    options: Options = _USUAL,
) -> Fit:
    """Pretrains, clusters and labels, one lane a seed.

    Methods of one network pretrain alike: the same seed, images and settings give the same
    weights, so that one run's pretraining can serve the next, as ``options.pretrained``.

    Args:
      method: what clusters.
      images: uint8 or float32 in [0, 1], (n, h, w, c); or a stream, whose windows are blocks of
        images that all seeds share.
      seeds: distinct, at least one; of a stream the first decides the order of the blocks.
      options: how it is carried out.

    Raises:
      UsageError: an argument breaks its rule, a checkpoint cannot be used, no image of a stream
        can be read, or the weights were trained on the labels of these very images.
    """
    programs.keep()
    check_values(method, images)
    over = fastest(len(seeds)) if options.over is None else options.over
    deadline = None
    if options.max_seconds is not None:
        deadline = time.perf_counter() + options.max_seconds
    hooks = Hooks(options.progress, options.on_window, deadline)
    network = method.build(images.shape[1:])
    data = _data(method, images)
    keys = lane_keys(seeds)
    about = _about(method, images.shape[1:], seeds) | dict(options.about)
    about |= {"images": [len(images), data.digest], "over": same_bits(over)}
    if data.source is not None:
        about["block"] = data.block
        if data.source.content:
            about[checkpoint.CONTENT] = data.source.content
    variables = None
    if options.weights is not None:
        check_weights(options.weights, data.digest)
        about["weights"] = options.weights.digest
        variables = with_weights(network, keys["pretrain"], options.weights)
    first_seed = seeds[0] if options.first_seed is None else options.first_seed
    phases: dict[str, Phase] = {}
    failed: list[Failure | None] = [None] * len(seeds)
    for number, (name, algorithm, config) in enumerate(method.phases()):
        feed = _feed(data, config, blocks.order_of(first_seed, number))
        own_config: dict[str, Json] = {}
        if name == "cluster":
            own_config["config"] = settings_json(config)
        task = Task(
            name=name,
            program=driver.Program(algorithm, feed.config, network, over),
            keys=keys[name],
            variables=variables,
            images=feed.images,
            place=_place(options, name),
            about=about | own_config | dict(feed.about),
            blocks=feed.blocks,
        )
        phase = run(task, [failure is not None for failure in failed], hooks)
        phases[name] = phase
        for lane, step in enumerate(np.asarray(phase.lanes.failed)):
            if step >= 0 and failed[lane] is None:
                failed[lane] = (name, int(step))
        if not phase.finished:
            kept: dict[str, np.ndarray] = {}
            if name == "cluster" and options.directory is not None and data.source is None:
                kept = labelings_so_far(task.program, phase.lanes, data.images)[0]
            return Fit(phases, False, None, failed, kept, {})
        if name == "pretrain":
            variables = phase.lanes.state.variables
    if not options.label:
        return Fit(phases, False, None, failed, {}, {})
    program = driver.Program(method.algorithm, method.config, network, over)
    lanes = phases["cluster"].lanes
    lost = np.array([failure is not None for failure in failed])
    if data.source is not None:
        if options.labels is None:
            raise UsageError("labels: must name an .npy file to write for a stream, got None")
        # Labels begin anew with each start: one that has nothing else to do makes them all.
        labels_alone = all(phase.ended_before for phase in phases.values())
        with stopping.within(None if labels_alone else deadline):
            labeled = blocks.labels(
                program, lanes.state, data.source, data.block, options.labels, lost
            )
        if labeled is None:
            return Fit(phases, False, None, failed, {}, {})
        labels, unreadable = labeled
        return Fit(phases, True, labels, failed, {"": labels}, unreadable)
    labelings, predictions = labelings_of(program, lanes, data.images, lost)
    labels = next(iter(labelings.values()))
    return Fit(phases, True, labels, failed, labelings, {}, predictions)


class _Data(NamedTuple):
    """The images of a run.

    Attributes:
      images: uint8 or float32 in [0, 1], (n, h, w, c); of a stream an empty array.
      digest: what tells them from others.
      source: the stream, or None.
      block: images in a block of a stream, otherwise n.
    """

    images: jax.Array
    digest: str
    source: Source | None
    block: int


class _Feed(NamedTuple):
    """What a phase is given.

    Attributes:
      config: its settings; of a stream with as many epochs as there are blocks.
      images: all images, or the first block of a stream.
      blocks: see ``phase.Task``.
      about: what a checkpoint must agree in beside the rest.
    """

    config: Any
    images: jax.Array
    blocks: Callable[[int], Iterator[jax.Array]] | None
    about: Mapping[str, Json]


def _data(method: Method, images: np.ndarray | Source) -> _Data:
    if isinstance(images, Source):
        blocks.check(method, images)
        return _Data(jnp.empty(0), images.digest, images, blocks.block_size(method, images))
    on_device = jnp.asarray(images)
    return _Data(on_device, pixels_digest(np.asarray(on_device)), None, len(images))


def _feed(data: _Data, config: Any, order: int) -> _Feed:
    if data.source is None:
        return _Feed(config, data.images, None, {})
    config = blocks.in_blocks(config, len(data.source), data.block)
    read = functools.partial(blocks.read, data.source, data.block, order)
    return _Feed(config, next(read(0)), read, {"order": order})


def _place(options: Options, name: str) -> Path | None:
    """The folder of a phase's checkpoints; None for none."""
    directory = options.directory
    if name == "pretrain" and options.pretrained is not None:
        directory = options.pretrained
    return None if directory is None else Path(directory) / name


def lane_keys(seeds: tuple[int, ...]) -> dict[str, Key]:
    """The keys of each phase's lanes, by the phase's name: typed, (lanes,)."""
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    pretrain_keys, cluster_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    return {"pretrain": pretrain_keys, "cluster": cluster_keys}


def steps_per_window(method: Method, n: int) -> dict[str, int]:
    """Steps in a window of each phase, for n images."""
    return {
        name: algorithm.schedule(config, n).steps_per_window
        for name, algorithm, config in method.phases()
    }


def _about(method: Method, shape: tuple[int, ...], seeds: tuple[int, ...]) -> dict[str, Json]:
    """What a checkpoint must agree in with the run that goes on from it."""
    pretraining = None if method.pretraining is None else settings_json(method.pretraining)
    network: list[Json] = [network_name(method.network), *shape, method.clusters]
    return {"network": network, "pretraining": pretraining, "seeds": list(seeds)}


def restore(
    method: Method,
    shape: tuple[int, ...],
    seeds: tuple[int, ...],
    directory: str | os.PathLike,
) -> driver.Lanes:
    """The lanes with which a finished ``fit`` ended, from its checkpoint.

    Args:
      method: as given to ``fit``.
      shape: of the images it was fitted on, (n, h, w, c).
      seeds: of the lanes.
      directory: of the checkpoints.

    Raises:
      UsageError: there is no checkpoint, it cannot be read, it is of another run, or of one that
        has not ended.
    """
    place = Path(directory) / "cluster"
    about = _about(method, shape[1:], seeds)
    about["config"] = settings_json(method.config)
    with reading(f"checkpoint: {place} must be of settings that can run"):
        template = _template(method, shape, seeds)
    restored = checkpoint.restore(place, about, template)
    if restored is None:
        raise UsageError(f"checkpoint: must be in {place}, and is not there")
    lanes = restored[0].lanes
    if not driver.ended(lanes, method.algorithm.schedule(method.config, shape[0])).all():
        rule = "checkpoint: must be of a run that has ended"
        raise UsageError(f"{rule}, got one under way in {place}")
    return lanes


def _template(method: Method, shape: tuple[int, ...], seeds: tuple[int, ...]) -> driver.Lanes:
    """Shapes and dtypes of the lanes of the clustering phase."""
    network = method.build(shape[1:])
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    keys = lane_keys(seeds)["cluster"]

    def started(algorithm: Algorithm, config: Any, variables: Variables | None) -> driver.Lanes:
        start = functools.partial(driver.start, driver.Program(algorithm, config, network, "map"))
        return jax.eval_shape(start, (keys, variables), images)

    variables = None
    *earlier, (_, algorithm, config) = method.phases()
    for _, pretrainer, pretraining in earlier:
        variables = started(pretrainer, pretraining, variables).state.variables
    return started(algorithm, config, variables)


def apply(
    method: Method,
    states: Any,
    images: np.ndarray,
    function: Literal["embed", "predict"],
) -> Any:
    """The method's "embed" or "predict" of images under lanes' states.

    Args:
      method: as given to ``fit``.
      states: with a leading axis of lanes.
      images: uint8 or float32 in [0, 1], (m, h, w, c).
      function: its name.

    Returns:
      What the function gives, NumPy arrays with a leading axis of lanes.
    """
    programs.keep()
    check_values(method, images)
    network = method.build(images.shape[1:])
    # Lane by lane, as in a run too unless it was vmapped; then it is the same up to rounding.
    program = driver.Program(method.algorithm, method.config, network, "map")
    return jax.tree.map(np.asarray, driver.apply(program, states, images, function))
