"""The merges of graph degree linkage and of JULE, as one compiled loop over a kNN digraph.

Zhang, Wang, Zhao, Tang: Graph Degree Linkage, ECCV 2012; Yang, Parikh, Batra: JULE, CVPR 2016,
sections 3.3 and 3.5.

The affinity of clusters i and j is ``A(i, j) = S(i; j) / |C_i|^2 + S(j; i) / |C_j|^2``. There
``S(i; j) = 1' W_ij W_ji 1`` sums the product of the two weights over all paths t -> s -> u from
C_i into C_j and back. So each edge t -> s carries a flow, ``W_ts`` times the weight of the edges
from s back into t's cluster, and S(i; j) is the flow of the edges from C_i to C_j. The flow of
an edge changes only when the cluster of its tail does. A merge computes the flows of the new
cluster's edges anew from the weights, and its affinities from the flows. No sum is updated by a
difference, so no rounding error builds up, and there is neither an n x n nor a k x k table. Each
cluster keeps a short list of its nearest clusters, and goes through its edges again only when
merges have used the list up. ``merge_state`` has the edges and the clusters,
``nearest_clusters`` the lists.
"""

from functools import partial
from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

from jaxclust.ops.graph_linkage_nearest import after_merge, with_known, with_list
from jaxclust.ops.graph_linkage_state import (
    BLOCK,
    Clusters,
    Edges,
    History,
    affinities,
    clusters_of,
    edges_of,
    flow_of,
    flows,
    moved,
    no_merges,
    over_rows,
    packed,
)
from jaxclust.ops.neighbor_graph import Graph, components

__all__ = ["Affinity", "Criterion", "History", "join_isolated", "merge", "no_merges"]

Affinity = Literal["exact", "fast"]

# Entries of a list beyond those that the criterion needs: each merge may remove two of them.
_SPARE = 4


class Criterion(NamedTuple):
    """What decides which two clusters merge next (JULE, eq. 7, with the sign turned).

    The cluster i with the largest
    ``A(i, 1st) + lambda / (K_c - 1) sum_{k=2..K_c} (A(i, 1st) - A(i, kth))`` merges with its
    nearest cluster. Among equal ones it is the cluster with the lower number, and it merges with
    the lower-numbered of equally near clusters. When no two clusters have any affinity left, the
    two with the lowest numbers merge.

    Attributes:
      local_weight: lambda, at least 0; 0 is plain graph degree linkage, 1 is the paper's value.
        It may be an array.
      n_local: K_c, the number of nearest clusters that count, at least 2.
      local_above: lambda counts only while there are more clusters than this.
      affinity: "exact", or "fast" for the approximation of JULE's Torch code,
        S(a u b; c) = S(a; c) + S(b; c).
    """

    local_weight: jax.Array | float = 0.0
    n_local: int = 5
    local_above: int = 0
    affinity: Affinity = "exact"


PLAIN = Criterion()
"""The criterion of plain graph degree linkage."""


def merge(
    graph: Graph,
    labels: jax.Array,
    n_clusters: jax.Array | int,
    history: History,
    criterion: Criterion = PLAIN,
) -> tuple[jax.Array, History]:
    """Merges clusters until ``n_clusters`` are left.

    It is pure and may be jitted. Under vmap the lanes run one after the other.

    Args:
      graph: of n samples.
      labels: int32, (n,). Each cluster has at least two samples, so that numbers are in
        0..n//2-1.
      n_clusters: number of clusters at which to stop, int32, (). Nothing happens at or below it.
      history: the merges that led to ``labels``; it is continued.
      criterion: which clusters merge.

    Returns:
      labels, int32, (n,), a merged cluster having the lower number; and the history.
    """
    _check_shapes(graph, labels, history)
    n_local = criterion.n_local

    @sequential_vmap
    def run(graph, labels, n_clusters, history, local_weight):
        edges = edges_of(graph)
        width = min(n_local + _SPARE, history.pairs.shape[0])
        clusters = clusters_of(edges, labels, history, width)

        def body(clusters: Clusters) -> Clusters:
            counts = clusters.count > criterion.local_above
            weight = jnp.where(counts, local_weight, 0) / (n_local - 1)
            clusters = with_known(edges, clusters, jnp.where(weight > 0, n_local, 1))
            keep, gone = _best(clusters, weight, n_local)
            return _merged(edges, clusters, keep, gone, criterion.affinity)

        clusters = lax.while_loop(
            lambda clusters: clusters.count > jnp.maximum(n_clusters, 1), body, clusters
        )
        return clusters.labels[:-1], clusters.history

    return run(
        graph,
        jnp.asarray(labels, jnp.int32),
        jnp.int32(n_clusters),
        history,
        jnp.asarray(criterion.local_weight, jnp.float32),
    )


