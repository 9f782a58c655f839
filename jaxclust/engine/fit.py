"""A whole run of a method for many seeds: pretraining, clustering, labels; resumable where it has a directory."""

import dataclasses
import functools
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data import datasets
from jaxclust.engine import checkpoint, compile_clock, driver
from jaxclust.methods import pretraining
from jaxclust.networks.torch_weights import Weights, placed
from jaxclust.types import Key, Method, Network, Variables

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints of a run that goes on; a phase's end and an early stop always write one."""

Progress = Callable[[str, driver.Event | None], None]
"""Called with the phase's name when it begins (None) and after each chunk."""


class Phase(NamedTuple):
    """One training of a run.

    Attributes:
      runs: all lanes.
      history: columns as in ``train.Event``.
      seconds: wall-clock seconds of the phase for all seeds together, without compilation and without the caller's
        ``progress``.
      compile_seconds: seconds of tracing and compiling, over all the starts that the phase took.
      finished: whether all lanes have ended.
    """

    runs: driver.Lanes
    history: dict[str, np.ndarray]
    seconds: float
    compile_seconds: float
    finished: bool


class Fit(NamedTuple):
    """What a run gives.

    Attributes:
      phases: by name, "pretrain" (if the method has one) and "cluster", as far as the run came.
      finished: False if the run was stopped by ``max_seconds``; ``labels`` is then None.
      labels: int32 (seeds, n), -1 throughout for a failed seed.
      failed: for each seed None, or the phase and step at which it met a NaN or inf.
      labelings: ``labels`` by name, and further ones of a method that has several; None as ``labels``.
    """

    phases: dict[str, Phase]
    finished: bool
    labels: np.ndarray | None
    failed: list[tuple[str, int] | None]
    labelings: dict[str, np.ndarray] | None = None


def build(method: Method, config: Any, shape: tuple[int, int, int]) -> Network:
    """The method's network for images of shape (h, w, c); as wide in the middle as there are clusters.

    An algorithm whose config describes its network too says by ``network_settings(config)`` what the factory is given.
    """
    settings = getattr(method.algorithm, "network_settings", None)
    return method.network(
        tuple(shape), config.clusters, **({} if settings is None else settings(config))
    )


