"""Discretized and aligned eigenvectors: objectives that do not rise, and hand-made cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.evaluation import metrics
from jaxclust.ops import rotation

RNG = np.random.default_rng(0)


def turned(k, n=90, noise=0.05):
    """Indicators of k groups, with noise and rotated, float32 (n, k), and the groups."""
    labels = np.arange(n) % k
    rows = np.eye(k)[labels] + RNG.normal(0, noise, (n, k))
    q, _ = np.linalg.qr(RNG.normal(size=(k, k)))
    return np.float32(rows @ q), labels


def test_discretization_finds_groups_under_a_rotation_and_its_objective_does_not_rise():
    vectors, labels = turned(5, noise=0.2)
    found = rotation.discretized(jax.random.key(0), jnp.asarray(vectors))
    assert metrics.ari(labels, np.asarray(found.labels)) > 0.9
    history = np.asarray(found.history)
    assert (np.diff(history) <= 1e-4).all()
    assert history[-1] < history[0]
    r = np.asarray(found.rotation)
    np.testing.assert_allclose(r.T @ r, np.eye(5), atol=1e-5)
    # The last objective is the distance that it stands for.
    x = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distance = ((np.eye(5)[np.asarray(found.labels)] - x @ r) ** 2).sum()
    assert distance == pytest.approx(history[-1], abs=1e-2)


def slow_cost(rows):
    return np.mean([sum(row**2) / max(row**2) for row in rows])


def test_alignment_lowers_its_cost_by_rotations_alone():
    vectors, _ = turned(4, noise=0.1)
    result = rotation.aligned(vectors)
    assert (np.diff(result.costs) < 0).all()
    assert result.costs[0] == pytest.approx(slow_cost(vectors))
    assert result.costs[-1] == pytest.approx(slow_cost(result.rotated))
    assert result.costs[-1] < 1.1 < result.costs[0]
    lengths = np.linalg.norm(result.rotated, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(vectors, axis=1), rtol=1e-5)
    # Rows of zeros, as of components without a vector, do not count.
    padded = np.concatenate([vectors, np.zeros((3, 4))])
    assert rotation.aligned(padded).costs[-1] == pytest.approx(result.costs[-1])


def test_the_quality_is_highest_at_the_number_of_groups():
    vectors, _ = turned(4)
    more, _ = np.linalg.qr(RNG.normal(size=(90, 3)))
    qualities = rotation.alignment_qualities(np.column_stack([vectors, more]), range(3, 7))
    assert max(qualities, key=lambda number: qualities[number]) == 4
    assert qualities[4] > 0.98
