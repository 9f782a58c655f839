"""Graphs and their eigenvectors, against slow NumPy and scikit-learn's spectral clustering."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse.linalg import ArpackNoConvergence
from sklearn.cluster import SpectralClustering

from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.ops import kmeans, rotation, spectral
from jaxclust.ops.neighbor_graph import nearest_neighbors

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def near(few_digits):
    """400 digits as vectors of unit length, their 10 nearest neighbors, and squared distances."""
    images, _ = few_digits
    x = images[:400].reshape(400, -1).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    squared, neighbors = nearest_neighbors(jnp.asarray(x), 10)
    return x, np.asarray(squared), np.asarray(neighbors)


def blobs(*sizes):
    """Points around far corners, float32, and which corner each belongs to."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return (
        RNG.normal(0, 0.1, (len(labels), 3)) + 100 * np.eye(8, 3)[labels] * (1 + labels[:, None])
    ).astype(np.float32), labels


def graph_of(x, k):
    squared, neighbors = map(np.asarray, nearest_neighbors(jnp.asarray(x), k))
    return spectral.symmetric(neighbors, np.exp(-squared / squared.mean()))


def test_a_symmetric_graph_has_the_mean_of_both_directions(near):
    _, squared, neighbors = near
    weights = np.exp(-squared)
    slow = np.zeros((400, 400))
    for i in range(400):
        for j, weight in zip(neighbors[i], weights[i], strict=True):
            slow[i, j] += weight / 2
            slow[j, i] += weight / 2
    np.testing.assert_allclose(spectral.symmetric(neighbors, weights).toarray(), slow, rtol=1e-12)


def test_local_weights_are_those_of_the_paper(near):
    x, squared, neighbors = near
    weights = spectral.local_weights(squared, neighbors, 7)
    for i in (0, 11, 399):
        for place, j in enumerate(neighbors[i]):
            own = np.sort(np.linalg.norm(x - x[i], axis=1))[7]
            other = np.sort(np.linalg.norm(x - x[j], axis=1))[7]
            slow = np.exp(-(np.linalg.norm(x[i] - x[j]) ** 2) / (own * other))
            assert weights[i, place] == pytest.approx(slow, rel=1e-4)
    full = spectral.full_affinity(x, 1.0, 7)
    np.testing.assert_allclose(full[np.arange(400)[:, None], neighbors], weights, rtol=1e-4)
    assert not full.diagonal().any()


def test_duplicates_have_local_weights_of_one_and_others_none():
    squared = np.float32([[0, 0], [0, 0], [0, 0], [4, 4]])
    weights = spectral.local_weights(squared, np.array([[1, 2], [0, 2], [0, 1], [0, 1]]), 7)
    np.testing.assert_array_equal(weights, [[1, 1], [1, 1], [1, 1], [0, 0]])


def test_the_eigenvectors_are_those_of_a_dense_solver(near):
    _, squared, neighbors = near
    graph = spectral.symmetric(neighbors, np.exp(-squared / squared.mean()))
    found = spectral.leading(graph, 6)
    degrees = graph.toarray().sum(axis=1)
    dense = graph.toarray() / np.sqrt(degrees[:, None] * degrees)
    values, vectors = np.linalg.eigh(dense)
    np.testing.assert_allclose(found.values, values[::-1][:7], atol=1e-9)
    likeness = np.abs(found.vectors.T @ vectors[:, ::-1][:, :6])
    np.testing.assert_allclose(likeness, np.eye(6), atol=1e-6)
    again = spectral.leading(graph, 6)
    np.testing.assert_array_equal(found.vectors, again.vectors)
    of_dense = spectral.leading(graph.toarray(), 6)
    np.testing.assert_allclose(of_dense.vectors, found.vectors, atol=1e-6)


@pytest.mark.parametrize("assign", ["kmeans", "discretize"])
def test_clusters_agree_with_scikit_learn(near, assign):
    """Its k-means takes generalized eigenvectors, its discretization rows of unit length."""
    _, squared, neighbors = near
    graph = spectral.symmetric(neighbors, np.exp(-squared / squared.mean()))
    other = SpectralClustering(
        10, affinity="precomputed", assign_labels=assign, random_state=0
    ).fit_predict(graph.toarray())
    spectrum = spectral.leading(graph, 10)
    key = jax.random.key(0)
    rows = jnp.float32(spectrum.vectors / np.sqrt(spectrum.degrees)[:, None])
    if assign == "kmeans":
        labels = kmeans.kmeans(key, rows, 10).labels
    else:
        labels = rotation.discretized(key, rows).labels
    assert metrics.ari(other, np.asarray(labels)) > 0.97


def test_each_component_has_an_eigenvector_of_its_own():
    x, labels = blobs(40, 25, 30)
    spectrum = spectral.leading(graph_of(x, 5), 5)
    np.testing.assert_allclose(spectrum.values[:3], 1)
    assert spectrum.values[3] < 1 - 1e-6
    # The largest component is the first: corners 0, 2 and 1.
    np.testing.assert_array_equal(spectrum.parts, np.array([0, 2, 1])[labels])
    for column, corner in enumerate([0, 2, 1]):
        rows = spectrum.vectors[:, column] != 0
        np.testing.assert_array_equal(rows, labels == corner)
    np.testing.assert_allclose(spectrum.vectors.T @ spectrum.vectors, np.eye(5), atol=1e-9)
    assert spectral.cautions(spectrum, 5) == []


def test_more_components_than_clusters_are_told_and_joined_to_the_nearest():
    x, labels = blobs(40, 25, 30)
    spectrum = spectral.leading(graph_of(x, 5), 2)
    (caution,) = spectral.cautions(spectrum, 2)
    assert "3 connected components, which are more than 2 clusters" in caution
    assert not spectrum.vectors[labels == 1].any()
    vectors = spectral.joined(spectrum, x).vectors
    # Corner 1 lies at 200 of the second axis, as near to corner 0 as it can be.
    assert vectors[labels == 1, 0].all()
    assert not vectors[labels == 1, 1].any()


def test_eigenvalues_that_are_equal_are_told():
    # Three equal parts, each a ring: the second eigenvalue of each is the same, twice.
    ring = np.roll(np.eye(12), 1, axis=0) + np.roll(np.eye(12), -1, axis=0)
    graph = np.kron(np.eye(3), ring)
    spectrum = spectral.leading(graph, 4)
    (caution,) = spectral.cautions(spectrum, 4)
    assert "the eigenvalues 4 and 5 of the graph are equal" in caution
    assert spectral.cautions(spectral.leading(graph, 3), 3) == []


def test_a_sample_without_edges_is_a_component():
    graph = np.zeros((5, 5))
    graph[:3, :3] = 1 - np.eye(3)
    spectrum = spectral.leading(graph, 3)
    np.testing.assert_allclose(spectrum.values, [1, 1, 1, -0.5])
    assert np.abs(spectrum.vectors).sum(axis=0)[1:].tolist() == [1, 1]


def test_bad_input_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="clusters: must be from 1 to 5 for 5 samples, got 6"):
        spectral.leading(np.ones((5, 5)), 6)
    many = np.zeros((spectral.MOST_FULL + 1, 1), np.float32)
    with pytest.raises(UsageError, match="images: must be at most 5000 for a full graph"):
        spectral.full_affinity(many, 1.0)

    def fails(*_, **__):
        raise ArpackNoConvergence("No convergence", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr("scipy.sparse.linalg.eigsh", fails)
    with pytest.raises(spectral.NotConverged, match="did not converge for 4 eigenvectors of 300"):
        spectral.leading(np.ones((300, 300)), 3)