def fit(
    method: Method,
    config: Any,
    pretraining: pretraining.Config | None,
    images: np.ndarray,
    seeds: tuple[int, ...],
    *,
    over: driver.Over | None = None,
    directory: str | os.PathLike | None = None,
    pretrained: str | os.PathLike | None = None,
    weights: Weights | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Pretrains, clusters and labels, one lane a seed.

    Methods of one network pretrain alike: the same seed, images and settings give the same weights, so that one
    run's pretraining can serve the next, as ``pretrained``.

    Args:
      method: of ``METHODS``.
      config: its settings.
      pretraining: the pretraining's, None where the method has none.
      images: uint8 or float32 in [0, 1], (n, h, w, c).
      seeds: distinct, at least one.
      over: how lanes run, see ``train.train``; None for the way that measured fastest on this kind of device.
      directory: where checkpoints are kept, one folder a phase, and looked for to go on from.
      pretrained: another ``directory`` for the pretraining, shared by methods with the same network, seeds, images and
        settings: used if it is finished there, done there otherwise.
      weights: of the network's first layers, the same for all seeds; the rest starts afresh.
      max_seconds: stop after the chunk in which this is passed, with a checkpoint.
      progress: called as the run goes.

    Raises:
      ValueError: an argument breaks its rule, a checkpoint cannot be used, or the weights were trained on the labels of
        these very images.
    """
    deadline = None if max_seconds is None else time.perf_counter() + max_seconds
    network = build(method, config, images.shape[1:])
    over = driver.fastest(len(seeds)) if over is None else over
    images = jnp.asarray(images)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    pretrain_keys, cluster_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    about = _about(method, config, pretraining, images.shape[1:], seeds)
    about |= {"images": [len(images), pixels_digest(np.asarray(images))], "over": over}
    variables = None
    if weights is not None:
        check_weights(weights, about["images"][1])
        about["weights"] = weights.digest
        variables = weighted(network, pretrain_keys, weights)
    phases: dict[str, Phase] = {}
    failed: list[tuple[str, int] | None] = [None] * len(seeds)

    def run(name, algorithm, settings, keys, variables, directory):
        place = None if directory is None else Path(directory) / name
        mine = about | ({"config": dataclasses.asdict(config)} if name == "cluster" else {})
        phase = run_phase(
            name,
            algorithm,
            settings,
            network,
            keys,
            images,
            variables,
            over,
            failed,
            place,
            mine,
            deadline,
            progress,
        )
        phases[name] = phase
        for lane, step in enumerate(np.asarray(phase.runs.failed)):
            if step >= 0 and failed[lane] is None:
                failed[lane] = (name, int(step))
        return phase

    if pretraining is not None:
        phase = run(
            "pretrain",
            pretrainer(method),
            pretraining,
            pretrain_keys,
            variables,
            pretrained or directory,
        )
        if not phase.finished:
            return Fit(phases, False, None, failed)
        variables = phase.runs.state.variables
    phase = run("cluster", method.algorithm, config, cluster_keys, variables, directory)
    if not phase.finished:
        return Fit(phases, False, None, failed)
    if getattr(method.algorithm, "finish", None) is None:
        found = {
            "": driver.apply(
                method.algorithm, config, network, over, phase.runs.state, images, "predict"
            ).cluster
        }
    else:
        found = driver.finish(method.algorithm, config, network, over, phase.runs, images)
    lost = np.array([place is not None for place in failed])[:, None]
    labelings = {
        name: np.where(lost, np.int32(-1), np.asarray(found[name]))
        for name in labeling_names(method)
    }
    return Fit(phases, True, next(iter(labelings.values())), failed, labelings)


def steps_per_window(method: Method, config: Any, pretraining: Any, n: int) -> dict[str, int]:
    """Steps in a window of each phase, for n images."""
    steps = {"cluster": method.algorithm.schedule(config, n).steps_per_window}
    if pretraining is not None:
        steps["pretrain"] = pretrainer(method).schedule(pretraining, n).steps_per_window
    return steps


def labeling_names(method: Method) -> tuple[str, ...]:
    """Names of the labelings a run of the method gives, the one that counts first; "" where there is one."""
    return getattr(method.algorithm, "LABELINGS", ("",))


def check(
    method: Method,
    config: Any,
    pretraining: pretraining.Config | None,
    images: jax.ShapeDtypeStruct,
    over: driver.Over,
) -> None:
    """Traces the first step of each phase without running it: what it refuses is refused before a run has a folder.

    Args:
      method: as for ``fit``, as are ``config``, ``pretraining`` and ``over``.
      config: of the clustering.
      pretraining: its settings, or None.
      images: shape (n, h, w, c) and dtype.
      over: how lanes run.

    Raises:
      ValueError: an argument breaks its rule.
    """
    network, variables = build(method, config, images.shape[1:]), None
    phases = [] if pretraining is None else [(pretrainer(method), pretraining)]
    for algorithm, settings in [*phases, (method.algorithm, config)]:
        schedule = algorithm.schedule(settings, images.shape[0])
        driver.check_over(over, schedule)
        key = jax.eval_shape(lambda: jax.random.key(0))
        state = jax.eval_shape(
            functools.partial(algorithm.init, settings, network), key, variables, images
        )
        if schedule.max_windows > 0:
            batch = jax.ShapeDtypeStruct((schedule.batch, *images.shape[1:]), images.dtype)
            rows = jax.ShapeDtypeStruct((schedule.batch,), jnp.int32)
            jax.eval_shape(
                functools.partial(algorithm.step, settings, network), key, state, batch, rows
            )
        variables = state.variables


def check_weights(weights: Weights, *digests: str | None, data: str = "") -> None:
    """Refuses weights that the labels of the images to cluster have trained.

    What is caught: the same pixels in the same order; the same folder however it is read and scaled; and named sets of
    which one is a part or another version of the other (mnist and mnist-test). What is not: another set's part, order,
    scale or storage.

    Args:
      weights: as read.
      digests: ``pixels_digest`` of the images, ``folders.listing`` of their folder; None where it is not known.
      data: as the images were asked for, which may be a named set, also of tensorflow-datasets.

    Raises:
      ValueError: one of them is of what trained the weights.
    """
    same = any(
        digest is not None and digest in (weights.trained_on, weights.trained_on_folder)
        for digest in digests
    )
    family = datasets.family(weights.trained_on_set or "")
    if same or (family is not None and family == datasets.family(data)):
        raise ValueError(
            "weights: must not have been trained on the labels of the images to cluster"
        )


def pixels_digest(images: np.ndarray) -> str:
    """SHA-256 of the images' pixels in their order."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def weighted(network: Network, keys: Key, weights: Weights) -> Variables:
    """Fresh arrays for each lane's key, as its pretraining would draw them, the same first layers in all."""
    draw = jax.jit(jax.vmap(lambda key: network.init(jax.random.split(key)[1])))
    return placed(draw(keys), weights)


def pretrainer(method: Method) -> Any:
    """The algorithm that pretrains a method's network."""
    return getattr(method.algorithm, "pretraining", pretraining)


def _about(
    method: Method,
    config: Any,
    pretraining: pretraining.Config | None,
    shape: tuple[int, ...],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """What a checkpoint must agree in with the run that goes on from it."""
    return {
        "network": [method.network.__name__, *shape, config.clusters],
        "pretraining": None if pretraining is None else dataclasses.asdict(pretraining),
        "seeds": list(seeds),
    }


def restored(
    method: Method,
    config: Any,
    pretraining: pretraining.Config | None,
    shape: tuple[int, int, int, int],
    seeds: tuple[int, ...],
    directory: str | os.PathLike,
) -> driver.Lanes:
    """The lanes with which a finished ``fit`` ended, from its checkpoint.

    Args:
      method: as given to ``fit``, as are ``config``, ``pretraining``, ``seeds`` and ``directory``.
      config: of the clustering.
      pretraining: its settings, or None.
      shape: of the images it was fitted on, (n, h, w, c).
      seeds: of the lanes.
      directory: of the checkpoints.

    Raises:
      ValueError: there is no checkpoint, it cannot be read, it is of another run, or of one that has not ended.
    """
    network, place = build(method, config, shape[1:]), Path(directory) / "cluster"
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    lanes = (jnp.stack([jax.random.key(seed) for seed in seeds]), None)
    if pretraining is not None:
        begin = functools.partial(driver.start, pretrainer(method), pretraining, network, "map")
        lanes = (lanes[0], jax.eval_shape(begin, lanes, images).state.variables)
    template = jax.eval_shape(
        functools.partial(driver.start, method.algorithm, config, network, "map"), lanes, images
    )
    about = _about(method, config, pretraining, shape[1:], seeds) | {
        "config": dataclasses.asdict(config)
    }
    found = checkpoint.restore(place, about, template)
    if found is None:
        raise ValueError(f"checkpoint: must be in {place}, and is not there")
    if not driver.ended(found[0], method.algorithm.schedule(config, shape[0])).all():
        raise ValueError(
            f"checkpoint: must be of a run that has ended, got one under way in {place}"
        )
    return found[0]


def applied(
    method: Method,
    config: Any,
    pretraining: pretraining.Config | None,
    shape: tuple[int, int, int, int],
    seeds: tuple[int, ...],
    directory: str | os.PathLike,
    lanes: Sequence[int],
    images: np.ndarray,
    function: str,
) -> Any:
    """The method's "embed" or "predict" of images under some lanes of a finished ``fit``.

    Args:
      method: as for ``restored``, as are all up to ``directory``.
      config: of the clustering.
      pretraining: its settings, or None.
      shape: of the images it was fitted on, (n, h, w, c).
      seeds: of the run's lanes.
      directory: of the checkpoints.
      lanes: places in ``seeds``.
      images: uint8 or float32 in [0, 1], (m, h, w, c).
      function: its name.

    Returns:
      What it gives, NumPy arrays with a leading axis of lanes.

    Raises:
      ValueError: as ``restored``.
    """
    runs = restored(method, config, pretraining, shape, seeds, directory)
    states = jax.tree.map(lambda leaf: leaf[jnp.array(lanes)], runs.state)
    # Lane by lane in a run too unless it was vmapped, and then by the same program to rounding.
    found = driver.apply(
        method.algorithm, config, build(method, config, shape[1:]), "map", states, images, function
    )
    return jax.tree.map(np.asarray, found)


def run_phase(
    name: str,
    algorithm: Any,
    config: Any,
    network: Network,
    keys: Key,
    images: Any,
    variables: Variables | None,
    over: driver.Over,
    failed: list[tuple[str, int] | None],
    place: Path | None,
    about: dict[str, Any],
    deadline: float | None,
    progress: Progress | None,
    blocks: Callable[[int], Iterator[Any]] | None = None,
) -> Phase:
    """One training: from its checkpoint in ``place`` if there is one, from ``start`` otherwise.

    ``blocks`` gives the images of each window from the given one on, where they are read block by block; ``images`` are
    then the first block.
    """
    if progress:
        progress(name, None)
    clock, compiled = time.perf_counter(), compile_clock.seconds()
    spent = {"seconds": 0.0, "compile_seconds": 0.0}
    found = None
    if place is not None and place.is_dir():
        begin = functools.partial(driver.start, algorithm, config, network, "map")
        found = checkpoint.restore(place, about, jax.eval_shape(begin, (keys, variables), images))
    if found is None:
        runs, history = (
            driver.start(algorithm, config, network, over, (keys, variables), images),
            {},
        )
        # A seed lost in pretraining does not cluster.
        lost = jnp.array([entry is not None for entry in failed])
        runs = runs._replace(failed=jnp.where(lost, jnp.int32(0), runs.failed))
    else:
        runs, history, spent = found
        if driver.ended(runs, algorithm.schedule(config, len(images))).all():
            return Phase(runs, history, **spent, finished=True)

    shown = 0.0

    def clocks():
        waited = compile_clock.seconds() - compiled
        passed = time.perf_counter() - clock - waited - shown
        return {
            "seconds": spent["seconds"] + passed,
            "compile_seconds": spent["compile_seconds"] + waited,
        }

    saved = time.perf_counter()

    def keep(event: driver.Event) -> bool:
        nonlocal saved, shown
        if place is not None and time.perf_counter() - saved > CHECKPOINT_SECONDS:
            checkpoint.save(place, about, event.runs, event.history, clocks())
            saved = time.perf_counter()
        if progress:
            begin, compiling_before = time.perf_counter(), compile_clock.seconds()
            progress(name, event)
            shown += time.perf_counter() - begin - (compile_clock.seconds() - compiling_before)
        return deadline is not None and time.perf_counter() > deadline

    trained = driver.train(
        algorithm,
        config,
        network,
        keys,
        images,
        over=over,
        runs=runs,
        history=history,
        callbacks=[keep],
        blocks=None if blocks is None else blocks(int(np.max(np.asarray(runs.window)))),
    )
    if place is not None:
        checkpoint.save(place, about, trained.runs, trained.history, clocks())
    return Phase(trained.runs, trained.history, *clocks().values(), trained.finished)
