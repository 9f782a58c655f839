"""Agglomerative clustering of points, from the host: the AC- methods of JULE's tables 3 and 4.

Graph degree linkage and JULE's criterion (``merging`` has their loop), path integral and zeta function on the same
graph, and average linkage.
"""

import heapq
from functools import partial
from typing import Literal

import jax
import numpy as np
from scipy import sparse
from scipy.cluster import hierarchy

from jaxclust.errors import UsageError
from jaxclust.ops.graph_linkage import Affinity, merge, no_merges
from jaxclust.ops.neighbor_graph import Graph, first_numbered, initial_clusters, knn_digraph

Descriptor = Literal["path", "zeta"]

MOST_SAMPLES = 20_000
"""Samples that average linkage takes: it holds a distance for each pair, 1.6 GB of them for so many."""
# Of the authors' toolbox.
_Z = 0.01
# Terms of the series in z P beyond the first, which are enough for that z.
_PATH_TERMS = 8
# Samples up to which dense products of all of them are the faster way.
_DENSE = 256
# Gains that rounding makes.
_NOTHING = 1e-14


def graph_degree_linkage(
    features: np.ndarray,
    n_clusters: int,
    *,
    n_neighbors: int = 20,
    a: float = 1.0,
    local_weight: float = 0.0,
    n_local: int = 5,
    affinity: Affinity = "exact",
) -> tuple[np.ndarray, np.ndarray]:
    """Graph degree linkage, from the one-nearest-neighbour components down to ``n_clusters``.

    Ties: among equal criteria the cluster with the lower number merges, with the lower-numbered of equally near
    clusters; clusters are numbered by their first sample, and a merged one keeps the lower number. When no two clusters
    have any affinity left, the two lowest merge.

    Args:
      features: float, (n, d), finite; scale them to unit length for the papers' results.
      n_clusters: from 1 to the number of initial clusters.
      n_neighbors: K_s, edges from each sample.
      a: scale of sigma^2.
      local_weight: lambda of JULE's eq. (7): 0 is plain GDL (AC-GDL), 1 the paper's.
      n_local: K_c of eq. (7), the nearest clusters that are looked at; at least 2.
      affinity: "exact", or "fast": the approximation of JULE's Torch code, S(a u b; c) = S(a; c) + S(b; c).

    Returns:
      Labels, int32 (n,), numbered by their first samples; and merges, int32 (n - n_clusters, 2), of which ``replay``
      makes the labels at any number of clusters: each row names the first samples of the two clusters that
      became one, lower first. Those of the initial components come first.

    Raises:
      ValueError: an argument breaks its rule.
    """
    if not 0 <= local_weight < np.inf:
        raise UsageError(f"local_weight: must be at least 0 and finite, got {local_weight}")
    if n_local < 2:
        raise UsageError(f"n_local: must be at least 2, got {n_local}")
    if affinity not in ("exact", "fast"):
        raise UsageError(f"affinity: must be exact or fast, got {affinity!r}")
    graph, labels = _start(features, n_clusters, n_neighbors, a)
    n = len(labels)
    final, history = _jitted_merge(graph, labels, n_clusters, local_weight, n_local, affinity)
    _, first = np.unique(labels, return_index=True)
    # Within a component every sample joins its first.
    samples = np.arange(n)
    inner = np.stack([first[labels], samples], axis=1)[first[labels] != samples]
    outer = first[np.asarray(history.pairs)[: int(history.count)]]
    return np.asarray(final), np.concatenate([inner, outer.reshape(-1, 2)]).astype(np.int32)


def path_linkage(
    features: np.ndarray,
    n_clusters: int,
    descriptor: Descriptor,
    *,
    n_neighbors: int = 20,
    a: float = 1.0,
) -> np.ndarray:
    """Merges the pair of clusters whose union gains most in a descriptor of the graph's paths (AC-PIC, AC-Zell).

    Args:
      features: float, (n, d), finite.
      n_clusters: from 1 to the number of initial clusters.
      descriptor: "path", the path integral (Zhang, Zhao, Wang, Pattern Recognition 2013); "zeta", the zeta function
        (Zhao, Tang, NIPS 2008).
      n_neighbors: edges from each sample.
      a: scale of sigma^2.

    Returns:
      Labels, int32 (n,), numbered by their first samples.

    Raises:
      ValueError: an argument breaks its rule.
    """
    if descriptor not in ("path", "zeta"):
        raise UsageError(f"descriptor: must be path or zeta, got {descriptor!r}")
    graph, labels = _start(features, n_clusters, n_neighbors, a)
    return merge_paths(
        np.asarray(graph.neighbors), np.asarray(graph.weights), labels, n_clusters, descriptor
    )


