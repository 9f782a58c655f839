"""Distances, assignments and targets against loops transcribed from the papers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from jaxclust.ops import assignment

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 5)).astype(np.float32)
C = RNG.normal(size=(4, 5)).astype(np.float32)


def loop_distances(x, centroids):
    return np.array([[sum((a - b) ** 2) for b in centroids] for a in x], np.float64)


def loop_q(x, centroids, v):
    q = (1 + loop_distances(x, centroids) / v) ** (-(v + 1) / 2)
    return q / q.sum(axis=1, keepdims=True)


def loop_target(q, power, frequency):
    p = np.zeros_like(q)
    for i in range(q.shape[0]):
        for j in range(q.shape[1]):
            p[i, j] = q[i, j] ** power / sum(q[m, j] ** frequency for m in range(q.shape[0]))
        p[i] /= p[i].sum()
    return p


class JittedAndEager(chex.TestCase):
    """Each function is what the loop computes, whether it is compiled or not."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_squared_distances_are_those_of_the_loop(self):
        distances = self.variant(assignment.squared_distances)(X, C)
        np.testing.assert_allclose(distances, loop_distances(X, C), rtol=1e-5, atol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_squared_distances_far_from_the_origin(self):
        # Powers of two move the points without rounding. Without the move of the origin 2^16 would
        # leave no digit.
        x = np.round(X * 8) / 8 + 2.0**16
        centroids = np.round(C * 8) / 8 + 2.0**16
        distances = self.variant(assignment.squared_distances)(
            jnp.asarray(x, jnp.float32), jnp.asarray(centroids, jnp.float32)
        )
        np.testing.assert_allclose(distances, loop_distances(x, centroids), rtol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_squared_distances_are_never_negative(self):
        assert self.variant(assignment.squared_distances)(X, X).min() >= 0

    @chex.variants(with_jit=True, without_jit=True)
    def test_hard_assignment_takes_the_first_of_equals(self):
        distances = jnp.array([[1.0, 0.0, 0.0], [2.0, 3.0, 1.0], [0.0, 0.0, 0.0]])
        labels = self.variant(assignment.hard_assignment)(distances)
        assert labels.dtype == jnp.int32
        assert labels.tolist() == [1, 2, 0]

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(1.0, 3.5)
    def test_soft_assignment_is_that_of_the_loop(self, v):
        q = self.variant(lambda x, c: assignment.soft_assignment(x, c, v))(X, C)
        np.testing.assert_allclose(q, loop_q(X, C, v), rtol=1e-4)
        np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters((2.0, 1.0), (1.5, 1.5), (4.0, 4.0), (2.0, 0.0))
    def test_sharpened_target_is_that_of_the_loop(self, power, frequency):
        q = loop_q(X, C, 1.0)
        p = self.variant(lambda q: assignment.sharpened_target(q, power, frequency))(
            jnp.asarray(q, jnp.float32)
        )
        np.testing.assert_allclose(p, loop_target(q, power, frequency), rtol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_fraction_changed(self):
        changed = self.variant(assignment.fraction_changed)(
            jnp.array([0, 1, 2, 3]), jnp.array([0, 1, 0, 0])
        )
        assert changed.dtype == jnp.float32
        assert changed == 0.5


def test_squared_distances_gradient():
    weights = jnp.asarray(RNG.normal(size=(30, 4)), jnp.float32)

    def total(x, centroids):
        return jnp.sum(assignment.squared_distances(x, centroids) * weights)

    gradient = jax.jit(jax.grad(total, argnums=(0, 1)))
    to_x, to_centroids = gradient(jnp.asarray(X), jnp.asarray(C))
    parts = 2 * np.asarray(weights)[:, :, None] * (X[:, None] - C[None])
    np.testing.assert_allclose(to_x, parts.sum(1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(to_centroids, -parts.sum(0), rtol=1e-4, atol=1e-4)


def test_soft_assignment_of_a_distant_point_and_of_a_centroid():
    q = assignment.soft_assignment(
        jnp.array([[1e15, 0.0], [0.0, 0.0]]), jnp.array([[0.0, 0.0], [1.0, 0.0]]), 50.0
    )
    np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-6)

    def first_column(x):
        return assignment.soft_assignment(x, jnp.asarray(C))[:, 0].sum()

    assert jnp.isfinite(jax.jit(jax.grad(first_column))(jnp.asarray(C))).all()


def test_centroids_in_another_order_permute_the_columns():
    order = np.array([2, 0, 3, 1])
    q = assignment.soft_assignment(X, C)
    np.testing.assert_allclose(assignment.soft_assignment(X, C[order]), q[:, order], rtol=1e-5)
    target = assignment.sharpened_target(q)
    np.testing.assert_allclose(
        assignment.sharpened_target(q[:, order]), target[:, order], rtol=1e-5
    )


@pytest.mark.parametrize("frequency", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("mass", [0.0, 1e-42, 1e-25])
def test_sharpened_target_of_a_column_with_little_mass(frequency, mass):
    q = np.array([[1.0, 0.0, mass], [0.25, 0.75, mass]])
    p = assignment.sharpened_target(jnp.asarray(q, jnp.float32), 2.0, frequency)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    if mass < np.finfo(np.float32).tiny:
        np.testing.assert_array_equal(p[:, 2], 0)
    else:
        np.testing.assert_allclose(p, loop_target(q, 2.0, frequency), rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("power", [40.0, 1e6, 1e30])
@pytest.mark.parametrize("boosted", [True, False])
def test_sharpened_target_with_a_large_power(power, boosted):
    """The powers of the scores underflow, but their ratios do not."""
    equal = assignment.sharpened_target(jnp.full((4, 10), 0.1), power, power if boosted else 1.0)
    np.testing.assert_allclose(equal, 0.1, rtol=1e-5)


def test_sharpened_target_keeps_ratios_that_underflow():
    q = np.full(100, 0.01)
    q[7] *= 1.01
    p = assignment.sharpened_target(jnp.asarray(q[None], jnp.float32), 40.0, 0.0)[0]
    np.testing.assert_allclose(p[7] / p[0], 1.01**40, rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: assignment.squared_distances(X[0], C), "input 0 has rank 1 .* expected 2"),
        (lambda: assignment.soft_assignment(X, C[:, :3]), "different shape suffixes"),
        (lambda: assignment.hard_assignment(X[0]), "input 0 has rank 1"),
        (lambda: assignment.nearest(X, C, lambda x, c: x), "different shapes"),
        (lambda: assignment.cluster_means(X, np.zeros(29, int), 3), "different shape prefixes"),
        (lambda: assignment.sharpened_target(X[0]), "input 0 has rank 1"),
        (lambda: assignment.fraction_changed(X[0], X[0, :3]), "different shapes"),
    ],
)
def test_wrong_shapes_are_refused(call, message):
    with pytest.raises(AssertionError, match=message):
        call()


def test_an_empty_cluster_has_the_other_point():
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]])
    labels = jnp.asarray([2, 2, 0])
    others = jnp.asarray([[7.0, 7.0], [8.0, 9.0], [7.0, 7.0]])
    means = assignment.means_or(x, labels, others)
    np.testing.assert_array_equal(means, [[5, 0], [8, 9], [2, 3]])
