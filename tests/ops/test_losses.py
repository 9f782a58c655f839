"""Loss terms against slow NumPy loops.

The gradients are compared with the closed forms of DEC (Xie et al. 2016, eq. 4 and 5).
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from jaxclust.ops import losses
from jaxclust.ops.assignment import sharpened_target, soft_assignment


class JittedAndEager(chex.TestCase):
    """Each loss is what the loop computes, whether it is compiled or not."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_squared_error_is_the_mean_over_an_examples_entries(self):
        rng = np.random.default_rng(0)
        a, b = rng.random((2, 3, 4, 5, 2), np.float32)
        expected = [
            sum((x - y) ** 2 for x, y in zip(a[i].ravel(), b[i].ravel(), strict=True)) / 40
            for i in range(3)
        ]
        np.testing.assert_allclose(self.variant(losses.squared_error)(a, b), expected, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_kl_divergence_is_a_sum_of_p_log_p_over_q(self):
        rng = np.random.default_rng(1)
        p, q = rng.dirichlet(np.ones(4), (2, 5)).astype(np.float32)
        expected = [sum(p[i, j] * np.log(p[i, j] / q[i, j]) for j in range(4)) for i in range(5)]
        np.testing.assert_allclose(self.variant(losses.kl_divergence)(p, q), expected, rtol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(0.0, 0.1, 2.0)
    def test_soft_kmeans_is_dkms_sum(self, alpha):
        h, r, distances = points_and_centroids()
        expected = [
            sum(f * np.exp(-alpha * f) for f in row) / sum(np.exp(-alpha * f) for f in row)
            for row in distances
        ]
        loss = self.variant(losses.soft_kmeans)(h, r, alpha)
        np.testing.assert_allclose(loss, expected, rtol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters([(81, 3)], [(243, 3)], [(4, 4)])
    def test_filter_penalty_is_the_papers(self, shape):
        filters = np.random.default_rng(6).standard_normal(shape).astype(np.float32)
        t = filters.astype(np.float64)
        expected = np.sum(t**2) - np.linalg.slogdet(t.T @ t)[1] / 2
        penalty = self.variant(losses.filter_penalty)(filters)
        np.testing.assert_allclose(penalty, expected, rtol=1e-5)


def test_kl_divergence_of_zeros_is_finite_and_so_is_its_gradient():
    p, q = jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 0.0]])
    assert losses.kl_divergence(p, q).tolist() == [0.0]
    assert np.isfinite(jax.grad(lambda q: losses.kl_divergence(p, q).sum())(q)).all()


def test_gradients_of_the_clustering_loss_are_decs_closed_forms():
    rng = np.random.default_rng(2)
    z = rng.standard_normal((6, 3)).astype(np.float32)
    centroids = rng.standard_normal((4, 3)).astype(np.float32)
    q = np.asarray(soft_assignment(z, centroids))
    p = np.asarray(sharpened_target(q))
    dz = np.zeros_like(z)
    dcentroids = np.zeros_like(centroids)
    for i in range(6):
        for j in range(4):
            difference = z[i] - centroids[j]
            factor = 2 * (p[i, j] - q[i, j]) / (1 + difference @ difference)
            dz[i] += factor * difference
            dcentroids[j] -= factor * difference

    def total(z, centroids):
        return losses.kl_divergence(p, soft_assignment(z, centroids)).sum()

    to_z, to_centroids = jax.jit(jax.grad(total, argnums=(0, 1)))(z, centroids)
    np.testing.assert_allclose(to_z, dz, atol=1e-5)
    np.testing.assert_allclose(to_centroids, dcentroids, atol=1e-5)


def test_weighted_sums_weighted_means_and_returns_the_means():
    terms = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([10.0, 20.0])}
    total, means = losses.weighted({"a": 0.5, "b": 2.0}, terms)
    assert float(total) == 31.0
    assert {name: float(value) for name, value in means.items()} == {"a": 2.0, "b": 15.0}


def test_weighted_refuses_a_term_without_a_weight():
    with pytest.raises(ValueError, match=r"weights: must name the terms \['a'\], got \['b'\]"):
        losses.weighted({"b": 1.0}, {"a": jnp.ones(2)})


