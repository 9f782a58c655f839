"""k-means: greedy k-means++, Lloyd's iteration with restarts, and mini-batches.

All functions are pure, of fixed shapes, and may be jitted and vmapped. Points are moved to their mean first: distances
are taken as ``|c|^2 - 2 x.c``, which is accurate only near the origin. Lloyd runs over blocks of rows, so that beside
the data it holds one block's distances, never an (n, k) array per restart.

Empty clusters: as in scikit-learn, the i-th empty cluster of an iteration takes the i-th farthest point from
its own centroid, and that point leaves its old cluster. A point nearer than the tolerance is not worth a centroid
(more clusters than distinct points): the empty cluster then stays where it was, and is counted in ``KMeans.empty``.
"""

from functools import partial
from math import log
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.ops.assignment import nearest_centroid
from jaxclust.types import Key

# Rows at once: at d = 784 a block of float32 is 3 MB, about a CPU's level-2 cache; 4,096 took 1.4 times as long there.
BLOCK = 1024
HIGHEST = lax.Precision.HIGHEST


class KMeans(NamedTuple):
    """A clustering.

    Attributes:
      centroids: float32, (k, d).
      labels: int32, (n,), each point's nearest centroid.
      inertia: float32, the sum of squared distances to the nearest centroids.
      iterations: int32, updates of the centroids.
      empty: int32, clusters that hold no point in ``labels``.
    """

    centroids: jax.Array
    labels: jax.Array
    inertia: jax.Array
    iterations: jax.Array
    empty: jax.Array


def kmeans_plus_plus(key: Key, x: jax.Array, k: int) -> jax.Array:
    """Starting centroids by greedy k-means++ (Arthur & Vassilvitskii 2007, sections 2.2 and 7).

    The first is a uniformly drawn point. For each further one, ``2 + floor(log k)`` candidates (scikit-learn's number)
    are drawn with probability proportional to the squared distance from the centroids so far, and the one that lowers
    the total most is kept.

    Args:
      key: a typed key.
      x: points, (n, d), used as float32.
      k: number of centroids.

    Returns:
      float32, (k, d), rows of x.

    Raises:
      ValueError: if x is not of rank 2, or k is not in 1..n.
    """
    x = _points(x, k)
    return _jitted_plus_plus(key, x, k)


def lloyd(
    x: jax.Array,
    centroids: jax.Array,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    *,
    block: int = BLOCK,
) -> KMeans:
    """Lloyd's iteration from given centroids.

    It stops when the centroids' squared movement is at most ``tolerance`` times the mean variance of the features
    (scikit-learn's rule and default). Unchanged labels give the same centroids bit by bit, so a tolerance of 0 runs
    until no label changes.

    Args:
      x: points, (n, d), used as float32.
      centroids: (k, d), used as float32.
      max_iterations: updates at most; 0 only assigns.
      tolerance: at least 0.
      block: rows taken at once.

    Returns:
      The clustering; the labels and the inertia belong to the centroids returned.

    Raises:
      ValueError: if x or the centroids are not of rank 2 or of different d, k > n, max_iterations < 0,
        tolerance < 0 or block < 1.
    """
    shape = jnp.shape(centroids)
    if len(shape) != 2 or shape[1:] != jnp.shape(x)[1:]:
        raise UsageError(f"centroids must be (k, d) with x's d, got {shape} for x {jnp.shape(x)}")
    x = _points(x, shape[0])
    _check_lloyd(max_iterations, tolerance, block)
    return _jitted_lloyd(x, jnp.asarray(centroids, jnp.float32), max_iterations, tolerance, block)


def kmeans(
    key: Key,
    x: jax.Array,
    k: int,
    restarts: int = 10,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    *,
    block: int = BLOCK,
) -> KMeans:
    """The clustering of least inertia of several runs of k-means++ and Lloyd's iteration.

    Args:
      key: a typed key.
      x: points, (n, d), used as float32.
      k: number of clusters.
      restarts: runs, all at once; they share their matrix products.
      max_iterations: updates at most, per run.
      tolerance: see ``lloyd``.
      block: rows taken at once.

    Returns:
      The best run's clustering.

    Raises:
      ValueError: if x is not of rank 2, k is not in 1..n, restarts < 1, max_iterations < 0, tolerance < 0 or block < 1.
    """
    x = _points(x, k)
    if restarts < 1:
        raise UsageError(f"restarts must be at least 1, got {restarts}")
    _check_lloyd(max_iterations, tolerance, block)
    return _jitted_kmeans(key, x, k, restarts, max_iterations, tolerance, block)


