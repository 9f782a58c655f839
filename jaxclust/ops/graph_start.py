"""Clusters of an embedding by graph degree linkage, as a start for methods that have centroids.

k-means prefers clusters of equal size and round shape; graph degree linkage follows the data, but
leaves a handful of outliers as clusters of their own. So the merges are undone until as many large
clusters stand as are asked for, and the images of all other clusters join the nearest mean.
"""

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.ops.assignment import cluster_means, nearest_centroid
from jaxclust.ops.graph_linkage import merge
from jaxclust.ops.graph_linkage_state import History, no_merges
from jaxclust.ops.neighbor_graph import initial_clusters, knn_digraph, unit

NEIGHBORS = 20
"""Edges from each image (JULE, table 2), or to all others where there are fewer."""
LEAST_SHARE = 0.25
"""Size of a large cluster, as a share of the mean size n / k (chosen on USPS)."""


def graph_clusters(features: jax.Array, clusters: int) -> jax.Array:
    """Clusters by graph degree linkage, of which none is small where that is possible.

    Args:
      features: float32, (n, d), n at least 2; they are scaled to unit length here.
      clusters: number of clusters k.

    Returns:
      int32, (n,), in 0..k-1, in the order of the clusters' sizes. If no stage of the merging has k
      clusters of at least n / (4 k) images, the stage with most of them counts, and its k largest
      clusters. A number is unused only where merging starts with fewer than k clusters.
    """
    chex.assert_rank(features, 2)
    n = features.shape[0]
    points = unit(features)
    graph = knn_digraph(points, min(NEIGHBORS, n - 1))
    first = initial_clusters(graph)
    _, history = merge(graph, first, clusters, no_merges(n))
    labels, sizes = _large_clusters(first, history, clusters)
    # The numbers 0..k-1 go to the largest clusters; the images of all others have number k.
    largest = lax.top_k(sizes, min(clusters, sizes.shape[0]))[1]
    numbers = jnp.arange(largest.shape[0], dtype=jnp.int32)
    numbers = jnp.full(sizes.shape[0], clusters, jnp.int32).at[largest].set(numbers)
    labels = numbers[labels]
    means = cluster_means(points, labels, clusters + 1)[:-1]
    return jnp.where(labels < clusters, labels, nearest_centroid(points, means))


def _large_clusters(
    labels: jax.Array, history: History, clusters: int
) -> tuple[jax.Array, jax.Array]:
    """The clusters after the last merge that leaves k large ones, or the most if there never are k.

    Args:
      labels: the clusters before the first merge, int32, (n,).
      history: the merges.
      clusters: number of clusters k.

    Returns:
      The labels, int32 (n,), and the size of each cluster, int32 (capacity,), 0 where it is gone.
    """
    n = labels.shape[0]
    least = LEAST_SHARE * n / clusters
    capacity = history.pairs.shape[0]
    sizes = jnp.zeros(capacity, jnp.int32).at[labels].add(1)

    def large(size: jax.Array) -> jax.Array:
        return (size >= least).astype(jnp.int32)

    def after(carry, pair):
        sizes, count = carry
        keep, gone = pair
        joined = sizes[keep] + sizes[gone]
        # An unused entry of the history, -1, changes nothing.
        more = large(joined) - large(sizes[keep]) - large(sizes[gone])
        count += jnp.where(keep < 0, 0, more)
        sizes = sizes.at[jnp.where(keep < 0, capacity, keep)].set(joined, mode="drop")
        sizes = sizes.at[jnp.where(keep < 0, capacity, gone)].set(0, mode="drop")
        return (sizes, count), count

    start = jnp.sum(large(sizes))
    _, counts = lax.scan(after, (sizes, start), history.pairs)
    counts = jnp.append(start, counts)
    merges = jnp.arange(capacity + 1, dtype=jnp.int32)
    enough = jnp.minimum(counts, clusters)
    best = jnp.max(jnp.where(merges <= history.count, enough, 0))
    last = jnp.max(jnp.where((enough == best) & (merges <= history.count), merges, 0))
    # Each merged cluster points to the one that it joined, which has a lower number.
    keep, gone = history.pairs.T
    done = jnp.arange(capacity) < last
    target = jnp.arange(capacity, dtype=jnp.int32)
    target = target.at[jnp.where(done, gone, capacity)].set(keep, mode="drop")
    target = lax.fori_loop(0, n.bit_length(), lambda _, target: target[target], target)
    labels = target[labels]
    return labels, jnp.zeros(capacity, jnp.int32).at[labels].add(1)
