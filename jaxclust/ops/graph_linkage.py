"""The merge loop of graph degree linkage and of JULE: one compiled loop over the edges of a kNN digraph.

Zhang, Wang, Zhao, Tang: Graph Degree Linkage, ECCV 2012; Yang, Parikh, Batra: JULE, CVPR 2016, sections 3.3 and 3.5.

The affinity of clusters i and j is ``A(i, j) = S(i; j) / |C_i|^2 + S(j; i) / |C_j|^2``. There
``S(i; j) = 1' W_ij W_ji 1`` sums, over all paths t -> s -> u from C_i into C_j and back, the product of the two
weights. So each edge t -> s carries a flow, ``W_ts`` times the weight of the edges from s back into t's cluster, and
S(i; j) is the flow of the edges from C_i to C_j. The flow of an edge changes only when the cluster of its tail does: a
merge computes anew, from the weights, the flows of the new cluster's edges, and its affinities from the flows. No sum
is updated by a difference, so nothing drifts; there is no n x n and no k x k table. Each cluster keeps a short list of
its nearest clusters, and looks through its edges again only when merges have used the list up.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

from jaxclust.ops.neighbor_graph import Graph, components

Affinity = Literal["exact", "fast"]

# Rows of edges taken at once.
_BLOCK = 64
# Nearest clusters kept beyond those that the criterion looks at: each merge may cost a list two of its entries.
_SPARE = 4


class History(NamedTuple):
    """Merges so far, in a buffer of fixed size.

    Attributes:
      pairs: int32, (capacity, 2): the second cluster went into the first, which has the lower number; -1 where unused.
      count: merges, int32.
    """

    pairs: jax.Array
    count: jax.Array


def no_merges(n: int) -> History:
    """An empty history for n samples; their first clusters hold at least two each."""
    return History(jnp.full((n // 2, 2), -1, jnp.int32), jnp.int32(0))


def join_isolated(
    graph: Graph, features: jax.Array, labels: jax.Array, n_clusters: jax.Array, history: History
) -> tuple[jax.Array, History]:
    """Joins each cluster without affinity to any other to the cluster of the nearest mean (JULE, Torch code).

    All at once: where several clusters point to each other, they become one. The first of them, as many as there are
    clusters above ``n_clusters``; the rest stay.

    Args:
      graph: of n samples.
      features: float32, (n, d).
      labels: as for ``merge``.
      n_clusters: how many clusters are to be left at the least, int32.
      history: is continued.

    Returns:
      labels, int32 (n,), and the history.
    """
    c = history.pairs.shape[0]
    padded = jnp.append(labels, jnp.int32(c))
    edges = _edges(graph)
    flows = _flows(edges, padded)[:-1]
    tail, head = labels[:, None], labels[graph.neighbors]
    tied = ((flows > 0) & (tail != head)).astype(jnp.int32)
    ties = (
        jnp.zeros(c, jnp.int32)
        .at[tail]
        .max(jnp.max(tied, axis=1, keepdims=True))
        .at[head]
        .max(tied)
    )
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
        return target.at[cluster].set(jnp.argmin(distances).astype(jnp.int32)), left.at[
            cluster
        ].set(False)

    target, _ = lax.while_loop(lambda state: jnp.any(state[1]), point, (numbers, isolated))
    # Components of the pointers; each is named by its least cluster.
    component = components(target)
    least = jnp.full(c, c, jnp.int32).at[component].min(numbers)[component]
    joins = least != numbers
    places = jnp.where(joins, history.count + jnp.cumsum(joins, dtype=jnp.int32) - 1, c)
    pairs = history.pairs.at[places].set(jnp.stack([least, numbers], axis=1), mode="drop")
    return least[labels], History(pairs, history.count + jnp.sum(joins, dtype=jnp.int32))


class _Edges(NamedTuple):
    """The graph, constant through the merges. Sample n and row 2n are dummies, without weight.

    Samples differ in the number of edges that lead to them, so these are kept in rows of K, one at least for each
    sample; the first also stands for the K edges from it.
    """

    neighbors: jax.Array  # int32 (n + 1, K)
    weights: jax.Array  # float32 (n + 1, K)
    owner: jax.Array  # the sample of each row, int32 (2n + 1,)
    first: jax.Array  # whether the row is its sample's first, float32 (2n + 1,)
    incoming: jax.Array  # edges to the sample, as tail * K + place, int32 (2n + 1, K)


class _Work(NamedTuple):
    """What merges change; c runs over ``capacity`` clusters, and one dummy where it says + 1."""

    labels: jax.Array  # int32 (n + 1,); the dummy's is c
    size: jax.Array  # samples, float32 (c + 1,)
    live: jax.Array  # bool (c,)
    flow: jax.Array  # of each edge, float32 (n + 1, K)
    pool: jax.Array  # rows of edges, each cluster's together, int32
    start: jax.Array  # where a cluster's rows begin in the pool, int32 (c,)
    rows: jax.Array  # how many they are, int32 (c,)
    tail: jax.Array  # where the pool is free, int32
    near: jax.Array  # nearest clusters, in order; float32 and int32 (c, L): affinity, number
    who: jax.Array
    known: jax.Array  # how many entries of the list are right, int32 (c,)
    whole: jax.Array  # the list has every cluster with affinity, bool (c,)
    count: jax.Array  # live clusters, int32
    history: History


def merge(
    graph: Graph,
    labels: jax.Array,
    n_clusters: jax.Array,
    history: History,
    local_weight: float = 0.0,
    n_local: int = 5,
    *,
    local_above: int = 0,
    affinity: Affinity = "exact",
) -> tuple[jax.Array, History]:
    """Merges clusters until ``n_clusters`` are left; pure, may be jitted, and under vmap runs lane after lane.

    A merge takes the cluster i that maximises ``A(i, 1st) + lambda / (K_c - 1) sum_{k=2..K_c} (A(i, 1st) - A(i, kth))``
    (JULE, eq. 7, sign turned) and its nearest cluster. Ties as in ``graph_degree_linkage``.

    Args:
      graph: of n samples.
      labels: int32, (n,), each cluster in use at least two samples large, so that numbers are in 0..n//2-1.
      n_clusters: where to stop, int32; nothing happens at or below it.
      history: is continued.
      local_weight: lambda, at least 0.
      n_local: K_c, at least 2.
      local_above: lambda counts only while there are more clusters than this.
      affinity: see ``graph_degree_linkage``.

    Returns:
      labels, int32 (n,), of the same numbers; and the history.
    """

    @sequential_vmap
    def run(graph, labels, n_clusters, history, local_weight):
        edges = _edges(graph)
        work = _begin(edges, labels, history, min(n_local + _SPARE, history.pairs.shape[0]))

        def body(work):
            weight = jnp.where(work.count > local_above, local_weight, 0) / (n_local - 1)
            work = _complete_lists(edges, work, jnp.where(weight > 0, n_local, 1))
            return _join(edges, work, *_best(work, weight, n_local), affinity)

        work = lax.while_loop(lambda work: work.count > jnp.maximum(n_clusters, 1), body, work)
        return work.labels[:-1], work.history

    return run(
        graph,
        jnp.asarray(labels, jnp.int32),
        jnp.int32(n_clusters),
        history,
        jnp.asarray(local_weight, jnp.float32),
    )


def _edges(graph: Graph) -> _Edges:
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
    return _Edges(
        jnp.pad(graph.neighbors, ((0, 1), (0, 0)), constant_values=n),
        jnp.pad(graph.weights, ((0, 1), (0, 0))),
        jnp.where(used, owner, n),
        (used & (number == first_row[owner])).astype(jnp.float32),
        incoming,
    )


def _begin(edges: _Edges, labels, history: History, width: int) -> _Work:
    n, c = labels.shape[0], history.pairs.shape[0]
    labels = jnp.append(labels, jnp.int32(c))
    size = jnp.zeros(c + 1, jnp.float32).at[labels].add(1)
    live = size[:-1] > 0
    work = _Work(
        labels=labels,
        size=size,
        live=live,
        flow=_flows(edges, labels),
        # Room for all rows twice, so that it is packed anew only after as many have been moved.
        pool=jnp.full(4 * n + _BLOCK, 2 * n, jnp.int32),
        start=jnp.zeros(c, jnp.int32),
        rows=jnp.zeros(c, jnp.int32),
        tail=jnp.int32(0),
        near=jnp.zeros((c, width), jnp.float32),
        who=jnp.full((c, width), c, jnp.int32),
        known=jnp.zeros(c, jnp.int32),
        whole=jnp.zeros(c, jnp.bool_),
        count=jnp.sum(live, dtype=jnp.int32),
        history=history,
    )
    return _pack(edges, work)


def _pack(edges: _Edges, work: _Work) -> _Work:
    """Moves each cluster's rows to the front of the pool, in the order of the clusters."""
    cluster = work.labels[edges.owner[:-1]]
    rows = jnp.zeros(work.size.shape[0], jnp.int32).at[cluster].add(1)[:-1]
    order = jnp.argsort(cluster, stable=True).astype(jnp.int32)
    end = jnp.cumsum(rows, dtype=jnp.int32)
    return work._replace(
        pool=lax.dynamic_update_slice(work.pool, order, (0,)),
        start=end - rows,
        rows=rows,
        tail=end[-1],
    )