def average_linkage(features: np.ndarray, n_clusters: int) -> np.ndarray:
    """Average linkage on Euclidean distances (AC-Link), by scipy.

    Args:
      features: float, (n, d), finite, at most ``MOST_SAMPLES`` samples.
      n_clusters: from 1 to n.

    Returns:
      Labels, int32 (n,), in 0..n_clusters-1.

    Raises:
      ValueError: an argument breaks its rule.
    """
    features = _points(features)
    if len(features) > MOST_SAMPLES:
        raise UsageError(
            f"features: must be at most {MOST_SAMPLES} samples for average linkage, got {len(features)}"
        )
    if not 1 <= n_clusters <= len(features):
        raise UsageError(f"n_clusters: must be from 1 to {len(features)}, got {n_clusters}")
    tree = hierarchy.linkage(features, "average")
    return hierarchy.cut_tree(tree, n_clusters)[:, 0].astype(np.int32)


def _points(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32)
    if features.ndim != 2:
        raise UsageError(f"features: must be of rank 2 (n, d), got shape {features.shape}")
    if not np.isfinite(features).all():
        raise UsageError(
            f"features: must be finite, got NaN or inf in {int((~np.isfinite(features)).sum())} values"
        )
    return features


def _start(
    features: np.ndarray, n_clusters: int, n_neighbors: int, a: float
) -> tuple[Graph, np.ndarray]:
    """The graph and the initial clusters, once the arguments have been checked."""
    features = _points(features)
    for name, value in (("n_clusters", n_clusters), ("n_neighbors", n_neighbors)):
        if not isinstance(value, (int, np.integer)):
            raise UsageError(f"{name}: must be an integer, got {value!r}")
    if n_neighbors < 1:
        raise UsageError(f"n_neighbors: must be at least 1, got {n_neighbors}")
    if not 0 < a < np.inf:
        raise UsageError(f"a: must be above 0 and finite, got {a}")
    if len(features) < n_neighbors + 1:
        raise UsageError(
            f"features: must be at least n_neighbors + 1 = {n_neighbors + 1} samples, got {len(features)}"
        )
    graph = _jitted_digraph(features, n_neighbors, a)
    labels = np.asarray(_jitted_initial(graph))
    clusters = int(labels.max()) + 1
    if not 1 <= n_clusters <= clusters:
        raise UsageError(
            f"n_clusters: must be from 1 to the {clusters} initial clusters, got {n_clusters}"
        )
    return graph, labels


def replay(merges: np.ndarray, n: int, n_clusters: int) -> np.ndarray:
    """The labels at ``n_clusters`` clusters of the n samples that ``merges`` belong to.

    Returns:
      int32, (n,), in 0..n_clusters-1, numbered by their first samples.

    Raises:
      ValueError: n_clusters is not in n - len(merges)..n.
    """
    if not n - len(merges) <= n_clusters <= n:
        raise UsageError(f"n_clusters: must be from {n - len(merges)} to {n}, got {n_clusters}")
    into = np.arange(n)
    for keep, gone in merges[: n - n_clusters]:
        into[gone] = keep
    # Whatever a sample points to has a lower number, and is settled before it.
    for sample in range(n):
        into[sample] = into[into[sample]]
    return np.unique(into, return_inverse=True)[1].astype(np.int32)


@partial(jax.jit, static_argnames=("n_local", "affinity"))
def _jitted_merge(graph, labels, n_clusters, local_weight, n_local, affinity):
    history = no_merges(labels.shape[0])
    labels, history = merge(
        graph, labels, n_clusters, history, local_weight, n_local, affinity=affinity
    )
    return first_numbered(labels), history


_jitted_digraph = jax.jit(knn_digraph, static_argnums=1)
_jitted_initial = jax.jit(initial_clusters)


