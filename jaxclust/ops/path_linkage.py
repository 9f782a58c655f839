"""Agglomerative clustering by the paths of a graph: path integral and zeta function, in NumPy.

Zhang, Zhao, Wang: Agglomerative clustering via maximum incremental path integral, Pattern
Recognition 2013; Zhao, Tang: Cyclizing clusters via zeta function of a graph, NIPS 2008.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import chex
import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

Descriptor = Literal["path", "zeta"]
Members = dict[int, np.ndarray]
"""The samples of each cluster, by its number."""

# The factor z of the authors' toolbox.
_Z = 0.01
# Terms of the series in z P beyond the first, which are enough for that z.
_PATH_TERMS = 8
# For at most this many samples, dense products of all of them are faster.
_DENSE = 256
# Gains below this are made by rounding.
_NOTHING = 1e-14


class _Gains(NamedTuple):
    """What a descriptor says about pairs of clusters.

    Attributes:
      gain: ``gain(i, j)`` is how much the descriptors of i and j grow when the two are one.
      join: ``join(i, j)`` updates what is kept for i, before j is merged into it.
    """

    gain: Callable[[int, int], float]
    join: Callable[[int, int], None]


def merge_paths(
    neighbors: np.ndarray,
    weights: np.ndarray,
    labels: np.ndarray,
    n_clusters: int,
    descriptor: Descriptor,
) -> np.ndarray:
    """Merges the clusters of a kNN digraph by path integral or zeta function.

    P are the transition probabilities of the graph with loops of weight 1, as in the authors'
    toolbox, and G_C is the inverse of I - z P within the samples of C. The descriptor of a cluster
    is ``1' G_C 1 / |C|^2`` (path) or ``sum_i log (G_C)_ii / |C|`` (zeta). Those clusters i and j
    merge whose descriptors within their union exceed their own by most. z is 0.01, the toolbox's
    value, and G is its series in z P: 8 terms for the path integral and 4 for the zeta function,
    whose next terms are below 1e-16 and 1e-10. The gain of the zeta function is summed over the
    samples whose (G)_ii changes, which lie at the border of the two clusters.

    Ties are as in ``graph_linkage.Criterion``. A pair has nothing to gain without edges in both
    directions, and by the zeta function without a path of at most four edges that leads from a
    sample through both clusters back to it. Gains below 1e-14 are rounding.

    Args:
      neighbors: int32, (n, K).
      weights: float32, (n, K).
      labels: initial clusters, int32, (n,), in 0..clusters-1.
      n_clusters: number of clusters to stop at, at least 1.
      descriptor: "path" or "zeta".

    Returns:
      Labels, int32, (n,), numbered by their first samples.
    """
    from scipy import sparse

    chex.assert_rank([neighbors, weights, labels], [2, 2, 1])
    chex.assert_equal_shape([neighbors, weights])
    chex.assert_equal_shape_prefix([neighbors, labels], 1)
    p = _transitions(neighbors, weights)
    zp = _Z * p
    back = sparse.csr_array(p.T)
    labels = labels.copy()
    members = {
        cluster: np.flatnonzero(labels == cluster) for cluster in range(int(labels.max()) + 1)
    }
    # The functions read labels and members as they are at the time of the call.
    if descriptor == "path":
        gain, join = _path_integral(zp, members)
    else:
        gain, join = _zeta_function(zp, back, labels, members)
    # A merge changes the cluster that a number stands for. Ages tell which entries of the heap are
    # out of date.
    age = dict.fromkeys(members, 0)
    heap: list[tuple[float, int, int, int, int]] = []

    def push(cluster: int, others: Iterable[int]) -> None:
        for other in others:
            i = min(cluster, other)
            j = max(cluster, other)
            gained = gain(i, j)
            if gained > _NOTHING:
                heapq.heappush(heap, (-gained, i, j, age[i], age[j]))

    def tied(cluster: int) -> list[int]:
        rows = members[cluster]
        heads = labels[p[rows].indices]
        tails = labels[back[rows].indices]
        return np.setdiff1d(np.intersect1d(heads, tails), [cluster]).tolist()

    for cluster in members:
        push(cluster, [other for other in tied(cluster) if other > cluster])
    while len(members) > n_clusters:
        i, j = sorted(members)[:2]
        while heap:
            _, first, second, age_first, age_second = heapq.heappop(heap)
            ages = (age_first, age_second)
            if first in members and second in members and (age[first], age[second]) == ages:
                i = first
                j = second
                break
        # Both clusters must still be as they were before the merge.
        join(i, j)
        members[i] = np.concatenate([members[i], members.pop(j)])
        labels[members[i]] = i
        age[i] += 1
        push(i, tied(i))
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _transitions(neighbors: np.ndarray, weights: np.ndarray) -> "sparse.csr_array":
    """Transition probabilities of the graph with loops of weight 1, (n, n)."""
    from scipy import sparse

    n, k = neighbors.shape
    tails = np.repeat(np.arange(n), k)
    p = sparse.csr_array(
        (weights.astype(np.float64).ravel(), (tails, neighbors.ravel())), (n, n)
    ) + sparse.eye_array(n)
    return sparse.csr_array(p.multiply(1 / p.sum(axis=1)[:, None]))


def _path_integral(zp: "sparse.csr_array", members: Members) -> _Gains:
    """Gains in the path integral."""

    def described(rows: np.ndarray, first: int) -> float:
        # 1' G 1 / size^2 of the first samples and of the rest, where G is that of all of them.
        rest = len(rows) - first
        term = np.repeat(np.eye(2), [first, rest], axis=0)
        total = term.copy()
        inside = zp[rows][:, rows]
        for _ in range(_PATH_TERMS):
            term = inside @ term
            total += term
        return total[:first, 0].sum() / first**2 + total[first:, 1].sum() / max(rest, 1) ** 2

    own = {cluster: described(rows, len(rows)) for cluster, rows in members.items()}

    def gain(i: int, j: int) -> float:
        rows = np.concatenate([members[i], members[j]])
        return described(rows, len(members[i])) - own[i] - own[j]

    def join(i: int, j: int) -> None:
        rows = np.concatenate([members[i], members[j]])
        own[i] = described(rows, len(rows))

    return _Gains(gain, join)


def _zeta_function(
    zp: "sparse.csr_array", back: "sparse.csr_array", labels: np.ndarray, members: Members
) -> _Gains:
    """Gains in the zeta function; ``loops`` keeps each sample's (G)_ii within its cluster."""
    from scipy import sparse

    within = zp.tocoo()
    kept = labels[within.row] == labels[within.col]
    within = sparse.csr_array((within.data[kept], (within.row[kept], within.col[kept])), zp.shape)
    loops = 1 + _closed_walks(within)

    def crossing(i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        if len(members[i]) + len(members[j]) <= _DENSE:
            samples = np.concatenate([members[i], members[j]])
            return samples, 1 + _closed_walks(zp[samples][:, samples].toarray()) - loops[samples]
        # A walk of four steps from a sample back to it that leaves its cluster touches the other
        # cluster, or passes one sample between two that do. So the smaller cluster and its border
        # are enough to know what the samples of both gain.
        large, small = sorted((i, j), key=lambda cluster: -len(members[cluster]))
        rows = members[small]
        border = np.union1d(zp[rows].indices, back[rows].indices)
        border = border[labels[border] == large]
        between = np.intersect1d(zp[border].indices, back[border].indices)
        border = np.union1d(border, between[labels[between] == large])
        samples = np.concatenate([border, rows])
        first = len(border)
        both = zp[samples][:, samples]
        apart = sparse.block_diag([both[:first, :first], both[first:, first:]], format="csr")
        if len(samples) <= _DENSE:
            return samples, _closed_walks(both.toarray()) - _closed_walks(apart.toarray())
        return samples, _closed_walks(both) - _closed_walks(apart)

    def gain(i: int, j: int) -> float:
        samples, gained = crossing(i, j)
        size = np.where(labels[samples] == i, len(members[i]), len(members[j]))
        return (np.log1p(gained / loops[samples]) / size).sum()

    def join(i: int, j: int) -> None:
        samples, gained = crossing(i, j)
        loops[samples] += gained

    return _Gains(gain, join)


def _closed_walks(zp: Any) -> np.ndarray:
    """The sum of (zP)_ii to (zP)^4_ii of a dense or sparse zP, (n,)."""
    # The last two are sums over entries of (zP)^2.
    twice = zp @ zp
    return (
        zp.diagonal()
        + twice.diagonal()
        + (twice * zp.T).sum(axis=1)
        + (twice * twice.T).sum(axis=1)
    )
