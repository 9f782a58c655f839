"""Spectral embedded clustering, against its closed form with n x n matrices."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from jaxclust.errors import UsageError
from jaxclust.ops import embedded as embedding
from jaxclust.ops import spectral
from jaxclust.ops.neighbor_graph import nearest_neighbors

RNG = np.random.default_rng(5)


def problem(n, d):
    x = np.float32(RNG.normal(size=(n, d)) + 2 * RNG.normal(size=(1, d)))
    squared, neighbors = map(np.asarray, nearest_neighbors(jnp.asarray(x), 5))
    return x, spectral.symmetric(neighbors, np.exp(-squared / squared.mean()))


@pytest.mark.parametrize(("n", "d"), [(80, 6), (50, 70)])
def test_f_w_and_b_are_the_closed_form(n, d):
    x, graph = problem(n, d)
    mu, gamma = 0.7, 0.3
    found = embedding.embedded(graph, x, 4, mu, gamma)
    w = graph.toarray()
    degrees = w.sum(axis=1)
    laplacian = np.eye(n) - w / np.sqrt(degrees[:, None] * degrees)
    h = np.eye(n) - 1 / n
    x = x.astype(np.float64)
    inverse = np.linalg.inv(x.T @ h @ x + gamma * np.eye(d))
    regression = h - h @ x @ inverse @ x.T @ h
    values, vectors = np.linalg.eigh(laplacian + mu * regression)
    np.testing.assert_allclose(np.abs(found.f.T @ vectors[:, :4]), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(found.w, inverse @ x.T @ h @ found.f, atol=1e-6)
    np.testing.assert_allclose(found.b, (found.f - x @ found.w).mean(axis=0), atol=1e-9)

    def objective(f, w, b):
        residual = x @ w + b - f
        ridge = gamma * (w**2).sum()
        return np.trace(f.T @ laplacian @ f) + mu * ((residual**2).sum() + ridge)

    best = objective(found.f, found.w, found.b)
    assert best == pytest.approx(values[:4].sum(), abs=1e-5)
    for _ in range(3):  # Any other orthonormal F, or other W and b, is no better.
        f, _ = np.linalg.qr(found.f + 0.1 * RNG.normal(size=found.f.shape))
        assert objective(f, found.w, found.b) > best
        assert objective(found.f, found.w + 0.1 * RNG.normal(size=found.w.shape), found.b) > best


def test_too_many_samples_of_too_many_values_are_refused():
    embedding.check_size(70_000, 784)
    embedding.check_size(1_440, 16_384)
    with pytest.raises(UsageError, match="images: must be at most 5000, or have at most 5000 val"):
        embedding.check_size(7_200, 16_384)


def test_without_the_regression_each_component_has_a_vector():
    """A solver can miss copies of a multiple eigenvalue, which each of ten components has."""
    block = RNG.random((60, 60))
    graph = sparse.csr_array(sparse.block_diag([block + block.T] * 10))
    x = RNG.normal(size=(600, 5))
    f = embedding.embedded(graph, x, 10, 0.0, 0.1).f
    _, scaled = spectral.normalized(graph)
    np.testing.assert_allclose((f * (scaled @ f)).sum(axis=0), 1, atol=1e-6)