def test_weighted_triplets_are_those_of_loops():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((9, 4)).astype(np.float32)
    labels = np.int32([0, 1, 0, 2, 1, 0, 2, 0, 3])
    gamma = 2.0
    affinity = -np.array([[np.sum((a - b) ** 2) for b in x] for a in x])
    negatives = losses.nearest_negatives(jnp.asarray(affinity, jnp.float32), jnp.asarray(labels), 3)
    for margin, hinge in ((None, "weighted"), (0.2, "weighted"), (0.2, "plain")):
        values, counts = losses.weighted_triplet(
            jnp.asarray(affinity, jnp.float32), jnp.asarray(labels), negatives, gamma, margin, hinge
        )
        triplets = 0
        for i in range(9):
            others = [k for k in range(9) if labels[k] != labels[i]]
            near = sorted(others, key=lambda k: -affinity[i, k])[:3]
            for j in range(9):
                if j == i or labels[j] != labels[i]:
                    assert not counts[i, j].any()
                    continue
                # This is eq. 11 with -|x - y|^2 for the affinity: gamma d_ij - d_ik.
                expected = [affinity[i, k] - gamma * affinity[i, j] for k in near]
                if hinge == "plain":
                    beyond = [affinity[i, j] - affinity[i, k] >= margin for k in near]
                    expected = [
                        0 if far else value + margin
                        for far, value in zip(beyond, expected, strict=True)
                    ]
                elif margin is not None:
                    expected = [max(0, value + margin) for value in expected]
                np.testing.assert_allclose(values[i, j], expected, rtol=1e-5)
                assert counts[i, j].all()
                triplets += 3
        assert triplets == int(counts.sum()) == 3 * (4 * 3 + 2 + 2)


def test_negatives_are_of_other_clusters_and_may_be_too_few():
    labels = jnp.int32([0, 0, 0, 1])
    affinity = jnp.asarray(np.random.default_rng(0).random((4, 4)), jnp.float32)
    expected = [[3, 4], [3, 4], [3, 4]]
    nearest = losses.nearest_negatives(affinity, labels, 2)
    drawn = losses.random_negatives(jax.random.key(0), labels, 2)
    for negatives in (nearest, drawn):
        assert negatives[:3].tolist() == expected
        assert set(negatives[3].tolist()) <= {0, 1, 2}
        assert len(set(negatives[3].tolist())) == 2
    counts = losses.weighted_triplet(affinity, labels, nearest, 1.0)[1]
    assert int(counts.sum()) == 3 * 2 * 1
    alone = losses.nearest_negatives(affinity, jnp.zeros(4, jnp.int32), 2)
    assert (alone == 4).all()


def test_random_negatives_are_uniform():
    labels = jnp.int32([0, 1, 1, 2, 3])
    keys = jax.random.split(jax.random.key(1), 4000)
    drawn = jax.jit(jax.vmap(lambda key: losses.random_negatives(key, labels, 2)))(keys)
    counts = np.bincount(np.asarray(drawn[:, 0]).ravel(), minlength=5) / 4000
    np.testing.assert_allclose(counts, [0, 0.5, 0.5, 0.5, 0.5], atol=0.04)


def test_cluster_scatter_is_the_projection_of_the_paper_also_with_an_empty_cluster():
    rng = np.random.default_rng(4)
    points = rng.standard_normal((9, 5)).astype(np.float32)
    # No point is in cluster 3.
    labels = np.int32([0, 2, 0, 2, 4, 0, 1, 1, 2])
    h = np.eye(5)[labels].T
    z = points.T.astype(np.float64)
    # H H' is singular: DCTL's inverse does not exist.
    assert np.linalg.matrix_rank(h @ h.T) == 4
    expected = np.linalg.norm(z - z @ h.T @ np.linalg.pinv(h @ h.T) @ h) ** 2
    terms = losses.cluster_scatter(points, labels, 5)
    assert terms.shape == (9,)
    np.testing.assert_allclose(terms.sum(), expected, rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda points: losses.cluster_scatter(points, labels, 5).sum()))(
        points
    )
    means = np.stack([points[labels == label].mean(axis=0) for label in labels])
    np.testing.assert_allclose(gradient, 2 * (points - means), atol=1e-5)


def points_and_centroids():
    """Points (6, 3), centroids (4, 3) and the squared distances between them."""
    rng = np.random.default_rng(5)
    h = rng.standard_normal((6, 3)).astype(np.float32)
    r = rng.standard_normal((4, 3)).astype(np.float32)
    return h, r, np.array([[np.sum((a - b) ** 2) for b in r] for a in h])


