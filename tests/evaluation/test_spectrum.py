"""The gaps of a graph's spectrum against all eigenvalues of a dense Laplacian."""

import numpy as np
import pytest

from jaxclust.evaluation.spectrum import SMALL, gaps


def neighbors_of(points, k):
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(squared, np.inf)
    places = np.argsort(squared, axis=1)[:, :k]
    near = np.take_along_axis(squared, places, axis=1)
    return places, np.exp(-near / near.mean())


def dense_gaps(neighbors, weights, numbers):
    n = len(neighbors)
    graph = np.zeros((n, n))
    for tail in range(n):
        graph[tail, neighbors[tail]] = weights[tail]
    graph = (graph + graph.T) / 2
    scale = graph.sum(axis=1) ** -0.5
    eigenvalues = np.linalg.eigvalsh(np.eye(n) - scale[:, None] * graph * scale)
    values = np.array([eigenvalues[number] - eigenvalues[number - 1] for number in numbers])
    return dict(zip(numbers, values / values.sum(), strict=True))


@pytest.mark.parametrize("n", [60, SMALL + 100])
def test_gaps_are_those_of_all_eigenvalues(n):
    points = np.random.default_rng(n).normal(size=(n, 3))
    neighbors, weights = neighbors_of(points, 8)
    expected = dense_gaps(neighbors, weights, range(2, 9))
    assert gaps(neighbors, weights, range(2, 9)) == pytest.approx(expected, abs=1e-6)


def test_parts_without_an_edge_between_them_are_counted():
    """Eigenvalues of 0 that an iterative solver that starts from one vector may miss."""
    generator = np.random.default_rng(0)
    points = np.concatenate([generator.normal(size=(250, 2)) + 100 * part for part in range(4)])
    values = gaps(*neighbors_of(points, 6), range(2, 9))
    assert max(values, key=values.get) == 4
    assert max(values[2], values[3]) < 1e-9


def test_equal_eigenvalues_have_no_gap():
    neighbors = np.array([[1], [0], [3], [2], [5], [4]])
    assert gaps(neighbors, np.ones((6, 1)), range(2, 3)) == {2: 0.0}
