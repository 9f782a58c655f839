"""Path integral and zeta function against dense solves of the whole."""

import jax
import numpy as np
import pytest
from scipy import sparse

import linkage_reference as reference
from jaxclust.errors import UsageError
from jaxclust.ops import linkage, neighbor_graph, path_linkage

digraph = jax.jit(neighbor_graph.knn_digraph, static_argnums=1)


def dense_paths(graph, labels, n_clusters, descriptor, z=0.01):
    """Merges by the gain in the descriptor, each from a dense solve of the whole."""
    w = reference.dense(graph) + np.eye(len(labels))
    p = w / w.sum(axis=1, keepdims=True)

    def parts(i, j):
        rows = np.concatenate([i, j])
        inverse = np.linalg.inv(np.eye(len(rows)) - z * p[np.ix_(rows, rows)])
        here = slice(0, len(i))
        there = slice(len(i), None)
        if descriptor == "path":
            return (
                inverse[here, here].sum() / len(i) ** 2
                + inverse[there, there].sum() / max(len(j), 1) ** 2
            )
        logs = np.log(np.diag(inverse))
        return logs[here].sum() / len(i) + logs[there].sum() / max(len(j), 1)

    clusters = {c: np.flatnonzero(labels == c) for c in np.unique(labels)}
    nothing = np.array([], int)
    while len(clusters) > n_clusters:
        names = sorted(clusters)
        alone = {i: parts(clusters[i], nothing) for i in names}
        gains = {
            (i, j): parts(clusters[i], clusters[j]) - alone[i] - alone[j]
            for i in names
            for j in names
            if i < j
        }
        i, j = max(gains, key=lambda pair: gains[pair] * (gains[pair] > 1e-14))
        clusters[i] = np.concatenate([clusters[i], clusters.pop(j)])
    for number, c in enumerate(sorted(clusters, key=lambda c: clusters[c].min())):
        labels = np.where(np.isin(np.arange(len(labels)), clusters[c]), 1000 + number, labels)
    return labels - 1000


# The zeta function's gains are computed in one way for small clusters, in another for large ones
# with small borders, and in a third for large ones with large borders.
@pytest.mark.parametrize(
    ("descriptor", "dense_below"), [("path", 256), ("zeta", 256), ("zeta", 24), ("zeta", 0)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_path_linkage_is_that_of_a_dense_solve(seed, descriptor, dense_below, monkeypatch):
    monkeypatch.setattr(path_linkage, "_DENSE", dense_below)
    x = reference.points(seed)
    graph = digraph(x, 6)
    labels = np.asarray(neighbor_graph.initial_clusters(graph))
    for n_clusters in (2, 5, 9):
        np.testing.assert_array_equal(
            linkage.path_linkage(x, n_clusters, descriptor, n_neighbors=6),
            dense_paths(graph, labels, n_clusters, descriptor),
        )


@pytest.mark.parametrize("dense_below", [256, 60, 0])
def test_zeta_gains_at_a_border_are_those_of_the_whole(dense_below, monkeypatch):
    """The gains come from closed walks of up to four steps within the union of two clusters.

    The walks within each cluster are subtracted. This holds also once some clusters have merged.
    """
    monkeypatch.setattr(path_linkage, "_DENSE", dense_below)
    rng = np.random.default_rng(2)
    p = 0.2 * np.where(rng.random((200, 200)) < 0.02, rng.random((200, 200)), 0) + 0.2 * np.eye(200)
    labels = np.repeat(np.arange(4), 50)
    members = {c: np.flatnonzero(labels == c) for c in range(4)}

    def described(rows, own):
        inside = p[np.ix_(rows, rows)]
        loops = np.diag(sum(np.linalg.matrix_power(inside, power) for power in range(5)))
        return np.log(loops[np.isin(rows, own)]).sum() / len(own)

    def expected(i, j):
        both = np.concatenate([members[i], members[j]])
        return sum(described(both, members[c]) - described(members[c], members[c]) for c in (i, j))

    edges = sparse.csr_array(p)
    gain, join = path_linkage._zeta_function(edges, sparse.csr_array(p.T), labels, members)
    assert gain(1, 3) == pytest.approx(expected(1, 3), rel=1e-12)
    join(0, 2)
    members[0] = np.concatenate([members[0], members.pop(2)])
    labels[members[0]] = 0
    for other in (1, 3):
        assert gain(0, other) == pytest.approx(expected(0, other), rel=1e-12)


def test_another_descriptor_is_refused():
    with pytest.raises(UsageError, match="descriptor: must be path or zeta, got 'flow'"):
        linkage.path_linkage(reference.points(0), 2, "flow")


def test_wrong_shapes_are_refused():
    neighbors = np.zeros((6, 2), np.int32)
    weights = np.ones((6, 2), np.float32)
    with pytest.raises(AssertionError, match="different shape prefixes"):
        path_linkage.merge_paths(neighbors, weights, np.zeros(5, np.int32), 1, "path")
    with pytest.raises(AssertionError, match="different shapes"):
        path_linkage.merge_paths(neighbors, weights[:, :1], np.zeros(6, np.int32), 1, "path")