def test_the_gradient_of_soft_kmeans_and_its_limit():
    h, r, distances = points_and_centroids()
    gradient = jax.jit(
        jax.grad(lambda h, r, alpha: losses.soft_kmeans(h, r, alpha).sum(), argnums=(0, 1))
    )
    for alpha in (0.0, 0.1, 2.0):
        # The derivative by a distance f_k is g_k (1 - alpha (f_k - sum f g)), where g is the
        # softmax.
        g = np.exp(-alpha * distances) / np.exp(-alpha * distances).sum(axis=1, keepdims=True)
        slope = g * (1 - alpha * (distances - np.sum(distances * g, axis=1, keepdims=True)))
        towards = 2 * (h[:, None] - r) * slope[:, :, None]
        to_points, to_centroids = gradient(h, r, alpha)
        np.testing.assert_allclose(to_points, towards.sum(axis=1), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(to_centroids, -towards.sum(axis=0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(losses.soft_kmeans(h, r, 1000.0), distances.min(axis=1), rtol=1e-4)
    assert np.isfinite(gradient(100 * h, r, 1000.0)[0]).all()


@pytest.mark.parametrize("shape", [(81, 3), (243, 3), (4, 4)])
def test_the_gradient_of_the_filter_penalty_is_the_papers(shape):
    filters = np.random.default_rng(6).standard_normal(shape).astype(np.float32)
    t = filters.astype(np.float64)
    gradient = jax.jit(jax.grad(losses.filter_penalty))(filters)
    np.testing.assert_allclose(gradient, 2 * t - np.linalg.pinv(t).T, atol=1e-4)


def test_filter_penalty_is_least_at_orthogonal_filters_and_smooth_there():
    filters = jnp.asarray(np.eye(7, 3, dtype=np.float32) / np.sqrt(2))
    np.testing.assert_allclose(losses.filter_penalty(filters), 3 * (1 + np.log(2)) / 2, rtol=1e-6)
    # The singular values are equal: derivatives of the decomposition itself would be 0 / 0.
    np.testing.assert_allclose(jax.grad(losses.filter_penalty)(filters), 0, atol=1e-6)


def towards_zero(filters, size):
    """All filters vanish."""
    return size * filters


def towards_one(filters, size):
    """The last filter turns into the first."""
    return filters.at[:, -1].set(filters[:, 0] + size * filters[:, -1])


@pytest.mark.parametrize("follow", [towards_zero, towards_one])
def test_the_penalty_grows_without_bound_towards_trivial_filters(follow):
    filters = jnp.asarray(
        np.linalg.qr(np.random.default_rng(7).standard_normal((12, 3)))[0], jnp.float32
    )
    value_and_gradient = jax.jit(
        lambda size: jax.value_and_grad(losses.filter_penalty)(follow(filters, size))
    )
    on_the_way = [value_and_gradient(10.0**-k) for k in range(6)]
    values = [float(value) for value, _ in on_the_way]
    # Each factor of ten adds log(10) for each singular value that vanishes.
    vanishing = 3 if follow is towards_zero else 1
    np.testing.assert_allclose(np.diff(values)[1:], vanishing * np.log(10), rtol=0.05)
    limit, gradient_at_limit = value_and_gradient(0.0)
    if follow is towards_zero:
        assert float(limit) == np.inf
    else:
        # In float32, equal filters leave a singular value near 1e-8.
        assert float(limit) > values[-1] + np.log(10)
    for gradient in [*(gradient for _, gradient in on_the_way), gradient_at_limit]:
        # Adam squares it.
        assert np.isfinite(np.square(np.asarray(gradient))).all()
        assert np.abs(gradient).max() > 0


def test_descent_on_the_penalty_leaves_rank_loss():
    @jax.jit
    def step(filters):
        gradient = jax.grad(losses.filter_penalty)(filters)
        return filters - 0.1 * gradient / jnp.linalg.norm(gradient)

    for filters in (jnp.zeros((12, 3)), jnp.ones((12, 3)), jnp.ones((12, 3)).at[:, 1].set(0)):
        for _ in range(20):
            filters = step(filters)
        assert np.linalg.svd(np.asarray(filters), compute_uv=False).min() > 0.1


X = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.squared_error(X, X[:3]), "different shapes"),
        (lambda: losses.kl_divergence(X[0], X[0]), "input 0 has rank 1"),
        (lambda: losses.cluster_scatter(X, np.zeros((4, 1), int), 2), "input 1 has rank 2"),
        (lambda: losses.soft_kmeans(X, X[:, :2], 1.0), "different shape suffixes"),
        (lambda: losses.filter_penalty(X[0]), "input 0 has rank 1"),
        (lambda: losses.nearest_negatives(X, np.zeros(4, int), 2), "expected \\(4, 4\\)"),
        (lambda: losses.weighted({"a": 1.0}, {"a": X}), "input 0 has rank 2"),
    ],
)
def test_wrong_shapes_are_refused(call, message):
    with pytest.raises(AssertionError, match=message):
        call()
