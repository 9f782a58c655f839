"""What the methods of this package share that make factors of the images' values.

One step is one iteration on all images: a batch has them all, in their order.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.methods import self_training
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Key, Network, Schedule

Signed = Literal["refuse", "split"]
"""What becomes of values below 0: they are refused, or each value x becomes the two values
max(x, 0) and max(-x, 0)."""
STEPS = 20
"""The most steps in a window, after which the labels are made anew."""


def schedule(iterations: int, n: int) -> Schedule:
    """Full-batch steps, in windows of at most ``STEPS`` that have the same length.

    Args:
      iterations: steps; the window's length is the largest that divides it.
      n: number of images.
    """
    length = max(steps for steps in range(1, STEPS + 1) if iterations % steps == 0)
    return Schedule(n, length, iterations // length, "sequential")


def check_values(config: Any, images: np.ndarray) -> None:
    """Refuses values below 0, unless the setting ``signed`` splits them.

    Raises:
      UsageError: a value is below 0.
    """
    if config.signed == "split" or images.dtype.kind == "u" or images.size == 0:
        return
    least = float(images.min())
    if least < 0:
        rule = "images: must be at least 0 for non-negative factors, or signed must be split"
        raise UsageError(f"{rule}, got {least:g}")


def check_network(network: Network, images: jax.Array, signed: Signed) -> None:
    """Refuses a network other than pixels unless its values are split: they may be below 0.

    Args:
      network: of the method.
      images: (n, h, w, c).
      signed: as in ``Signed``.

    Raises:
      UsageError: the network is another one, and ``signed`` is "refuse".
    """
    _, height, width, channels = images.shape
    if signed == "refuse" and network != pixels((height, width, channels)):
        rule = "signed: must be split for a network other than pixels, whose values may be below 0"
        raise UsageError(f"{rule}, got {signed}")


def parts(x: jax.Array, signed: Signed) -> jax.Array:
    """Values without a sign, float32, (n, d), or (n, 2 d) where they are split.

    Args:
      x: float32, (n, d).
      signed: as in ``Signed``; with "refuse" the values are taken as they are.
    """
    if signed == "refuse":
        return x
    return jnp.concatenate([jnp.maximum(x, 0), jnp.maximum(-x, 0)], axis=1)


def relabeled(
    config: Any, key: Key, labels: jax.Array, rows: jax.Array
) -> tuple[jax.Array, jax.Array, RefreshInfo]:
    """The clusters of rows by k-means, and how the labels changed.

    Args:
      config: has ``clusters`` and ``restarts``.
      key: a typed key.
      labels: those before, int32, (n,).
      rows: float32, (n, k).

    Returns:
      Labels, int32 (n,), centroids, float32 (clusters, k), and the changes.
    """
    result = kmeans(key, rows, config.clusters, config.restarts)
    # k-means numbers its clusters anew each time.
    table = jnp.zeros((config.clusters, config.clusters), jnp.int32)
    table = table.at[labels, result.labels].add(1)
    renamed = jnp.argmax(table, axis=1).astype(jnp.int32)[labels]
    info = self_training.change(renamed, result.labels, config.clusters)
    return result.labels, result.centroids, info
