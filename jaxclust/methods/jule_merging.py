"""Merging of JULE's clusters on the graph of their features (Yang, Parikh, Batra, CVPR 2016).

The labels of clusters are in 0..n//2-1 and have gaps, so that their arrays have fixed shapes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.ops.assignment import cluster_means
from jaxclust.ops.batches import in_blocks
from jaxclust.ops.graph_linkage import (
    Affinity,
    Criterion,
    History,
    join_isolated,
    merge,
    no_merges,
)
from jaxclust.ops.neighbor_graph import Graph, first_numbered, initial_clusters, knn_digraph, unit
from jaxclust.types import Key, Network, Variables


class Merging(NamedTuple):
    """The settings of the graph and of the merges; ``jule.Config`` explains each of them.

    Attributes:
      clusters: number of clusters at the end, n_c*.
      unrolling_rate: eta, the share of the clusters that a period merges away.
      n_neighbors: K_s, nearest neighbors of a sample.
      a: scale of sigma^2 in eq. (4).
      n_local: K_c, nearest clusters in eq. (7).
      local_weight: lambda of eq. (7).
      local_above: number of clusters above which lambda counts.
      affinity: how affinities of merged clusters are computed.
      join_isolated: whether clusters without affinity are joined first.
      center_features: whether the graph is made from centered features.
    """

    clusters: int
    unrolling_rate: float
    n_neighbors: int
    a: float
    n_local: int
    local_weight: float
    local_above: int
    affinity: Affinity
    join_isolated: bool
    center_features: bool


def after_period(merging: Merging, clusters: jax.Array | int) -> jax.Array | int:
    """Number of clusters that the merges of a period leave.

    The period merges ceil(eta * clusters) of them away (section 3.6), but stops at the final
    number.

    Args:
      merging: the settings.
      clusters: number of clusters before the merges; an array gives an array, int32 ().
    """
    left = clusters * (1000 - round(1000 * merging.unrolling_rate)) // 1000
    if isinstance(left, int):
        return max(left, merging.clusters)
    return jnp.maximum(left, merging.clusters)


def most_periods(merging: Merging, clusters: int) -> int:
    """Number of periods that lead from ``clusters`` first clusters to the final number."""
    periods = 1
    left = after_period(merging, clusters)
    while left > merging.clusters:
        periods += 1
        left = after_period(merging, left)
    return periods


def batch_features(
    network: Network, variables: Variables, key: Key, images: jax.Array, batch: int
) -> jax.Array:
    """Features with batch statistics, as in the authors' Torch code, but of mixed batches.

    In a data set that is sorted by class, batches in its order would hold one class each.

    Args:
      network: the network.
      variables: its arrays.
      key: a typed key, ().
      images: uint8 or float32 in [0, 1], (n, h, w, c).
      batch: images in a batch.

    Returns:
      float32, (n, d), in the order of the images.
    """
    order = jax.random.permutation(key, images.shape[0])
    features = in_blocks(
        lambda block: network.encode(variables, block, True)[0], images[order], batch
    )
    return jnp.zeros_like(features).at[order].set(features)


def graph_of(merging: Merging, points: jax.Array) -> Graph:
    """The graph of nearest neighbors.

    Args:
      merging: the settings.
      points: as ``points_of`` makes them, float32, (n, d).
    """
    return knn_digraph(points, merging.n_neighbors, merging.a)


def points_of(merging: Merging, features: jax.Array) -> jax.Array:
    """What clusters are merged on: the features, or their directions from their mean.

    Args:
      merging: the settings.
      features: of unit length, float32, (n, d).
    """
    return unit(features - jnp.mean(features, axis=0)) if merging.center_features else features


def merge_period(
    merging: Merging, graph: Graph, points: jax.Array, labels: jax.Array, history: History
) -> tuple[jax.Array, History]:
    """Makes the merges of one period.

    Args:
      merging: the settings.
      graph: as ``graph_of`` makes it.
      points: those that the graph was made from, float32, (n, d).
      labels: the clusters before, int32, (n,).
      history: the merges before.

    Returns:
      The clusters after the merges, int32 (n,), and all merges.
    """
    labels, history = join(merging, graph, points, labels, history)
    left = after_period(merging, count(labels))
    return _merge(merging, graph, labels, left, history)


def from_scratch(merging: Merging, features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Clusters features anew, from the first clusters of their graph to the final number.

    Args:
      merging: the settings.
      features: of unit length, float32, (n, d).

    Returns:
      Labels, int32 (n,), numbered by the first image of each cluster; and the mean features of the
      clusters, float32 (clusters, d).
    """
    points = points_of(merging, features)
    graph = graph_of(merging, points)
    labels, history = join(
        merging, graph, points, initial_clusters(graph), no_merges(features.shape[0])
    )
    labels = first_numbered(_merge(merging, graph, labels, merging.clusters, history)[0])
    return labels, cluster_means(features, labels, merging.clusters)


def join(
    merging: Merging, graph: Graph, points: jax.Array, labels: jax.Array, history: History
) -> tuple[jax.Array, History]:
    """Joins clusters without any affinity to the nearest ones, where the settings ask for it.

    It happens only while there are more than 20 times as many clusters as at the end (authors'
    Torch code). Arguments and results are those of ``merge_period``.
    """
    if not merging.join_isolated:
        return labels, history
    return lax.cond(
        count(labels) > 20 * merging.clusters,
        lambda: join_isolated(graph, points, labels, merging.clusters, history),
        lambda: (labels, history),
    )


def largest_share(labels: jax.Array) -> jax.Array:
    """Share of the images in the largest cluster, float32 (), for labels int32 (n,)."""
    return jnp.max(_sizes(labels)).astype(jnp.float32) / jnp.float32(labels.shape[0])


def count(labels: jax.Array) -> jax.Array:
    """Number of clusters that have an image, int32 (), for labels int32 (n,)."""
    return jnp.sum(_sizes(labels) > 0, dtype=jnp.int32)


def _sizes(labels: jax.Array) -> jax.Array:
    """Number of images in each cluster, int32 (n // 2,)."""
    return jnp.zeros(labels.shape[0] // 2, jnp.int32).at[labels].add(1)


def _merge(
    merging: Merging,
    graph: Graph,
    labels: jax.Array,
    n_clusters: jax.Array | int,
    history: History,
) -> tuple[jax.Array, History]:
    criterion = Criterion(
        merging.local_weight, merging.n_local, merging.local_above, merging.affinity
    )
    return merge(graph, labels, n_clusters, history, criterion)
