"""A whole run of a method for many seeds: pretraining, clustering, labels; resumable."""

import functools
import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data import datasets
from jaxclust.data.sources import Source
from jaxclust.engine import blocks, checkpoint, driver
from jaxclust.engine.checkpoint import settings_json
from jaxclust.engine.devices import Over, check_over, fastest
from jaxclust.engine.phase import Hook, Hooks, Phase, Task, run
from jaxclust.errors import UsageError
from jaxclust.networks.torch_weights import Weights, placed
from jaxclust.types import Json, Key, Method, Network, Variables, network_name

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
      max_seconds: the run stops after the chunk in which this is passed, with a checkpoint.
      progress: see ``phase.Hooks``.
      on_window: see ``phase.Hooks``.
      labels: of a stream the .npy file to write, int32 (seeds, n), -1 for a failed seed and for
        an image that cannot be read.
      about: further entries that checkpoints must agree in.
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


_USUAL = Options()


class Fit(NamedTuple):
    """What a run gives.

    Attributes:
      phases: by name, "pretrain" (if the method has one) and "cluster", as far as the run came.
      finished: False if the run was stopped by ``max_seconds``; ``labels`` is then None.
      labels: int32 (seeds, n), -1 throughout for a failed seed.
      failed: for each seed None, or the phase and step at which it met a NaN or inf.
      labelings: ``labels`` by name, and further ones of a method that has several.
      unreadable: of a stream the places of images that could not be read, with reasons.
    """

    phases: dict[str, Phase]
    finished: bool
    labels: np.ndarray | None
    failed: list[Failure | None]
    labelings: dict[str, np.ndarray]
    unreadable: dict[int, str]


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
    deadline = None
    if options.max_seconds is not None:
        deadline = time.perf_counter() + options.max_seconds
    hooks = Hooks(options.progress, options.on_window, deadline)
    source = images if isinstance(images, Source) else None
    network = method.build(images.shape[1:])
    over = fastest(len(seeds)) if options.over is None else options.over
    if source is not None:
        blocks.check(method, source)
        size = blocks.block_size(method, source)
        digest, more = source.digest, {"block": size}
    else:
        images, size = jnp.asarray(images), len(images)
        digest, more = pixels_digest(np.asarray(images)), {}
    keys = lane_keys(seeds)
    about = _about(method, images.shape[1:], seeds) | more | dict(options.about)
    about |= {"images": [len(images), digest], "over": over}
    variables = None
    if options.weights is not None:
        check_weights(options.weights, digest)
        about["weights"] = options.weights.digest
        variables = with_weights(network, keys["pretrain"], options.weights)
    phases: dict[str, Phase] = {}
    failed: list[Failure | None] = [None] * len(seeds)
    for number, (name, algorithm, config) in enumerate(method.phases()):
        mine = about | ({"config": settings_json(config)} if name == "cluster" else {})
        place = options.directory
        if name == "pretrain" and options.pretrained is not None:
            place = options.pretrained
        block_of, first = None, images
        if source is not None:
            order = blocks.order_of(seeds[0], number)
            mine |= {"order": order}
            config = blocks.in_blocks(config, len(source), size)
            block_of = functools.partial(blocks.read, source, size, order)
            first = next(block_of(0))
        task = Task(
            name=name,
            program=driver.Program(algorithm, config, network, over),
            keys=keys[name],
            variables=variables,
            images=first,
            place=None if place is None else Path(place) / name,
            about=mine,
            blocks=block_of,
        )
        phases[name] = run(task, [entry is not None for entry in failed], hooks)
        for lane, step in enumerate(np.asarray(phases[name].lanes.failed)):
            if step >= 0 and failed[lane] is None:
                failed[lane] = (name, int(step))
        if not phases[name].finished:
            return Fit(phases, False, None, failed, {}, {})
        if name == "pretrain":
            variables = phases[name].lanes.state.variables
    program = driver.Program(method.algorithm, method.config, network, over)
    lost = np.array([entry is not None for entry in failed])
    if source is not None:
        if options.labels is None:
            raise UsageError("labels: must name an .npy file to write for a stream, got None")
        states = phases["cluster"].lanes.state
        labels, unreadable = blocks.labels(program, states, source, size, options.labels, lost)
        return Fit(phases, True, labels, failed, {"": labels}, unreadable)
    labelings = _labelings(program, phases["cluster"].lanes, images, lost)
    return Fit(phases, True, next(iter(labelings.values())), failed, labelings, {})


def _labelings(
    program: driver.Program, lanes: driver.Lanes, images: jax.Array, lost: np.ndarray
) -> dict[str, np.ndarray]:
    """All labelings of a run by name, int32 (seeds, n), with -1 throughout for a lost seed."""
    algorithm = program.algorithm
    if algorithm.finish is None:
        found = {"": driver.apply(program, lanes.state, images, "predict").cluster}
    else:
        found = driver.finish(program, lanes, images)
    return {
        name: np.where(lost[:, None], np.int32(-1), np.asarray(found[name]))
        for name in algorithm.labelings
    }