def _flow(edges: _Edges, labels, samples) -> jax.Array:
    """Flow of the edges from ``samples`` (b,): each weight times that of the edges from its head back; (b, K)."""
    heads = edges.neighbors[samples]
    back = labels[edges.neighbors[heads]] == labels[samples][:, None, None]
    return edges.weights[samples] * jnp.sum(jnp.where(back, edges.weights[heads], 0), axis=2)


def _flows(edges: _Edges, labels) -> jax.Array:
    """Flow of every edge, (n + 1, K)."""
    n = labels.shape[0]
    samples = jnp.arange(-(-n // _BLOCK) * _BLOCK, dtype=jnp.int32).reshape(-1, _BLOCK) % n
    return lax.map(partial(_flow, edges, labels), samples).reshape(-1, edges.weights.shape[1])[:n]


def _over_rows(work: _Work, cluster, function, carry, dummy):
    """carry = function(carry, rows) for each block of a cluster's rows, the last filled up with the dummy row."""
    start, count = work.start[cluster], work.rows[cluster]
    places = jnp.arange(_BLOCK, dtype=jnp.int32)

    def body(state):
        done, carry = state
        rows = lax.dynamic_slice(work.pool, (start + done,), (_BLOCK,))
        return done + _BLOCK, function(carry, jnp.where(done + places < count, rows, dummy))

    return lax.while_loop(lambda state: state[0] < count, body, (jnp.int32(0), carry))[1]


def _affinities(edges: _Edges, work: _Work, cluster) -> jax.Array:
    """A(cluster, j) for every j, float32 (c,); zero for the cluster itself and for dead ones."""
    c, k = work.rows.shape[0], edges.weights.shape[1]
    share = 1 / jnp.maximum(work.size, 1) ** 2
    flow = work.flow.reshape(-1)

    def add(sums, rows):
        samples, incoming = edges.owner[rows], edges.incoming[rows]
        out = work.flow[samples] * (edges.first[rows] * share[cluster])[:, None]
        into = work.labels[edges.neighbors[samples]]
        source = work.labels[incoming // k]
        values = jnp.concatenate([out, flow[incoming] * share[source]], axis=1)
        return sums.at[jnp.concatenate([into, source], axis=1)].add(values)

    sums = _over_rows(work, cluster, add, jnp.zeros(c + 1, jnp.float32), edges.owner.shape[0] - 1)
    return sums.at[cluster].set(0)[:-1]


def _with_list(work: _Work, cluster, affinities) -> _Work:
    """Sets a cluster's list of nearest clusters from its affinities to all."""
    c, width = work.near.shape
    near, who = lax.top_k(affinities, width)
    who = jnp.where(near > 0, who.astype(jnp.int32), c)
    known = jnp.sum(near > 0, dtype=jnp.int32)
    return work._replace(
        near=work.near.at[cluster].set(near),
        who=work.who.at[cluster].set(who),
        known=work.known.at[cluster].set(known),
        whole=work.whole.at[cluster].set(known < width),
    )


def _complete_lists(edges: _Edges, work: _Work, needed) -> _Work:
    """Looks through the edges of every cluster whose list has fewer than ``needed`` entries and may lack some."""

    def short(work):
        return work.live & ~work.whole & (work.known < needed)

    def fill(work):
        cluster = jnp.argmax(short(work))
        return _with_list(work, cluster, _affinities(edges, work, cluster))

    return lax.while_loop(lambda work: jnp.any(short(work)), fill, work)


def _best(work: _Work, weight, n_local: int):
    """The pair of eq. (7), lower number first."""
    # Beyond the entries that are known there is nothing: affinity 0.
    near = work.near[:, :n_local]
    place = jnp.arange(near.shape[1], dtype=jnp.int32)
    near = jnp.where(place < work.known[:, None], near, 0)
    value = near[:, 0] + weight * ((n_local - 1) * near[:, 0] - jnp.sum(near[:, 1:], axis=1))
    value = jnp.where(work.live, value, -1)
    cluster = jnp.argmax(value).astype(jnp.int32)
    # Without any affinity left the first live cluster is the argmax, and the next one takes the place of its nearest.
    numbers = jnp.arange(work.live.shape[0], dtype=jnp.int32)
    next_live = jnp.argmax(work.live & (numbers > cluster)).astype(jnp.int32)
    other = jnp.where(value[cluster] > 0, work.who[cluster, 0], next_live)
    return jnp.minimum(cluster, other), jnp.maximum(cluster, other)


def _join(edges: _Edges, work: _Work, keep, gone, affinity: Affinity) -> _Work:
    """Merges cluster ``gone`` into ``keep``."""
    dummy = edges.owner.shape[0] - 1
    full = work.tail + work.rows[keep] + work.rows[gone] > work.pool.shape[0] - _BLOCK
    work = lax.cond(full, partial(_pack, edges), lambda work: work, work)

    def move(cluster, tail, work):
        start, count = work.start[cluster], work.rows[cluster]

        def body(state):
            done, pool, labels = state
            rows = lax.dynamic_slice(pool, (start + done,), (_BLOCK,))
            # What is written beyond the cluster's rows is written over by what comes next.
            pool = lax.dynamic_update_slice(pool, rows, (tail + done,))
            mine = done + jnp.arange(_BLOCK, dtype=jnp.int32) < count
            samples = edges.owner[jnp.where(mine, rows, dummy)]
            labels = labels.at[jnp.where(mine, samples, labels.shape[0])].set(keep, mode="drop")
            return done + _BLOCK, pool, labels

        _, pool, labels = lax.while_loop(
            lambda state: state[0] < count, body, (jnp.int32(0), work.pool, work.labels)
        )
        return work._replace(pool=pool, labels=labels)

    rows_keep, rows_gone = work.rows[keep], work.rows[gone]
    tail = work.tail
    work = move(gone, tail + rows_keep, move(keep, tail, work))
    work = work._replace(
        size=work.size.at[keep].add(work.size[gone]).at[gone].set(0),
        live=work.live.at[gone].set(False),
        start=work.start.at[keep].set(tail),
        rows=work.rows.at[keep].set(rows_keep + rows_gone).at[gone].set(0),
        tail=tail + rows_keep + rows_gone,
        count=work.count - 1,
        history=History(
            work.history.pairs.at[work.history.count].set(jnp.stack([keep, gone])),
            work.history.count + 1,
        ),
    )
    if affinity == "exact":

        def renew(flow, rows):
            samples = edges.owner[rows]
            return flow.at[samples].set(_flow(edges, work.labels, samples))

        work = work._replace(flow=_over_rows(work, keep, renew, work.flow, dummy))
    affinities = _affinities(edges, work, keep)
    return _with_list(_update_lists(work, keep, gone, affinities), keep, affinities)


def _update_lists(work: _Work, keep, gone, affinities) -> _Work:
    """Takes the two old clusters out of every list, and puts the new one in where it is near enough."""
    width = work.near.shape[1]
    place = jnp.arange(width, dtype=jnp.int32)
    near, who, known = work.near, work.who, work.known

    def shifted(array, by):
        return jnp.concatenate(
            [array[:, by:], array[:, -1:]] if by > 0 else [array[:, :1], array[:, :by]], axis=1
        )

    for old in (keep, gone):
        found = (who == old) & (place < known[:, None])
        listed = jnp.any(found, axis=1)
        after = listed[:, None] & (place >= jnp.argmax(found, axis=1).astype(jnp.int32)[:, None])
        near, who = jnp.where(after, shifted(near, 1), near), jnp.where(after, shifted(who, 1), who)
        known = known - listed.astype(jnp.int32)
    new = affinities[:, None]
    before = (place < known[:, None]) & ((near > new) | ((near == new) & (who < keep)))
    at = jnp.sum(before, axis=1, dtype=jnp.int32)
    # Behind the last known entry others may hide, unless the list is whole.
    enters = (affinities > 0) & (at < jnp.where(work.whole, width, known))
    here, behind = enters[:, None] & (place == at[:, None]), enters[:, None] & (place > at[:, None])
    near = jnp.where(here, new, jnp.where(behind, shifted(near, -1), near))
    who = jnp.where(here, keep, jnp.where(behind, shifted(who, -1), who))
    grown = known + enters.astype(jnp.int32)
    lost = ((affinities > 0) & ~enters) | (grown > width)
    return work._replace(
        near=near, who=who, known=jnp.minimum(grown, width), whole=work.whole & ~lost
    )
