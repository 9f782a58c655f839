"""The directed graph of nearest neighbors for agglomerative clustering, and its first clusters.

No n x n array is held: neighbors are searched for blocks of rows, and a graph is a list of
neighbors and a list of weights for each sample.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError

BLOCK = 256
"""Rows whose distances to all other rows are held at once."""
# Columns in a group. The nearest of each group decides which groups are searched.
_GROUP = 64
# Candidates beyond the k neighbors. |x|^2 - 2 x.y rounds, so the exact distances decide among them.
_SPARE = 8


class Graph(NamedTuple):
    """A weighted directed graph; row i of both lists holds the edges from i, the nearest first.

    Attributes:
      neighbors: int32, (n, K), never i itself.
      weights: float32, (n, K), in [0, 1].
      sigma: the width of the weights, float32, ().
    """

    neighbors: jax.Array
    weights: jax.Array
    sigma: jax.Array


def nearest_neighbors(x: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k nearest other rows of each row.

    Candidates are chosen by ``|y|^2 - 2 x.y``, a matrix product, of points moved to their mean.
    They are then ranked by their exact distance, equal ones by the lower index. The choice is
    exact as long as the squared distances that decide it differ by more than the product rounds,
    which is about 1e-6 of the points' squared distance from their mean. Points of unit length in
    several clusters that are narrower than about 0.002 get neighbors of their own cluster, but not
    always the nearest ones.

    Args:
      x: points, float32, (n, d), finite.
      k: number of neighbors, from 1 to n - 1.

    Returns:
      Squared distances, float32, (n, k), ascending; and the rows that they lead to, int32, (n, k).

    Raises:
      UsageError: k is not in 1..n-1.
    """
    chex.assert_rank(x, 2)
    n = x.shape[0]
    if not 1 <= k < n:
        raise UsageError(f"n_neighbors: must be from 1 to {n - 1} for {n} samples, got {k}")
    groups = -(-n // _GROUP)
    chosen = min(k + _SPARE, n - 1)
    # Rows that are infinitely far fill up the last group. This is the only copy of x.
    x = jnp.pad(x.astype(jnp.float32) - jnp.mean(x, axis=0), ((0, groups * _GROUP - n), (0, 0)))
    norms = jnp.where(jnp.arange(groups * _GROUP) < n, jnp.sum(x**2, axis=1), jnp.inf)
    columns = jnp.arange(groups * _GROUP, dtype=jnp.int32)
    block = min(BLOCK, n)

    def search(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        points = x[rows]
        near = norms - 2 * jnp.matmul(points, x.T, precision=lax.Precision.HIGHEST)
        near = jnp.where(columns == rows[:, None], jnp.inf, near).reshape(block, groups, _GROUP)
        # The best lie in the groups with the smallest minima: sorting the whole row would take
        # three times as long.
        _, best = lax.top_k(-jnp.min(near, axis=2), min(chosen, groups))
        near = jnp.take_along_axis(near, best[:, :, None], axis=1).reshape(block, -1)
        candidates = best[:, :, None] * _GROUP + jnp.arange(_GROUP, dtype=jnp.int32)
        candidates = candidates.reshape(block, -1)
        _, places = lax.top_k(-near, chosen)
        # They are sorted by index, so that the stable sort by distance keeps this order among
        # equal distances.
        candidates = jnp.sort(jnp.take_along_axis(candidates, places, axis=1), axis=1)
        exact = lax.map(lambda column: jnp.sum((points - x[column]) ** 2, axis=1), candidates.T).T
        exact, candidates = lax.sort((exact, candidates), num_keys=1, is_stable=True)
        return exact[:, :k], candidates[:, :k]

    # The last block starts early enough to be full.
    count = -(-n // block)
    starts = jnp.minimum(jnp.arange(count, dtype=jnp.int32) * block, n - block)
    distances, neighbors = lax.map(
        lambda start: search(start + jnp.arange(block, dtype=jnp.int32)), starts
    )
    last = n - (count - 1) * block

    def joined(blocks: jax.Array) -> jax.Array:
        return jnp.concatenate([blocks[:-1].reshape(-1, k), blocks[-1, block - last :]])

    return joined(distances), joined(neighbors)


def knn_digraph(features: jax.Array, n_neighbors: int = 20, a: float = 1.0) -> Graph:
    """The directed affinities of JULE (Yang, Parikh, Batra 2016, eq. 4).

    ``W_ij = exp(-|x_i - x_j|^2 / sigma^2)``, where ``sigma^2`` is ``a / (n K)`` times the sum of
    the squared distances to all neighbors. If all these distances are zero, because each sample
    has K duplicates, sigma is 0 and every weight is 1.

    Args:
      features: float32, (n, d), finite; otherwise sigma is NaN.
      n_neighbors: K_s, edges from each sample, from 1 to n - 1 (20, table 2).
      a: scale of sigma^2, above 0 (1, table 2).

    Returns:
      The graph, with ``n_neighbors`` edges from each sample.

    Raises:
      UsageError: n_neighbors is not in 1..n-1.
    """
    squared, neighbors = nearest_neighbors(features, n_neighbors)
    variance = a * jnp.mean(squared)
    variance = jnp.where(jnp.all(jnp.isfinite(features)), variance, jnp.nan)
    weights = jnp.where(squared == 0, 1, jnp.exp(-squared / variance))
    return Graph(neighbors, weights, jnp.sqrt(variance))


def components(target: jax.Array) -> jax.Array:
    """The connected components of a graph with one edge from each node; directions are ignored.

    Args:
      target: the node that each node's edge leads to, int32, (n,), in 0..n-1; it may be the node
        itself.

    Returns:
      int32, (n,), in 0..components-1, numbered by their first members.
    """
    chex.assert_rank(target, 1)
    n = target.shape[0]

    # The jumps double their length. After n steps every node has reached the cycle of its
    # component, and the smallest node of the next n steps is the smallest of that cycle.
    def double(_, state):
        least, jump = state
        return jnp.minimum(least, least[jump]), jump[jump]

    nodes = jnp.arange(n, dtype=jnp.int32)
    least, jump = lax.fori_loop(0, n.bit_length(), double, (nodes, target))
    return first_numbered(least[jump])


def first_numbered(labels: jax.Array) -> jax.Array:
    """Labels renumbered without gaps, in the order of the first sample that has each.

    Args:
      labels: int32, (n,), in 0..n-1.

    Returns:
      int32, (n,), in 0..clusters-1.
    """
    chex.assert_rank(labels, 1)
    n = labels.shape[0]
    samples = jnp.arange(n, dtype=jnp.int32)
    first = jnp.full(n, n, jnp.int32).at[labels].min(samples)[labels]
    numbers = jnp.cumsum(first == samples, dtype=jnp.int32) - 1
    return numbers[first]


def initial_clusters(graph: Graph) -> jax.Array:
    """The components of the graph of each sample's nearest neighbor (JULE, section 3.6).

    Each of them has at least two samples.

    Returns:
      int32, (n,), in 0..clusters-1, numbered by their first samples.
    """
    chex.assert_rank(graph.neighbors, 2)
    return components(graph.neighbors[:, 0])


def unit(x: jax.Array) -> jax.Array:
    """Rows scaled to unit length; rows of zeros stay zero.

    Args:
      x: float32, (n, d).

    Returns:
      float32, (n, d).
    """
    chex.assert_rank(x, 2)
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), jnp.finfo(jnp.float32).tiny)
