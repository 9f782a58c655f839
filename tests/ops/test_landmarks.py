"""Landmarks, against a NumPy transcription of Chen and Cai's algorithm with a full SVD."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.ops import landmarks

RNG = np.random.default_rng(1)
POINTS = np.float32(RNG.normal(size=(12, 4)))
X = np.float32(RNG.normal(size=(60, 4)))
fitted = jax.jit(landmarks.fitted, static_argnums=(2, 3, 4))
embedded = jax.jit(landmarks.embedded, static_argnums=2)


def slow(x, points, k, r, a):
    """U of the paper: Z, its columns divided by the roots of their sums, left singular vectors."""
    distances = ((x[:, None] - points[None]) ** 2).sum(axis=2).astype(np.float64)
    sigma = a * distances.mean()
    z = np.zeros_like(distances)
    for i in range(len(x)):
        near = np.argsort(distances[i], kind="stable")[:r]
        z[i, near] = np.exp(-distances[i, near] / (2 * sigma**2))
        z[i] /= z[i].sum()
    columns = z.sum(axis=0)
    scaled = z / np.sqrt(np.where(columns > 0, columns, 1))
    left, values, _ = np.linalg.svd(scaled, full_matrices=False)
    assert values[0] == pytest.approx(1)
    left = left[:, 1 : k + 1]
    return left / np.linalg.norm(left, axis=1, keepdims=True)


@pytest.mark.parametrize(("r", "a"), [(3, 1.0), (5, 0.1)])
def test_the_embedding_is_that_of_the_paper(r, a):
    found = fitted(X, POINTS, 3, r, a)
    rows = np.asarray(embedded(found, X, r))
    expected = slow(X, POINTS, 3, r, a)
    signs = np.sign((rows * expected).sum(axis=0))
    np.testing.assert_allclose(rows * signs, expected, atol=2e-4)
    # A new sample at the place of an old one gets its row, wherever it stands.
    moved = np.asarray(embedded(found, X[::-1], r))
    np.testing.assert_allclose(moved[::-1], rows, atol=1e-5)


def test_weights_sum_to_one_and_stand_at_the_nearest_landmarks():
    weights, places = landmarks.codes(jnp.asarray(X), jnp.asarray(POINTS), jnp.float32(0.0), 3)
    np.testing.assert_allclose(np.asarray(weights).sum(axis=1), 1, rtol=1e-5)
    distances = ((X[:, None] - POINTS[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(np.asarray(places)[:, 0], distances.argmin(axis=1))
    mean = landmarks.mean_squared_distance(jnp.asarray(X), jnp.asarray(POINTS))
    assert float(mean) == pytest.approx(distances.mean(), rel=1e-5)


def test_groups_without_a_common_landmark_keep_apart():
    """The singular value 1 is triple: the trivial vector goes, and two that tell groups stay."""
    labels = np.arange(60) % 3
    x = np.float32(RNG.normal(0, 0.1, (60, 4)) + 50 * np.eye(3, 4)[labels])
    points = landmarks.selected(jax.random.key(0), jnp.asarray(x), 12, 3)
    assert points.shape == (12, 4)
    rows = np.asarray(embedded(fitted(x, points, 2, 3, 1.0), x, 3))
    means = np.stack([rows[labels == g].mean(axis=0) for g in range(3)])
    spread = max(np.abs(rows[labels == g] - means[g]).max() for g in range(3))
    apart = min(np.linalg.norm(means[i] - means[j]) for i, j in [(0, 1), (0, 2), (1, 2)])
    assert spread < 0.01 < 0.5 < apart


def test_equal_samples_have_no_direction():
    same = np.ones_like(X)
    found = fitted(same, same[:12], 3, 3, 1.0)
    np.testing.assert_array_equal(embedded(found, same, 3), 0)
