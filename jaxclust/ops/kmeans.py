"""k-means: Lloyd's iteration from given centroids, and with restarts from greedy k-means++.

All functions are pure, have fixed shapes, and may be jitted and vmapped. The points are first
moved to their mean, because distances are computed as ``|c|^2 - 2 x.c``, which is accurate only
near the origin. Lloyd's iteration runs over blocks of rows. Beside the data it holds the distances
of one block, never an (n, k) array for each restart.

Empty clusters are treated as in scikit-learn: the i-th empty cluster of an iteration takes the
point that is the i-th farthest from its own centroid, and this point leaves its old cluster. A
point whose distance is within the tolerance is not worth a centroid. This happens when there are
more clusters than distinct points. The empty cluster then stays where it was, and is counted in
``KMeans.empty``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.ops.kmeans_seeding import (
    HIGHEST,
    checked_points,
    mean_point,
    plus_plus,
    squared_lengths,
)
from jaxclust.types import Key

# At d = 784 a block of float32 is 3 MB, about the level-2 cache of a CPU. With 4,096 rows an
# iteration took 1.4 times as long there.
BLOCK = 1024
"""Rows that are taken at once."""


class KMeans(NamedTuple):
    """A clustering.

    Attributes:
      centroids: float32, (k, d).
      labels: each point's nearest centroid, int32, (n,).
      inertia: the sum of squared distances to the nearest centroids, float32, ().
      iterations: updates of the centroids, int32, ().
      empty: clusters without a point in ``labels``, int32, ().
    """

    centroids: jax.Array
    labels: jax.Array
    inertia: jax.Array
    iterations: jax.Array
    empty: jax.Array


class Stopping(NamedTuple):
    """When Lloyd's iteration stops.

    Attributes:
      max_iterations: the largest number of updates, at least 0; with 0 the points are only
        assigned.
      tolerance: at least 0. The iteration stops when the centroids' squared movement is at most
        this times the mean variance of the features (scikit-learn's rule and default). Unchanged
        labels give the same centroids bit by bit, so 0 stops when no label changes.
    """

    max_iterations: int = 300
    tolerance: float = 1e-4

    def check(self) -> None:
        """Refuses values out of their range.

        Raises:
          UsageError: a field breaks its rule.
        """
        if self.max_iterations < 0:
            raise UsageError(f"max_iterations: must be at least 0, got {self.max_iterations}")
        if not self.tolerance >= 0:
            raise UsageError(f"tolerance: must be at least 0, got {self.tolerance}")


STOPPING = Stopping()


def lloyd(
    x: jax.Array, centroids: jax.Array, stopping: Stopping = STOPPING, *, block: int = BLOCK
) -> KMeans:
    """Lloyd's iteration from given centroids.

    Args:
      x: points, (n, d), used as float32.
      centroids: (k, d), used as float32.
      stopping: when it stops.
      block: rows that are taken at once.

    Returns:
      The clustering; the labels and the inertia belong to the centroids returned.

    Raises:
      UsageError: k is above n, ``block`` is below 1, or ``stopping`` breaks a rule.
    """
    chex.assert_rank([x, centroids], 2)
    chex.assert_equal_shape_suffix([x, centroids], 1)
    x = checked_points(x, centroids.shape[0])
    _check(stopping, block)
    return _jitted_lloyd(x, jnp.asarray(centroids, jnp.float32), stopping, block)


def kmeans(
    key: Key,
    x: jax.Array,
    k: int,
    restarts: int = 10,
    stopping: Stopping = STOPPING,
    *,
    block: int = BLOCK,
) -> KMeans:
    """The clustering with the smallest inertia of several runs of k-means++ and Lloyd's iteration.

    Args:
      key: a typed key.
      x: points, (n, d), used as float32.
      k: number of clusters.
      restarts: number of runs. All run at once and share their matrix products.
      stopping: when each run stops.
      block: rows that are taken at once.

    Returns:
      The clustering of the best run.

    Raises:
      UsageError: k is not in 1..n, ``restarts`` or ``block`` is below 1, or ``stopping`` breaks a
        rule.
    """
    x = checked_points(x, k)
    if restarts < 1:
        raise UsageError(f"restarts: must be at least 1, got {restarts}")
    _check(stopping, block)
    return _jitted_kmeans(key, x, k, restarts, stopping, block)


def clustering(
    x: jax.Array, centroids: jax.Array, iterations: jax.Array, block: int = BLOCK
) -> KMeans:
    """The clustering of points by the nearest of given centroids.

    Args:
      x: points near the origin, float32, (n, d).
      centroids: float32, (k, d).
      iterations: updates that led to the centroids, int32, ().
      block: rows that are taken at once.
    """
    labels, distances = _assign(x, centroids, block)
    empty = jnp.sum(jnp.bincount(labels, length=centroids.shape[0]) == 0, dtype=jnp.int32)
    return KMeans(centroids, labels, jnp.sum(distances), iterations, empty)


def _check(stopping: Stopping, block: int) -> None:
    stopping.check()
    if block < 1:
        raise UsageError(f"block: must be at least 1, got {block}")


def _nearest(rows: jax.Array, centroids: jax.Array) -> jax.Array:
    """The nearest centroid of each row, int32, (b,)."""
    # |x|^2 is left out, since it is the same for every centroid. The rows are the last axis, so
    # that the minimum runs along vectors.
    products = jnp.matmul(centroids, rows.T, precision=HIGHEST)
    distances = jnp.sum(centroids**2, axis=1)[:, None] - 2 * products
    return jnp.argmin(distances, axis=0).astype(jnp.int32)


def _over_blocks(x: jax.Array, block: int, function: Callable[..., Any], carry: Any) -> Any:
    """Folds ``carry = function(carry, start, rows, fresh)`` over blocks of rows.

    The last block starts early enough to be full, so that no padded copy of x is made; ``fresh``,
    bool (b,), marks the rows that no block had before.
    """
    n, d = x.shape
    block = min(block, n)

    def body(i, carry):
        start = jnp.minimum(i * block, n - block)
        rows = lax.dynamic_slice(x, (start, 0), (block, d))
        return function(carry, start, rows, start + jnp.arange(block, dtype=jnp.int32) >= i * block)

    return lax.fori_loop(0, -(-n // block), body, carry)


def _assign(x: jax.Array, centroids: jax.Array, block: int) -> tuple[jax.Array, jax.Array]:
    """Labels (n,), and squared distances (n,) to the nearest centroid, computed by differences."""

    def write(carry, start, rows, _):
        labels, distances = carry
        nearest = _nearest(rows, centroids)
        exact = jnp.sum((rows - centroids[nearest]) ** 2, axis=1)
        labels = lax.dynamic_update_slice(labels, nearest, (start,))
        return labels, lax.dynamic_update_slice(distances, exact, (start,))

    n = x.shape[0]
    return _over_blocks(x, block, write, (jnp.zeros(n, jnp.int32), jnp.zeros(n, jnp.float32)))


def _sums(x: jax.Array, centroids: jax.Array, block: int) -> tuple[jax.Array, jax.Array]:
    """Sums (k, d) and numbers (k,) of the points nearest to each centroid."""
    clusters = jnp.arange(centroids.shape[0], dtype=jnp.int32)[:, None]

    def add(carry, _, rows, fresh):
        sums, counts = carry
        members = (_nearest(rows, centroids) == clusters) & fresh
        sums = sums + jnp.matmul(members.astype(jnp.float32), rows, precision=HIGHEST)
        return sums, counts + jnp.sum(members, axis=1, dtype=jnp.int32)

    carry = jnp.zeros_like(centroids), jnp.zeros(centroids.shape[0], jnp.int32)
    return _over_blocks(x, block, add, carry)


def _fill_empty(
    x: jax.Array, centroids: jax.Array, sums: jax.Array, counts: jax.Array, threshold, block: int
) -> tuple[jax.Array, jax.Array]:
    """Gives each empty cluster one of the points that lie farthest from their centroids."""

    def fill(state):
        sums, counts, _ = state
        # Without this dependence on the carry XLA takes the assignment for loop-invariant, moves
        # it out of the loop, and always computes it.
        assigned_by, counts = lax.optimization_barrier((centroids, counts))
        labels, distances = _assign(x, assigned_by, block)
        distances, farthest = lax.top_k(distances, counts.size)
        empty = counts == 0
        turn = jnp.cumsum(empty) - 1
        filled = empty & (distances[turn] > threshold)
        points = x[farthest[turn]]
        donors = labels[farthest[turn]]
        sums = sums.at[donors].add(jnp.where(filled[:, None], -points, 0))
        counts = counts.at[donors].add(jnp.where(filled, -1, 0))
        sums = jnp.where(filled[:, None], points, sums)
        counts = jnp.where(filled, 1, counts)
        return sums, counts, jnp.bool_(False)

    # A cond would always run both branches under vmap. This loop of at most one turn runs only
    # when a lane has an empty cluster.
    sums, counts, _ = lax.while_loop(
        lambda state: state[2], fill, (sums, counts, jnp.any(counts == 0))
    )
    return sums, counts


def _iterate(x, centroids, max_iterations, threshold, block: int) -> tuple[jax.Array, jax.Array]:
    """Lloyd's iteration on points around the origin: centroids and number of updates."""

    # The carry is small, because under vmap the loop selects it in every turn.
    def unfinished(state):
        _, movement, iterations = state
        return (iterations < max_iterations) & (movement > threshold)

    def update(state):
        centroids, _, iterations = state
        sums, counts = _sums(x, centroids, block)
        sums, counts = _fill_empty(x, centroids, sums, counts, threshold, block)
        means = sums / jnp.maximum(counts, 1)[:, None].astype(jnp.float32)
        means = jnp.where(counts[:, None] > 0, means, centroids)
        return means, jnp.sum((means - centroids) ** 2), iterations + 1

    centroids, _, iterations = lax.while_loop(
        unfinished, update, (centroids, jnp.float32(jnp.inf), jnp.int32(0))
    )
    return centroids, iterations


@partial(jax.jit, static_argnames="block")
def _jitted_lloyd(x: jax.Array, centroids: jax.Array, stopping: Stopping, block: int) -> KMeans:
    origin = mean_point(x)
    x = x - origin
    threshold = stopping.tolerance * jnp.mean(squared_lengths(x)) / x.shape[1]
    final, iterations = _iterate(x, centroids - origin, stopping.max_iterations, threshold, block)
    result = clustering(x, final, iterations, block)
    return result._replace(centroids=result.centroids + origin)


@partial(jax.jit, static_argnames=("k", "restarts", "block"))
def _jitted_kmeans(
    key: Key, x: jax.Array, k: int, restarts: int, stopping: Stopping, block: int
) -> KMeans:
    origin = mean_point(x)
    x = x - origin
    threshold = stopping.tolerance * jnp.mean(squared_lengths(x)) / x.shape[1]

    def run(key: Key) -> KMeans:
        centroids = x[plus_plus(key, x, k)]
        final, iterations = _iterate(x, centroids, stopping.max_iterations, threshold, block)
        return clustering(x, final, iterations, block)

    # The restarts run all at once, so that a block of x is read once for all of them. On a CPU
    # an iteration is then up to twice as fast, which makes up for the restarts that wait for the
    # slowest. Other devices only gain.
    results = jax.vmap(run)(jax.random.split(key, restarts))
    best = jax.tree.map(lambda leaf: leaf[jnp.argmin(results.inertia)], results)
    return best._replace(centroids=best.centroids + origin)
