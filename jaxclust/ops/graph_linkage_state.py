"""The edges of a neighbor graph and the clusters on it, between two merges of graph degree linkage.

Clusters own rows of edges, which lie together in one pool; merging two clusters moves their rows.
Each cluster keeps a short list of its nearest clusters: ``nearest_clusters`` has what changes it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.ops.neighbor_graph import Graph

BLOCK = 64
"""Rows of edges that are taken at once."""

Carry = TypeVar("Carry")


class History(NamedTuple):
    """The merges so far, in a buffer of fixed size.

    Attributes:
      pairs: int32, (capacity, 2). The second cluster was merged into the first, which has the
        lower number; -1 where the buffer is unused.
      count: number of merges, int32, ().
    """

    pairs: jax.Array
    count: jax.Array


def no_merges(n: int) -> History:
    """An empty history for n samples, whose first clusters have at least two samples each."""
    return History(jnp.full((n // 2, 2), -1, jnp.int32), jnp.int32(0))


class Edges(NamedTuple):
    """The edges of the graph, which merges do not change.

    Sample n and row 2n are dummies without weight. The number of edges that lead to a sample
    differs between samples. So these edges are kept in rows of K, at least one row for each
    sample. The first row of a sample also stands for the K edges from it.

    Attributes:
      neighbors: the heads of the edges from each sample, int32, (n + 1, K).
      weights: their weights, float32, (n + 1, K).
      owner: the sample of each row, int32, (2n + 1,).
      first: whether the row is its sample's first, float32, (2n + 1,).
      incoming: edges to the sample, as tail * K + place, int32, (2n + 1, K).
    """

    neighbors: jax.Array
    weights: jax.Array
    owner: jax.Array
    first: jax.Array
    incoming: jax.Array


class Clusters(NamedTuple):
    """The clusters, which merges change; ``c`` is their capacity, ``c + 1`` includes a dummy.

    Attributes:
      labels: the cluster of each sample, int32, (n + 1,); c for the dummy sample.
      size: number of samples, float32, (c + 1,).
      live: whether the number is in use, bool, (c,).
      flow: the flow of each edge, float32, (n + 1, K).
      pool: rows of edges, those of a cluster together, int32.
      start: where a cluster's rows start in the pool, int32, (c,).
      rows: number of a cluster's rows, int32, (c,).
      free: where the unused part of the pool starts, int32, ().
      affinity: the affinities of each cluster to its nearest clusters, descending, float32, (c, L).
      nearest: the numbers of these clusters, int32, (c, L).
      known: how many entries of the list are right, int32, (c,).
      complete: whether the list has every cluster with an affinity above 0, bool, (c,).
      count: number of live clusters, int32, ().
      history: the merges so far.
    """

    labels: jax.Array
    size: jax.Array
    live: jax.Array
    flow: jax.Array
    pool: jax.Array
    start: jax.Array
    rows: jax.Array
    free: jax.Array
    affinity: jax.Array
    nearest: jax.Array
    known: jax.Array
    complete: jax.Array
    count: jax.Array
    history: History


def edges_of(graph: Graph) -> Edges:
    """The edges of a graph, in the layout of ``Edges``."""
    n, k = graph.neighbors.shape
    heads = graph.neighbors.reshape(-1)
    by_head = jnp.argsort(heads, stable=True).astype(jnp.int32)
    degree = jnp.zeros(n, jnp.int32).at[heads].add(1)
    begin = jnp.cumsum(degree, dtype=jnp.int32) - degree
    rows = jnp.maximum(-(-degree // k), 1)
    first_row = jnp.cumsum(rows, dtype=jnp.int32) - rows
    number = jnp.arange(2 * n + 1, dtype=jnp.int32)
    owner = jnp.searchsorted(first_row, number, side="right").astype(jnp.int32) - 1
    used = number < jnp.sum(rows)
    place = (number - first_row[owner])[:, None] * k + jnp.arange(k, dtype=jnp.int32)
    real = used[:, None] & (place < degree[owner][:, None])
    incoming = jnp.where(real, by_head[jnp.where(real, begin[owner][:, None] + place, 0)], n * k)
    return Edges(
        jnp.pad(graph.neighbors, ((0, 1), (0, 0)), constant_values=n),
        jnp.pad(graph.weights, ((0, 1), (0, 0))),
        jnp.where(used, owner, n),
        (used & (number == first_row[owner])).astype(jnp.float32),
        incoming,
    )


def clusters_of(edges: Edges, labels: jax.Array, history: History, width: int) -> Clusters:
    """The clusters that labels give, with empty lists of nearest clusters.

    Args:
      edges: of n samples.
      labels: int32, (n,), in 0..c-1.
      history: the merges that led to the labels; its capacity is c.
      width: the length of a list of nearest clusters.
    """
    n = labels.shape[0]
    c = history.pairs.shape[0]
    labels = jnp.append(labels, jnp.int32(c))
    size = jnp.zeros(c + 1, jnp.float32).at[labels].add(1)
    live = size[:-1] > 0
    clusters = Clusters(
        labels=labels,
        size=size,
        live=live,
        flow=flows(edges, labels),
        # There is room for all rows twice, so that the pool is packed anew only after as many
        # rows have been moved.
        pool=jnp.full(4 * n + BLOCK, 2 * n, jnp.int32),
        start=jnp.zeros(c, jnp.int32),
        rows=jnp.zeros(c, jnp.int32),
        free=jnp.int32(0),
        affinity=jnp.zeros((c, width), jnp.float32),
        nearest=jnp.full((c, width), c, jnp.int32),
        known=jnp.zeros(c, jnp.int32),
        complete=jnp.zeros(c, jnp.bool_),
        count=jnp.sum(live, dtype=jnp.int32),
        history=history,
    )
    return packed(edges, clusters)


def packed(edges: Edges, clusters: Clusters) -> Clusters:
    """Moves each cluster's rows to the front of the pool, in the order of the clusters."""
    cluster = clusters.labels[edges.owner[:-1]]
    rows = jnp.zeros(clusters.size.shape[0], jnp.int32).at[cluster].add(1)[:-1]
    order = jnp.argsort(cluster, stable=True).astype(jnp.int32)
    end = jnp.cumsum(rows, dtype=jnp.int32)
    return clusters._replace(
        pool=lax.dynamic_update_slice(clusters.pool, order, (0,)),
        start=end - rows,
        rows=rows,
        free=end[-1],
    )


