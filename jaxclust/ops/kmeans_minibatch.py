"""k-means by mini-batches (Sculley 2010)."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.ops.assignment import nearest_centroid
from jaxclust.ops.kmeans import KMeans, clustering
from jaxclust.ops.kmeans_seeding import HIGHEST, checked_points, mean_point, plus_plus
from jaxclust.types import Key


def minibatch_update(
    centroids: jax.Array, counts: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One mini-batch of k-means (Sculley 2010, algorithm 1).

    The paper first assigns the whole batch, and then moves the centroids sample by sample with
    learning rate ``1 / count``. A centroid so moved is the mean of its samples, in whatever order
    they come: ``c + (sum x - m c) / (count + m)`` for its m samples of the batch.

    Args:
      centroids: float32, (k, d).
      counts: samples that each centroid has seen, int32, (k,). A centroid that has seen none is
        replaced by its first sample.
      x: the batch, float32, (b, d).

    Returns:
      The new centroids and counts. A centroid without samples in the batch stays.
    """
    return running_means(centroids, counts, x, nearest_centroid(x, centroids))


def running_means(
    centroids: jax.Array, counts: jax.Array, x: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Moves each centroid by its points, one after the other, at a rate of ``1 / count``.

    These are lines 9 to 14 of algorithm 1 (Sculley 2010), in the closed form that
    ``minibatch_update`` states.

    Args:
      centroids: float32, (k, d).
      counts: points that each centroid has seen, int32, (k,).
      x: points, float32, (b, d).
      labels: each point's centroid, int32, (b,).

    Returns:
      The new centroids and counts.
    """
    chex.assert_rank([centroids, counts, x, labels], [2, 1, 2, 1])
    chex.assert_equal_shape_prefix([centroids, counts], 1)
    chex.assert_equal_shape_prefix([x, labels], 1)
    chex.assert_equal_shape_suffix([x, centroids], 1)
    members = jax.nn.one_hot(labels, centroids.shape[0], dtype=jnp.float32)
    size = jnp.sum(members, axis=0)
    counts = counts + size.astype(jnp.int32)
    movement = jnp.matmul(members.T, x, precision=HIGHEST) - size[:, None] * centroids
    return centroids + movement / jnp.maximum(counts, 1)[:, None].astype(jnp.float32), counts


def minibatch_kmeans(key: Key, x: jax.Array, k: int, batch: int = 1024, steps: int = 300) -> KMeans:
    """k-means by mini-batches: less exact than ``kmeans``, but a step's cost does not grow with n.

    The centroids start by k-means++ on ``3 * batch`` random points (scikit-learn's number).
    Batches are drawn with replacement. An empty cluster stays where it is.

    Args:
      key: a typed key.
      x: points, (n, d), used as float32.
      k: number of clusters.
      batch: points in each step.
      steps: number of updates.

    Returns:
      The clustering of all points; ``iterations`` is ``steps``.

    Raises:
      UsageError: k is not in 1..n, 3 * batch is below k, or ``steps`` is below 0.
    """
    x = checked_points(x, k)
    if 3 * batch < k:
        raise UsageError(f"batch: must be at least k / 3, got {batch} for k = {k}")
    if steps < 0:
        raise UsageError(f"steps: must be at least 0, got {steps}")
    return _jitted_minibatch(key, x, k, batch, steps)


@partial(jax.jit, static_argnames=("k", "batch"))
def _jitted_minibatch(key: Key, x: jax.Array, k: int, batch: int, steps: jax.Array | int) -> KMeans:
    key_start, key_plus_plus, key_steps = jax.random.split(key, 3)
    n = x.shape[0]
    origin = mean_point(x)
    x = x - origin

    def step(i, carry):
        centroids, counts = carry
        rows = jax.random.randint(jax.random.fold_in(key_steps, i), (batch,), 0, n, jnp.int32)
        return minibatch_update(centroids, counts, x[rows])

    # The points are drawn without replacement, so that k distinct ones are among them.
    start = x[jax.random.permutation(key_start, n)[: 3 * batch]]
    carry = start[plus_plus(key_plus_plus, start, k)], jnp.zeros(k, jnp.int32)
    centroids, _ = lax.fori_loop(0, steps, step, carry)
    result = clustering(x, centroids, jnp.asarray(steps, jnp.int32))
    return result._replace(centroids=result.centroids + origin)
