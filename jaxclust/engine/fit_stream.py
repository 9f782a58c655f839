"""A whole run on images read block by block, for sets larger than memory: ``jaxclust fit METHOD --data PATH --stream``.

The driver's windows are blocks here: each of them is shuffled once more within itself for each seed, and an epoch is
as many blocks as hold n images. No image is held beyond its block. What grows with n is small: the names of a folder's
files (about 100 bytes an image), true classes (4), and at the end, while they are scored, the clusters (tens).
"""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data.sources import Source
from jaxclust.engine import driver, fit
from jaxclust.methods import pretraining
from jaxclust.networks.torch_weights import Weights
from jaxclust.types import Method

BLOCK_BYTES = 16 * 2**20
"""What a block of images may hold, unless a step or the first centroids need more; three are held at once, read ahead
and in use."""


def supported(method: Method) -> bool:
    """Whether a method's state does not grow with the images, and its windows are epochs."""
    return getattr(method.algorithm, "STREAMS", False)


def block_size(config: Any, method: Method, source: Source) -> int:
    """Images in a block: whole steps, as many as BLOCK_BYTES hold, and no more images than there are.

    At least as many as the first centroids are chosen from, which are those of the first block.
    """
    step = method.algorithm.schedule(config, len(source)).batch
    image = int(np.prod(source.shape[1:])) * source.dtype.itemsize
    return min(max(BLOCK_BYTES // image // step, -(-config.sample // step)) * step, len(source))


def check(method: Method, config: Any, source: Source, weights: Weights | None) -> None:
    """Refuses what ``fitted`` cannot do, before any work: ValueError; arguments as there."""
    if not supported(method):
        raise ValueError(
            f"stream: must be with a method whose state does not grow, got {method.about}"
        )
    if config.start == "kmeans":
        raise ValueError(
            "start: must be seeds to be streamed, k-means on all images needs all of them"
        )
    if config.tolerance > 0:
        raise ValueError(
            f"tolerance: must be 0 to be streamed, where no window is an epoch, got {config.tolerance}"
        )
    if weights is not None:
        fit.check_weights(weights, source.digest)


def fitted(
    method: Method,
    config: Any,
    pretraining: pretraining.Config | None,
    source: Source,
    seeds: tuple[int, ...],
    labels: Path,
    directory: Path,
    *,
    over: driver.Over | None = None,
    weights: Weights | None = None,
    max_seconds: float | None = None,
    progress: fit.Progress | None = None,
) -> tuple[fit.Fit, dict[int, str]]:
    """As ``fit.fit``, on images that are read block by block; all seeds are given the same blocks.

    Args:
      method: whose state does not grow with the images (``supported``).
      config: its settings.
      pretraining: the pretraining's, None where the method has none.
      source: the images.
      seeds: distinct, at least one; the first decides the order of the blocks.
      labels: the .npy file to write, int32 (seeds, n), -1 for a failed seed and for an image that cannot be read.
      directory: of the checkpoints.
      over: how lanes run, see ``train.train``.
      weights: of the network's first layers.
      max_seconds: stop after the block in which this is passed, with a checkpoint.
      progress: called as the run goes.

    Returns:
      The run, its labels mapped from the file; and the images that could not be read, by place, with reasons.

    Raises:
      ValueError: an argument breaks its rule, no image can be read, or a checkpoint cannot be used.
    """
    check(method, config, source, weights)
    deadline = None if max_seconds is None else time.perf_counter() + max_seconds
    network = fit.build(method, config, source.shape[1:])
    over = driver.fastest(len(seeds)) if over is None else over
    size = block_size(config, method, source)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    pretrain_keys, cluster_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    about = fit._about(method, config, pretraining, source.shape[1:], seeds)
    about |= {"images": [len(source), source.digest], "over": over, "block": size}
    variables = None
    if weights is not None:
        about["weights"] = weights.digest
        variables = fit.weighted(network, pretrain_keys, weights)
    phases: dict[str, fit.Phase] = {}
    failed: list[tuple[str, int] | None] = [None] * len(seeds)
    settings = (
        [("pretrain", fit.pretrainer(method), pretraining, pretrain_keys)]
        if pretraining is not None
        else []
    )
    settings.append(("cluster", method.algorithm, config, cluster_keys))
    for number, (name, algorithm, own, lane_keys) in enumerate(settings):
        order = order_of(seeds[0], number)
        mine = (
            about
            | {"order": order}
            | ({"config": dataclasses.asdict(config)} if name == "cluster" else {})
        )
        phases[name] = fit.run_phase(
            name,
            algorithm,
            _in_blocks(own, len(source), size),
            network,
            lane_keys,
            jnp.asarray(next(source.blocks(size, order))),
            variables,
            over,
            failed,
            directory / name,
            mine,
            deadline,
            progress,
            lambda first, order=order: map(jnp.asarray, source.blocks(size, order, first)),
        )
        for lane, step in enumerate(np.asarray(phases[name].runs.failed)):
            if step >= 0 and failed[lane] is None:
                failed[lane] = (name, int(step))
        if not phases[name].finished:
            return fit.Fit(phases, False, None, failed), {}
        if name == "pretrain":
            variables = phases[name].runs.state.variables
    states = phases["cluster"].runs.state

    def predict(block):
        return driver.apply(
            method.algorithm, config, network, over, states, block, "predict"
        ).cluster

    found, lost = _labelled(predict, source, size, labels, [entry is not None for entry in failed])
    return fit.Fit(phases, True, found, failed, {"": found}), lost


def order_of(seed: int, phase: int) -> int:
    """What decides the order of the blocks.

    Grain counts up from it with each epoch: of numbers in a row phases and seeds would have each other's orders.
    """
    return int(np.random.SeedSequence((seed, phase)).generate_state(1)[0])


def _in_blocks(config: Any, n: int, size: int) -> Any:
    """Settings under which the driver, for which a block is all there is, runs as many windows as the epochs hold."""
    return dataclasses.replace(config, epochs=-(-config.epochs * n // size))


def _labelled(
    predict: Callable[[jax.Array], jax.Array],
    source: Source,
    size: int,
    path: Path,
    failed: list[bool],
) -> tuple[np.ndarray, dict[int, str]]:
    """Labels of all images, written as they come."""
    beside = path.with_name(f".{path.name}.part")
    n = len(source)
    written = np.lib.format.open_memmap(beside, mode="w+", dtype=np.int32, shape=(len(failed), n))
    unreadable: dict[int, str] = {}
    for number, (block, lost) in enumerate(source.in_order(size)):
        first = number * size
        labels = np.asarray(predict(jnp.asarray(block)))[:, : n - first]
        written[:, first : first + size] = np.where(np.array(failed)[:, None], np.int32(-1), labels)
        written[:, list(lost)] = -1
        unreadable |= lost
    written.flush()
    os.replace(beside, path)
    return np.load(path, mmap_mode="r"), unreadable