def merge_paths(
    neighbors: np.ndarray,
    weights: np.ndarray,
    labels: np.ndarray,
    n_clusters: int,
    descriptor: Descriptor,
) -> np.ndarray:
    """Agglomerative clustering by path integral or zeta function, from the edges of a kNN digraph, in NumPy alone.

    With P the transition probabilities of the graph with loops of weight 1 (as in the authors' toolbox) and G_C the
    inverse of I - z P within the samples of C, a cluster's descriptor is ``1' G_C 1 / |C|^2`` (path) or
    ``sum_i log (G_C)_ii / |C|`` (zeta). Clusters i and j merge whose descriptors within their union exceed their own by
    most. z is the toolbox's .01, and G its series in z P: 8 terms of the path integral, 4 of the zeta function, of
    which the next is below 1e-16 and 1e-10. The zeta function's gain is summed over the samples whose (G)_ii changes,
    those at the border of the two clusters.

    Ties as in ``graph_degree_linkage``. A pair has nothing to gain without edges in both directions, and by the zeta
    function without a way of at most four edges from a sample through both clusters back to it; gains below 1e-14 are
    rounding.

    Args:
      neighbors: int32, (n, K).
      weights: float32, (n, K).
      labels: initial clusters, int32 (n,), in 0..clusters-1.
      n_clusters: at least 1.
      descriptor: "path" or "zeta".

    Returns:
      Labels, int32 (n,), numbered by their first samples.
    """
    n, k = neighbors.shape
    tails = np.repeat(np.arange(n), k)
    p = sparse.csr_array(
        (weights.astype(np.float64).ravel(), (tails, neighbors.ravel())), (n, n)
    ) + sparse.eye_array(n)
    p = sparse.csr_array(p.multiply(1 / p.sum(axis=1)[:, None]))
    zp, back = _Z * p, sparse.csr_array(p.T)
    labels = labels.copy()
    members = {
        cluster: np.flatnonzero(labels == cluster) for cluster in range(int(labels.max()) + 1)
    }
    # They read labels and members as these are when they are called.
    gain, join = (
        _path_integral(zp, members)
        if descriptor == "path"
        else _zeta_function(zp, back, labels, members)
    )
    # A cluster's number changes its meaning when it merges; ages tell entries of the heap that are out of date.
    age = dict.fromkeys(members, 0)
    heap: list[tuple[float, int, int, int, int]] = []

    def push(cluster, others):
        for other in others:
            i, j = min(cluster, other), max(cluster, other)
            gained = gain(i, j)
            if gained > _NOTHING:
                heapq.heappush(heap, (-gained, i, j, age[i], age[j]))

    def tied(cluster):
        rows = members[cluster]
        return np.setdiff1d(
            np.intersect1d(labels[p[rows].indices], labels[back[rows].indices]), [cluster]
        ).tolist()

    for cluster in members:
        push(cluster, [other for other in tied(cluster) if other > cluster])
    while len(members) > n_clusters:
        i, j = sorted(members)[:2]
        while heap:
            _, a, b, age_a, age_b = heapq.heappop(heap)
            if a in members and b in members and (age[a], age[b]) == (age_a, age_b):
                i, j = a, b
                break
        join(i, j)  # Of the two as they still are.
        members[i] = np.concatenate([members[i], members.pop(j)])
        labels[members[i]] = i
        age[i] += 1
        push(i, tied(i))
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _path_integral(zp, members):
    """Of two clusters by their path integrals: what they gain as one, and what is kept when they are (gain, join)."""

    def described(rows, first):
        # 1' G 1 / size^2 of the first samples and of the rest, G over all of them.
        rest = len(rows) - first
        term = np.repeat(np.eye(2), [first, rest], axis=0)
        total, inside = term.copy(), zp[rows][:, rows]
        for _ in range(_PATH_TERMS):
            term = inside @ term
            total += term
        return total[:first, 0].sum() / first**2 + total[first:, 1].sum() / max(rest, 1) ** 2

    own = {cluster: described(rows, len(rows)) for cluster, rows in members.items()}

    def gain(i, j):
        return (
            described(np.concatenate([members[i], members[j]]), len(members[i])) - own[i] - own[j]
        )

    def join(i, j):
        rows = np.concatenate([members[i], members[j]])
        own[i] = described(rows, len(rows))

    return gain, join


def _zeta_function(zp, back, labels, members):
    """The same by their zeta functions; ``loops`` keeps each sample's (G)_ii within its cluster."""
    within = zp.tocoo()
    kept = labels[within.row] == labels[within.col]
    within = sparse.csr_array((within.data[kept], (within.row[kept], within.col[kept])), zp.shape)
    loops = 1 + _closed_walks(within)

    def crossing(i, j):
        if len(members[i]) + len(members[j]) <= _DENSE:
            samples = np.concatenate([members[i], members[j]])
            return samples, 1 + _closed_walks(zp[samples][:, samples].toarray()) - loops[samples]
        # A walk of four steps from a sample back to it that leaves its cluster touches the other one, or passes one
        # sample between two that do: what both clusters' samples gain is a matter of the smaller one and its border.
        large, small = sorted((i, j), key=lambda cluster: -len(members[cluster]))
        rows = members[small]
        border = np.union1d(zp[rows].indices, back[rows].indices)
        border = border[labels[border] == large]
        between = np.intersect1d(zp[border].indices, back[border].indices)
        border = np.union1d(border, between[labels[between] == large])
        samples, first = np.concatenate([border, rows]), len(border)
        both = zp[samples][:, samples]
        apart = sparse.block_diag([both[:first, :first], both[first:, first:]], format="csr")
        if len(samples) <= _DENSE:
            both, apart = both.toarray(), apart.toarray()
        return samples, _closed_walks(both) - _closed_walks(apart)

    def gain(i, j):
        samples, gained = crossing(i, j)
        size = np.where(labels[samples] == i, len(members[i]), len(members[j]))
        return (np.log1p(gained / loops[samples]) / size).sum()

    def join(i, j):
        samples, gained = crossing(i, j)
        loops[samples] += gained

    return gain, join


def _closed_walks(zp) -> np.ndarray:
    """The sum of (zP)_ii to (zP)^4_ii, of which the last two are sums over entries of (zP)^2."""
    twice = zp @ zp
    return (
        zp.diagonal()
        + twice.diagonal()
        + (twice * zp.T).sum(axis=1)
        + (twice * twice.T).sum(axis=1)
    )