def join_isolated(
    graph: Graph,
    features: jax.Array,
    labels: jax.Array,
    n_clusters: jax.Array | int,
    history: History,
) -> tuple[jax.Array, History]:
    """Joins each cluster without affinity to any other to the cluster with the nearest mean.

    JULE's Torch code does this. All clusters join at once; where several point to each other, they
    become one. Only the first of them join, as many as there are clusters above ``n_clusters``; the
    rest stay.

    Args:
      graph: of n samples.
      features: float32, (n, d).
      labels: as for ``merge``.
      n_clusters: the smallest number of clusters that may be left, int32, ().
      history: the merges that led to ``labels``; it is continued.

    Returns:
      labels, int32, (n,), and the history.
    """
    _check_shapes(graph, labels, history)
    chex.assert_rank(features, 2)
    chex.assert_equal_shape_prefix([features, labels], 1)
    c = history.pairs.shape[0]
    ties = _ties(graph, labels, c)
    size = jnp.zeros(c, jnp.float32).at[labels].add(1)
    means = (
        jnp.zeros((c, features.shape[1]), jnp.float32).at[labels].add(features)
        / jnp.maximum(size, 1)[:, None]
    )
    numbers = jnp.arange(c, dtype=jnp.int32)
    isolated = (size > 0) & (ties == 0)
    isolated &= jnp.cumsum(isolated) <= jnp.sum(size > 0) - n_clusters

    def point(state):
        target, left = state
        cluster = jnp.argmax(left).astype(jnp.int32)
        distances = jnp.sum((means - means[cluster]) ** 2, axis=1)
        distances = jnp.where((size > 0) & (numbers != cluster), distances, jnp.inf)
        target = target.at[cluster].set(jnp.argmin(distances).astype(jnp.int32))
        return target, left.at[cluster].set(False)

    target, _ = lax.while_loop(lambda state: jnp.any(state[1]), point, (numbers, isolated))
    # Clusters that point to each other form a component, which is named by its lowest number.
    component = components(target)
    least = jnp.full(c, c, jnp.int32).at[component].min(numbers)[component]
    joins = least != numbers
    places = jnp.where(joins, history.count + jnp.cumsum(joins, dtype=jnp.int32) - 1, c)
    pairs = history.pairs.at[places].set(jnp.stack([least, numbers], axis=1), mode="drop")
    return least[labels], History(pairs, history.count + jnp.sum(joins, dtype=jnp.int32))


def _check_shapes(graph: Graph, labels: jax.Array, history: History) -> None:
    chex.assert_rank([graph.neighbors, graph.weights, labels, history.pairs], [2, 2, 1, 2])
    chex.assert_equal_shape([graph.neighbors, graph.weights])
    chex.assert_equal_shape_prefix([graph.neighbors, labels], 1)


def _ties(graph: Graph, labels: jax.Array, c: int) -> jax.Array:
    """1 for each of c clusters that has affinity to another one, 0 for the rest; int32, (c,)."""
    padded = jnp.append(labels, jnp.int32(c))
    flow = flows(edges_of(graph), padded)[:-1]
    tail = labels[:, None]
    head = labels[graph.neighbors]
    tied = ((flow > 0) & (tail != head)).astype(jnp.int32)
    of_tails = jnp.zeros(c, jnp.int32).at[tail].max(jnp.max(tied, axis=1, keepdims=True))
    return of_tails.at[head].max(tied)


def _best(clusters: Clusters, weight: jax.Array, n_local: int) -> tuple[jax.Array, jax.Array]:
    """The two clusters that the criterion merges, the lower number first."""
    # Entries beyond the known ones have no affinity.
    affinity = clusters.affinity[:, :n_local]
    place = jnp.arange(affinity.shape[1], dtype=jnp.int32)
    affinity = jnp.where(place < clusters.known[:, None], affinity, 0)
    value = affinity[:, 0] + weight * (
        (n_local - 1) * affinity[:, 0] - jnp.sum(affinity[:, 1:], axis=1)
    )
    value = jnp.where(clusters.live, value, -1)
    cluster = jnp.argmax(value).astype(jnp.int32)
    # Where no affinity is left, the argmax is the first live cluster. It then merges with the
    # next live one.
    numbers = jnp.arange(clusters.live.shape[0], dtype=jnp.int32)
    next_live = jnp.argmax(clusters.live & (numbers > cluster)).astype(jnp.int32)
    other = jnp.where(value[cluster] > 0, clusters.nearest[cluster, 0], next_live)
    return jnp.minimum(cluster, other), jnp.maximum(cluster, other)


def _merged(
    edges: Edges, clusters: Clusters, keep: jax.Array, gone: jax.Array, affinity: Affinity
) -> Clusters:
    """Merges cluster ``gone`` into ``keep``."""
    dummy = edges.owner.shape[0] - 1
    needed = clusters.free + clusters.rows[keep] + clusters.rows[gone]
    full = needed > clusters.pool.shape[0] - BLOCK
    clusters = lax.cond(full, partial(packed, edges), lambda clusters: clusters, clusters)
    rows_keep = clusters.rows[keep]
    rows_gone = clusters.rows[gone]
    place = clusters.free
    behind = place + rows_keep
    clusters = moved(edges, clusters, keep, keep, place)
    clusters = moved(edges, clusters, gone, keep, behind)
    clusters = clusters._replace(
        size=clusters.size.at[keep].add(clusters.size[gone]).at[gone].set(0),
        live=clusters.live.at[gone].set(False),
        start=clusters.start.at[keep].set(place),
        rows=clusters.rows.at[keep].set(rows_keep + rows_gone).at[gone].set(0),
        free=place + rows_keep + rows_gone,
        count=clusters.count - 1,
        history=History(
            clusters.history.pairs.at[clusters.history.count].set(jnp.stack([keep, gone])),
            clusters.history.count + 1,
        ),
    )
    if affinity == "exact":

        def renew(flow: jax.Array, rows: jax.Array) -> jax.Array:
            samples = edges.owner[rows]
            return flow.at[samples].set(flow_of(edges, clusters.labels, samples))

        flow = over_rows(clusters, keep, renew, clusters.flow, dummy)
        clusters = clusters._replace(flow=flow)
    to_all = affinities(edges, clusters, keep)
    return with_list(after_merge(clusters, keep, gone, to_all), keep, to_all)
