"""Runs on images that are read block by block, for sets larger than memory.

The driver's windows are blocks here: each of them is shuffled once more within itself for each
seed, and an epoch is as many blocks as hold n images. No image is held beyond its block. What
grows with n is small: the names of a folder's files (about 100 bytes an image), true classes (4),
and at the end, while they are scored, the clusters (tens of bytes).
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data.sources import Source
from jaxclust.engine import driver, stopping
from jaxclust.errors import UsageError
from jaxclust.ops.batches import batch_size
from jaxclust.types import Method
from jaxclust.whole_files import whole

BLOCK_BYTES = 16 * 2**20
"""Bytes that a block of images may hold, unless a step or the first centroids need more. Three
blocks are held at once: the one in use and those that are read ahead."""


def check(method: Method, source: Source) -> None:
    """Refuses what cannot be streamed, before any work.

    Raises:
      UsageError: the method's state grows with the images, its settings need all images at once,
        or the source is empty.
    """
    if not method.algorithm.streams:
        rule = "stream: must be with a method whose state does not grow"
        raise UsageError(f"{rule}, got {method.about}")
    if len(source) < 1:
        raise UsageError(f"stream: must have images, got none in {source.name}")
    if method.config.start == "kmeans":
        raise UsageError("start: must be seeds or sample to be streamed, kmeans needs all images")
    if method.config.tolerance > 0:
        rule = "tolerance: must be 0 to be streamed, where no window is an epoch"
        raise UsageError(f"{rule}, got {method.config.tolerance}")


def block_size(method: Method, source: Source) -> int:
    """Images in a block: whole steps, as many as BLOCK_BYTES hold, and at most all images.

    A block holds at least as many images as the first centroids are chosen from, which are those
    of the first block.
    """
    step = method.algorithm.schedule(method.config, len(source)).batch
    image = int(np.prod(source.shape[1:])) * source.dtype.itemsize
    steps = max(BLOCK_BYTES // image // step, -(-method.config.sample // step))
    return min(steps * step, len(source))


def order_of(seed: int, phase: int) -> int:
    """What decides the order of a phase's blocks.

    Grain counts up from it with each epoch: with numbers in a row, phases and seeds would have
    each other's orders.
    """
    return int(np.random.SeedSequence((seed, phase)).generate_state(1)[0])


def in_blocks(config: Any, n: int, size: int) -> Any:
    """A phase's settings with its epochs counted in blocks.

    For the driver a block is the whole set: it then runs as many windows as blocks are needed for
    the epochs over all images.

    Args:
      config: the settings; ``epochs`` changes, and ``batch`` where few images have smaller ones,
        which goes by all images, not by those of a block.
      n: number of images.
      size: images in a block.
    """
    changes = {"epochs": -(-config.epochs * n // size)}
    least_steps = getattr(config, "least_steps", None)
    if least_steps is not None:
        changes |= {"batch": batch_size(n, config.batch, least_steps), "least_steps": None}
    return dataclasses.replace(config, **changes)


def read(source: Source, size: int, order: int, first: int) -> Iterator[jax.Array]:
    """Blocks of images without end, from block ``first`` on, in an order that ``order`` decides."""
    return map(jnp.asarray, source.blocks(size, order, first))


class _Stopped(Exception):
    """Leaves the file that is being written."""


def labels(
    program: driver.Program,
    states: Any,
    source: Source,
    size: int,
    path: Path,
    lost: np.ndarray,
) -> tuple[np.ndarray, dict[int, str]] | None:
    """Labels of all images, written block by block.

    Between two blocks it looks whether it is to stop, see ``stopping``.

    Args:
      program: with the method's ``predict``.
      states: of the lanes.
      source: the images.
      size: images in a block.
      path: the .npy file to write.
      lost: which seeds failed, bool (seeds,).

    Returns:
      The labels, int32 (seeds, n), mapped from the file; and the images that could not be read,
      by place, with reasons. None where it was stopped; no file is then left.
    """
    n = len(source)
    shape = (len(lost), n)
    unreadable: dict[int, str] = {}
    try:
        with whole(path) as beside:
            try:
                written = np.lib.format.open_memmap(beside, mode="w+", dtype=np.int32, shape=shape)
                take_space(beside)
            except OSError as error:
                raise UsageError(f"out: {path} must be writable, got {error.strerror}") from error
            for number, (block, reasons) in enumerate(source.in_order(size)):
                if stopping.asked() or stopping.time_is_up():
                    raise _Stopped
                first = number * size
                predicted = driver.apply(program, states, jnp.asarray(block), "predict").cluster
                kept = np.asarray(predicted)[:, : n - first]
                written[:, first : first + size] = np.where(lost[:, None], np.int32(-1), kept)
                written[:, list(reasons)] = -1
                unreadable |= reasons
            written.flush()
    except _Stopped:
        return None
    return np.load(path, mmap_mode="r"), unreadable


def take_space(path: Path) -> None:
    """Takes a file's space on the disk: a write to a mapped file on a full one is fatal.

    Raises:
      OSError: there is not enough.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