def minibatch_update(
    centroids: jax.Array, counts: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One mini-batch of k-means (Sculley 2010, algorithm 1).

    The paper assigns the whole batch first, and then moves centroids sample by sample with learning rate ``1 / count``.
    A centroid so moved is the mean of its samples, whatever their order: ``c + (sum x - m c) / (count + m)`` for its m
    samples of the batch.

    Args:
      centroids: float32, (k, d).
      counts: samples each centroid has seen, int32, (k,); a centroid that has seen none is replaced by its first.
      x: the batch, float32, (b, d).

    Returns:
      The new centroids and counts. A centroid without samples in the batch stays.
    """
    return running_means(centroids, counts, x, nearest_centroid(x, centroids))


def running_means(
    centroids: jax.Array, counts: jax.Array, x: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Moves each centroid by its points, one after the other, at a rate of ``1 / count`` (Sculley 2010, lines 9 to 14).

    Args:
      centroids: float32, (k, d).
      counts: points each centroid has seen, int32, (k,).
      x: points, float32, (b, d).
      labels: each point's centroid, int32, (b,).

    Returns:
      The new centroids and counts, in closed form: see ``minibatch_update``.
    """
    members = jax.nn.one_hot(labels, centroids.shape[0], dtype=jnp.float32)
    size = jnp.sum(members, axis=0)
    counts = counts + size.astype(jnp.int32)
    movement = jnp.matmul(members.T, x, precision=HIGHEST) - size[:, None] * centroids
    return centroids + movement / jnp.maximum(counts, 1)[:, None].astype(jnp.float32), counts


def minibatch_kmeans(key: Key, x: jax.Array, k: int, batch: int = 1024, steps: int = 300) -> KMeans:
    """k-means by mini-batches (Sculley 2010): less exact than ``kmeans``, at a cost per step that does not grow with n.

    The centroids start by k-means++ on ``3 * batch`` random points (scikit-learn's number). Batches are drawn with
    replacement. An empty cluster stays where it is.

    Args:
      key: a typed key.
      x: points, (n, d), used as float32.
      k: number of clusters.
      batch: points per step.
      steps: updates.

    Returns:
      The clustering of all points; ``iterations`` is ``steps``.

    Raises:
      ValueError: if x is not of rank 2, k is not in 1..n, 3 * batch < k, or steps < 0.
    """
    x = _points(x, k)
    if 3 * batch < k:
        raise UsageError(f"batch must be at least k / 3, got {batch} for k = {k}")
    if steps < 0:
        raise UsageError(f"steps must be at least 0, got {steps}")
    return _jitted_minibatch(key, x, k, batch, steps)


def _points(x: jax.Array, k: int) -> jax.Array:
    if jnp.ndim(x) != 2:
        raise UsageError(f"x must have rank 2, (n, d), got shape {jnp.shape(x)}")
    if not 1 <= k <= jnp.shape(x)[0]:
        raise UsageError(f"k must be in 1..n, got {k} for n = {jnp.shape(x)[0]}")
    return jnp.asarray(x, jnp.float32)


def _check_lloyd(max_iterations: int, tolerance: float, block: int) -> None:
    if max_iterations < 0:
        raise UsageError(f"max_iterations must be at least 0, got {max_iterations}")
    if not tolerance >= 0:
        raise UsageError(f"tolerance must be at least 0, got {tolerance}")
    if block < 1:
        raise UsageError(f"block must be at least 1, got {block}")


def _origin(x: jax.Array) -> jax.Array:
    # Taken from the first point, equal points have exactly their value as the mean, and are exactly zero once moved.
    return x[0] + jnp.mean(x - x[0], axis=0)


def _norms(x: jax.Array) -> jax.Array:
    """Squared lengths, float32, (n,). As a product: on a CPU, XLA writes x**2 out, one more copy of the data."""
    return jnp.einsum("nd,nd->n", x, x, precision=HIGHEST)


def _nearest(rows: jax.Array, centroids: jax.Array) -> jax.Array:
    """int32, (b,). |x|^2 is the same for every centroid. Rows are the last axis: the minimum runs along vectors."""
    products = jnp.matmul(centroids, rows.T, precision=HIGHEST)
    return jnp.argmin(jnp.sum(centroids**2, axis=1)[:, None] - 2 * products, axis=0).astype(
        jnp.int32
    )


def _over_blocks(x, block, function, carry):
    """carry = function(carry, start, rows, fresh) for each block of rows.

    The last block starts early enough to be full, without a padded copy of x; ``fresh`` (b,) marks its rows not seen
    before.
    """
    n, d = x.shape
    block = min(block, n)

    def body(i, carry):
        start = jnp.minimum(i * block, n - block)
        rows = lax.dynamic_slice(x, (start, 0), (block, d))
        return function(carry, start, rows, start + jnp.arange(block, dtype=jnp.int32) >= i * block)

    return lax.fori_loop(0, -(-n // block), body, carry)


def _assign(x, centroids, block):
    """Labels (n,) and squared distances (n,) to the nearest centroid, the latter from the differences."""

    def write(carry, start, rows, _):
        labels, distances = carry
        nearest = _nearest(rows, centroids)
        exact = jnp.sum((rows - centroids[nearest]) ** 2, axis=1)
        return lax.dynamic_update_slice(labels, nearest, (start,)), lax.dynamic_update_slice(
            distances, exact, (start,)
        )

    n = x.shape[0]
    return _over_blocks(x, block, write, (jnp.zeros(n, jnp.int32), jnp.zeros(n, jnp.float32)))


def _sums(x, centroids, block):
    """Sums (k, d) and numbers (k,) of the points nearest to each centroid."""
    clusters = jnp.arange(centroids.shape[0], dtype=jnp.int32)[:, None]

    def add(carry, _, rows, fresh):
        sums, counts = carry
        members = (_nearest(rows, centroids) == clusters) & fresh
        sums = sums + jnp.matmul(members.astype(jnp.float32), rows, precision=HIGHEST)
        return sums, counts + jnp.sum(members, axis=1, dtype=jnp.int32)

    carry = jnp.zeros_like(centroids), jnp.zeros(centroids.shape[0], jnp.int32)
    return _over_blocks(x, block, add, carry)


def _fill_empty(x, centroids, sums, counts, threshold, block):
    """Gives each empty cluster one of the points that lie farthest from their centroids."""

    def fill(state):
        sums, counts, _ = state
        # Without this tie to the carry XLA finds the pass loop-invariant, moves it out of the loop, and always runs it.
        assigned_by, counts = lax.optimization_barrier((centroids, counts))
        labels, distances = _assign(x, assigned_by, block)
        distances, farthest = lax.top_k(distances, counts.size)
        empty = counts == 0
        turn = jnp.cumsum(empty) - 1
        filled = empty & (distances[turn] > threshold)
        points, donors = x[farthest[turn]], labels[farthest[turn]]
        sums = sums.at[donors].add(jnp.where(filled[:, None], -points, 0))
        counts = counts.at[donors].add(jnp.where(filled, -1, 0))
        return (
            jnp.where(filled[:, None], points, sums),
            jnp.where(filled, 1, counts),
            jnp.bool_(False),
        )

    # A loop of at most one turn: under vmap a cond would always run both branches, this runs only when a lane needs it.
    sums, counts, _ = lax.while_loop(
        lambda state: state[2], fill, (sums, counts, jnp.any(counts == 0))
    )
    return sums, counts


def _iterate(x, centroids, max_iterations, threshold, block):
    """Lloyd's iteration on centred points. The carry is small: under vmap the loop selects it at every turn."""

    def unfinished(state):
        _, movement, iterations = state
        return (iterations < max_iterations) & (movement > threshold)

    def update(state):
        centroids, _, iterations = state
        sums, counts = _fill_empty(x, centroids, *_sums(x, centroids, block), threshold, block)
        means = sums / jnp.maximum(counts, 1)[:, None].astype(jnp.float32)
        means = jnp.where(counts[:, None] > 0, means, centroids)
        return means, jnp.sum((means - centroids) ** 2), iterations + 1

    centroids, _, iterations = lax.while_loop(
        unfinished, update, (centroids, jnp.float32(jnp.inf), jnp.int32(0))
    )
    return centroids, iterations


def _result(x, centroids, iterations, block) -> KMeans:
    labels, distances = _assign(x, centroids, block)
    empty = jnp.sum(jnp.bincount(labels, length=centroids.shape[0]) == 0, dtype=jnp.int32)
    return KMeans(centroids, labels, jnp.sum(distances), iterations, empty)


def _plus_plus(key, x, k):
    """Indices (k,) of the points chosen from the centred x."""
    key_first, key_next = jax.random.split(key)
    norms = _norms(x)

    def to_points(rows):
        products = jnp.matmul(x[rows], x.T, precision=HIGHEST)
        return jnp.maximum(norms[rows][:, None] - 2 * products + norms, 0)

    def choose(i, carry):
        chosen, distances = carry
        cumulative = jnp.cumsum(distances)
        draws = (
            jax.random.uniform(jax.random.fold_in(key_next, i), (2 + int(log(k)),)) * cumulative[-1]
        )
        # From the right, a point of distance 0 is not drawn; if all are 0, the last point is, once more.
        candidates = jnp.minimum(jnp.searchsorted(cumulative, draws, side="right"), x.shape[0] - 1)
        reduced = jnp.minimum(to_points(candidates), distances)
        best = jnp.argmin(jnp.sum(reduced, axis=1))
        return chosen.at[i].set(candidates[best]), reduced[best]

    first = jax.random.randint(key_first, (1,), 0, x.shape[0], jnp.int32)
    carry = jnp.zeros(k, jnp.int32).at[0].set(first[0]), to_points(first)[0]
    return lax.fori_loop(1, k, choose, carry)[0]


@partial(jax.jit, static_argnames="k")
def _jitted_plus_plus(key, x, k):
    return x[_plus_plus(key, x - _origin(x), k)]


@partial(jax.jit, static_argnames="block")
def _jitted_lloyd(x, centroids, max_iterations, tolerance, block):
    origin = _origin(x)
    x = x - origin
    threshold = tolerance * jnp.mean(_norms(x)) / x.shape[1]
    result = _result(x, *_iterate(x, centroids - origin, max_iterations, threshold, block), block)
    return result._replace(centroids=result.centroids + origin)


@partial(jax.jit, static_argnames=("k", "restarts", "block"))
def _jitted_kmeans(key, x, k, restarts, max_iterations, tolerance, block):
    origin = _origin(x)
    x = x - origin
    threshold = tolerance * jnp.mean(_norms(x)) / x.shape[1]

    def run(key):
        centroids = x[_plus_plus(key, x, k)]
        return _result(x, *_iterate(x, centroids, max_iterations, threshold, block), block)

    # All at once, not one after the other: a block of x is read once for all restarts. On a CPU this makes an iteration
    # up to twice as fast, which pays for the restarts that wait for the slowest; other devices only gain.
    results = jax.vmap(run)(jax.random.split(key, restarts))
    best = jax.tree.map(lambda leaf: leaf[jnp.argmin(results.inertia)], results)
    return best._replace(centroids=best.centroids + origin)


@partial(jax.jit, static_argnames=("k", "batch"))
def _jitted_minibatch(key, x, k, batch, steps):
    key_start, key_plus_plus, key_steps = jax.random.split(key, 3)
    n = x.shape[0]
    origin = _origin(x)
    x = x - origin

    def step(i, carry):
        rows = jax.random.randint(jax.random.fold_in(key_steps, i), (batch,), 0, n, jnp.int32)
        return minibatch_update(*carry, x[rows])

    # Without replacement: k distinct points are there to choose from.
    start = x[jax.random.permutation(key_start, n)[: 3 * batch]]
    carry = start[_plus_plus(key_plus_plus, start, k)], jnp.zeros(k, jnp.int32)
    centroids, _ = lax.fori_loop(0, steps, step, carry)
    result = _result(x, centroids, jnp.asarray(steps, jnp.int32), BLOCK)
    return result._replace(centroids=result.centroids + origin)