def moved(
    edges: Edges, clusters: Clusters, cluster: jax.Array, keep: jax.Array, place: jax.Array
) -> Clusters:
    """Copies a cluster's rows to a place in the pool and gives its samples another label.

    Args:
      edges: of the samples.
      clusters: are changed in ``pool`` and ``labels`` alone.
      cluster: the number of the cluster whose rows are copied, int32, ().
      keep: the new label, int32, ().
      place: where the rows go, int32, ().
    """
    dummy = edges.owner.shape[0] - 1
    start = clusters.start[cluster]
    count = clusters.rows[cluster]

    def body(state):
        done, pool, labels = state
        rows = lax.dynamic_slice(pool, (start + done,), (BLOCK,))
        # The block may write beyond the cluster's rows: what comes next overwrites it.
        pool = lax.dynamic_update_slice(pool, rows, (place + done,))
        inside = done + jnp.arange(BLOCK, dtype=jnp.int32) < count
        samples = edges.owner[jnp.where(inside, rows, dummy)]
        labels = labels.at[jnp.where(inside, samples, labels.shape[0])].set(keep, mode="drop")
        return done + BLOCK, pool, labels

    _, pool, labels = lax.while_loop(
        lambda state: state[0] < count, body, (jnp.int32(0), clusters.pool, clusters.labels)
    )
    return clusters._replace(pool=pool, labels=labels)


def over_rows(
    clusters: Clusters,
    cluster: jax.Array,
    function: Callable[[Carry, jax.Array], Carry],
    carry: Carry,
    dummy: int,
) -> Carry:
    """Folds ``carry = function(carry, rows)`` over blocks of a cluster's rows.

    The last block is filled up with the dummy row.
    """
    start = clusters.start[cluster]
    count = clusters.rows[cluster]
    places = jnp.arange(BLOCK, dtype=jnp.int32)

    def body(state):
        done, carry = state
        rows = lax.dynamic_slice(clusters.pool, (start + done,), (BLOCK,))
        return done + BLOCK, function(carry, jnp.where(done + places < count, rows, dummy))

    return lax.while_loop(lambda state: state[0] < count, body, (jnp.int32(0), carry))[1]


def flow_of(edges: Edges, labels: jax.Array, samples: jax.Array) -> jax.Array:
    """The flow of the edges from some samples, float32, (b, K).

    It is the weight of the edge times the weight of the edges from its head back into the cluster
    of the sample.

    Args:
      edges: of n samples.
      labels: of the samples and the dummy, int32, (n + 1,).
      samples: int32, (b,).
    """
    heads = edges.neighbors[samples]
    back = labels[edges.neighbors[heads]] == labels[samples][:, None, None]
    return edges.weights[samples] * jnp.sum(jnp.where(back, edges.weights[heads], 0), axis=2)


def flows(edges: Edges, labels: jax.Array) -> jax.Array:
    """The flow of every edge, float32, (n + 1, K); ``labels`` as in ``flow_of``."""
    n = labels.shape[0]
    samples = jnp.arange(-(-n // BLOCK) * BLOCK, dtype=jnp.int32).reshape(-1, BLOCK) % n
    return lax.map(partial(flow_of, edges, labels), samples).reshape(-1, edges.weights.shape[1])[:n]


def affinities(edges: Edges, clusters: Clusters, cluster: jax.Array) -> jax.Array:
    """A(cluster, j) for every j, float32, (c,); zero for the cluster itself and where j is dead."""
    c = clusters.rows.shape[0]
    k = edges.weights.shape[1]
    share = 1 / jnp.maximum(clusters.size, 1) ** 2
    flow = clusters.flow.reshape(-1)

    def add(sums: jax.Array, rows: jax.Array) -> jax.Array:
        samples = edges.owner[rows]
        incoming = edges.incoming[rows]
        outflow = clusters.flow[samples] * (edges.first[rows] * share[cluster])[:, None]
        head = clusters.labels[edges.neighbors[samples]]
        tail = clusters.labels[incoming // k]
        values = jnp.concatenate([outflow, flow[incoming] * share[tail]], axis=1)
        return sums.at[jnp.concatenate([head, tail], axis=1)].add(values)

    dummy = edges.owner.shape[0] - 1
    sums = over_rows(clusters, cluster, add, jnp.zeros(c + 1, jnp.float32), dummy)
    return sums.at[cluster].set(0)[:-1]
