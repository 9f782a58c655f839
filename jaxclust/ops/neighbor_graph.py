"""The directed graph of nearest neighbours that agglomerative clustering works on, and its first clusters.

Nothing here is n x n in memory: neighbours are found by blocks of rows, and a graph is lists of neighbours and weights.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError

# Rows of which all distances are held at once.
BLOCK = 256
# Columns of which only the nearest is looked at first.
_GROUP = 64
# Candidates beyond the neighbours wanted: |x|^2 - 2 x.y rounds, and the exact distances decide among them.
_SPARE = 8


class Graph(NamedTuple):
    """A weighted digraph; row i of both lists holds the edges from i, nearest first.

    Attributes:
      neighbors: int32, (n, K), never i itself.
      weights: float32, (n, K), in [0, 1].
      sigma: the width of the weights, float32.
    """

    neighbors: jax.Array
    weights: jax.Array
    sigma: jax.Array


def nearest_neighbors(x: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k nearest other rows of each row.

    Candidates are chosen by ``|y|^2 - 2 x.y``, a matrix product, of points moved to their mean; then they are ranked by
    their exact distance, equals by the lower index. The choice is exact as long as the squared distances that decide it
    differ by more than this product rounds, some 1e-6 of the points' squared distance from their mean: points of unit
    length in several clusters narrower than about .002 get neighbours of their cluster, and not always the nearest.

    Args:
      x: points, float32, (n, d), finite.
      k: neighbours, from 1 to n - 1.

    Returns:
      Squared distances, float32, (n, k), ascending; and the rows they lead to, int32, (n, k).

    Raises:
      ValueError: k is not in 1..n-1.
    """
    n = x.shape[0]
    if not 1 <= k < n:
        raise UsageError(f"n_neighbors: must be from 1 to {n - 1} for {n} samples, got {k}")
    groups = -(-n // _GROUP)
    chosen = min(k + _SPARE, n - 1)
    # Filled up with rows that are infinitely far; the only copy of x that is made.
    x = jnp.pad(x.astype(jnp.float32) - jnp.mean(x, axis=0), ((0, groups * _GROUP - n), (0, 0)))
    norms = jnp.where(jnp.arange(groups * _GROUP) < n, jnp.sum(x**2, axis=1), jnp.inf)
    columns = jnp.arange(groups * _GROUP, dtype=jnp.int32)
    block = min(BLOCK, n)

    def search(rows):
        points = x[rows]
        near = norms - 2 * jnp.matmul(points, x.T, precision=lax.Precision.HIGHEST)
        near = jnp.where(columns == rows[:, None], jnp.inf, near).reshape(block, groups, _GROUP)
        # The best lie in the groups of least minimum: a full sort of the row would take three times as long.
        _, best = lax.top_k(-jnp.min(near, axis=2), min(chosen, groups))
        near = jnp.take_along_axis(near, best[:, :, None], axis=1).reshape(block, -1)
        candidates = (best[:, :, None] * _GROUP + jnp.arange(_GROUP, dtype=jnp.int32)).reshape(
            block, -1
        )
        _, places = lax.top_k(-near, chosen)
        # Ascending, so that a stable sort by distance leaves equals in the order of their index.
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

    def joined(blocks):
        return jnp.concatenate([blocks[:-1].reshape(-1, k), blocks[-1, block - last :]])

    return joined(distances), joined(neighbors)


def knn_digraph(features: jax.Array, n_neighbors: int = 20, a: float = 1.0) -> Graph:
    """The directed affinities of JULE's eq. (4) (Yang, Parikh, Batra 2016), W_ij = exp(-|x_i - x_j|^2 / sigma^2).

    ``sigma^2 = a / (n K) * sum of the squared distances to all neighbours``. If every one of them is zero (each sample
    has K duplicates), sigma is 0 and every weight 1.

    Args:
      features: float32, (n, d), finite; sigma is NaN if they are not.
      n_neighbors: K_s, edges from each sample, from 1 to n - 1 (20, table 2).
      a: scale of sigma^2, above 0 (1, table 2).

    Raises:
      ValueError: n_neighbors breaks its rule.
    """
    squared, neighbors = nearest_neighbors(features, n_neighbors)
    variance = a * jnp.mean(squared)
    variance = jnp.where(jnp.all(jnp.isfinite(features)), variance, jnp.nan)
    weights = jnp.where(squared == 0, 1, jnp.exp(-squared / variance))
    return Graph(neighbors, weights, jnp.sqrt(variance))


def components(target: jax.Array) -> jax.Array:
    """The connected components of a graph in which each node has one edge, to ``target``; its direction is ignored.

    Args:
      target: int32, (n,), in 0..n-1; a node may point to itself.

    Returns:
      int32, (n,), in 0..components-1, numbered by their first members.
    """
    n = target.shape[0]

    # Pointer doubling: after n steps every node stands on its component's cycle, and the least node of the next n is
    # the least of that cycle.
    def double(_, state):
        least, jump = state
        return jnp.minimum(least, least[jump]), jump[jump]

    nodes = jnp.arange(n, dtype=jnp.int32)
    least, jump = lax.fori_loop(0, n.bit_length(), double, (nodes, target))
    return first_numbered(least[jump])


def first_numbered(labels: jax.Array) -> jax.Array:
    """Labels (n,) in 0..n-1 renumbered without gaps by the first sample that has each; int32 (n,)."""
    n = labels.shape[0]
    samples = jnp.arange(n, dtype=jnp.int32)
    first = jnp.full(n, n, jnp.int32).at[labels].min(samples)[labels]
    numbers = jnp.cumsum(first == samples, dtype=jnp.int32) - 1
    return numbers[first]


def initial_clusters(graph: Graph) -> jax.Array:
    """The components of the one-nearest-neighbour graph (JULE, section 3.6): at least two samples in each.

    Returns:
      int32, (n,), in 0..clusters-1, numbered by their first samples.
    """
    return components(graph.neighbors[:, 0])


def unit(x: jax.Array) -> jax.Array:
    """Rows (n, d) scaled to unit length; those of zeros stay."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), jnp.finfo(jnp.float32).tiny)