def lane_keys(seeds: tuple[int, ...]) -> dict[str, Key]:
    """The keys of each phase's lanes, typed, (lanes,)."""
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    pretrain_keys, cluster_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    return {"pretrain": pretrain_keys, "cluster": cluster_keys}


def steps_per_window(method: Method, n: int) -> dict[str, int]:
    """Steps in a window of each phase, for n images."""
    return {
        name: algorithm.schedule(config, n).steps_per_window
        for name, algorithm, config in method.phases()
    }


def check(method: Method, images: jax.ShapeDtypeStruct, over: Over) -> None:
    """Traces the first step of each phase without running it.

    What the step refuses is refused before a run has a folder.

    Args:
      method: what clusters.
      images: their shape (n, h, w, c) and dtype.
      over: how lanes run.

    Raises:
      UsageError: an argument breaks its rule.
    """
    network = method.build(images.shape[1:])
    variables = None
    for _, algorithm, config in method.phases():
        schedule = algorithm.schedule(config, images.shape[0])
        check_over(over, schedule)
        key = jax.eval_shape(lambda: jax.random.key(0))
        init = functools.partial(algorithm.init, config, network)
        state = jax.eval_shape(init, key, variables, images)
        if schedule.max_windows > 0:
            batch = jax.ShapeDtypeStruct((schedule.batch, *images.shape[1:]), images.dtype)
            rows = jax.ShapeDtypeStruct((schedule.batch,), jnp.int32)
            step = functools.partial(algorithm.step, config, network)
            jax.eval_shape(step, key, state, batch, rows)
        variables = state.variables


def check_weights(weights: Weights, *digests: str | None, data: str = "") -> None:
    """Refuses weights that the labels of the images to cluster have trained.

    These cases are caught: the same pixels in the same order; the same folder, however it is read
    and scaled; and named sets of which one is a part or another version of the other (mnist and
    mnist-test). Another set's part, order, scale or storage is not recognized.

    Args:
      weights: as read.
      *digests: ``pixels_digest`` of the images, ``image_folder.listing_digest`` of their folder;
        None where it is not known.
      data: what the user called the images; it may be a named set, also of tensorflow-datasets.

    Raises:
      UsageError: one of them is of what trained the weights.
    """
    trained_on = (weights.trained_on.images, weights.trained_on.folder)
    same = any(digest is not None and digest in trained_on for digest in digests)
    family = datasets.family(weights.trained_on.named_set or "")
    if same or (family is not None and family == datasets.family(data)):
        raise UsageError(
            "weights: must not have been trained on the labels of the images to cluster"
        )


def pixels_digest(images: np.ndarray) -> str:
    """SHA-256 of the images' pixels in their order."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def with_weights(network: Network, keys: Key, weights: Weights) -> Variables:
    """Arrays for each lane's key as its pretraining would draw them, with the first layers of a
    file, the same in all lanes."""
    draw = jax.jit(jax.vmap(lambda key: network.init(jax.random.split(key)[1])))
    return placed(draw(keys), weights)


def _about(method: Method, shape: tuple[int, ...], seeds: tuple[int, ...]) -> dict[str, Json]:
    """What a checkpoint must agree in with the run that goes on from it."""
    pretraining = None if method.pretraining is None else settings_json(method.pretraining)
    return {
        "network": [network_name(method.network), *shape, method.clusters],
        "pretraining": pretraining,
        "seeds": list(seeds),
    }


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
    network = method.build(shape[1:])
    place = Path(directory) / "cluster"
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    keys, variables, template = lane_keys(seeds)["cluster"], None, None
    for _, algorithm, config in method.phases():
        start = functools.partial(driver.start, driver.Program(algorithm, config, network, "map"))
        template = jax.eval_shape(start, (keys, variables), images)
        variables = template.state.variables
    about = _about(method, shape[1:], seeds) | {"config": settings_json(method.config)}
    found = checkpoint.restore(place, about, template)
    if found is None:
        raise UsageError(f"checkpoint: must be in {place}, and is not there")
    lanes = found[0].lanes
    if not driver.ended(lanes, method.algorithm.schedule(method.config, shape[0])).all():
        raise UsageError(
            f"checkpoint: must be of a run that has ended, got one under way in {place}"
        )
    return lanes


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
    network = method.build(images.shape[1:])
    # Lane by lane, as in a run too unless it was vmapped; then it is the same up to rounding.
    program = driver.Program(method.algorithm, method.config, network, "map")
    return jax.tree.map(np.asarray, driver.apply(program, states, images, function))
