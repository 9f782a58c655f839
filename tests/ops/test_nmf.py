"""Non-negative factors against scikit-learn and slow NumPy; their objectives do not rise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import non_negative_factorization

from jaxclust.ops import nmf, semi_nmf
from jaxclust.ops.nmf import Edges

UPDATED_U = jax.jit(nmf.updated_u)
UPDATED = jax.jit(semi_nmf.updated)
LOSS = jax.jit(semi_nmf.loss)
COEFFICIENTS = jax.jit(nmf.coefficients, static_argnums=2)
RNG = np.random.default_rng(3)
N, D, K = 30, 12, 3
X = np.float32(RNG.random((N, K)) ** 2 @ RNG.random((K, D)) + 0.1 * RNG.random((N, D)))
U = np.float32(RNG.random((D, K)) + 0.1)
U /= U.sum(axis=0)
V = np.float32(RNG.random((N, K)) + 0.1)
W = np.float32(RNG.random(N) + 0.5)
EDGES = Edges(
    jnp.asarray((np.arange(N)[:, None] + RNG.integers(1, N, (N, 4))) % N, jnp.int32),
    jnp.asarray(RNG.random((N, 4)), jnp.float32),
)


def symmetric():
    """W of the graph, as a matrix."""
    graph = np.zeros((N, N))
    for j in range(N):
        for neighbor, weight in zip(EDGES.neighbors[j], EDGES.weights[j], strict=True):
            graph[j, neighbor] += weight / 2
            graph[neighbor, j] += weight / 2
    return graph


def test_without_a_graph_the_steps_are_scikit_learns():
    """scikit-learn starts from equal entries, and so do both factors here."""
    options = {"n_components": K, "init": None, "update_H": False, "solver": "mu"}
    options |= {"beta_loss": "kullback-leibler", "tol": 0}
    ones = np.ones(N, np.float32)
    v = np.ones((N, K), np.float32)
    step = jax.jit(lambda v: nmf.updated_v(X, U, v, ones, None, 0.0))
    for _ in range(5):
        v = step(v)
    expected, _, _ = non_negative_factorization(X, None, np.float32(U.T), max_iter=5, **options)
    np.testing.assert_allclose(v, expected, rtol=1e-4)
    np.testing.assert_allclose(COEFFICIENTS(X, U, 5), expected, rtol=1e-4)
    # The step of U is the same with both sides exchanged, up to the sums of its columns.
    even = np.full((D, K), 1 / D, np.float32)
    u = UPDATED_U(X, even, V, ones)
    expected, _, _ = non_negative_factorization(X.T, None, V.T, max_iter=1, **options)
    np.testing.assert_allclose(u, expected / expected.sum(axis=0), rtol=1e-4)


def test_the_objective_and_the_step_with_a_graph_are_the_papers():
    graph = symmetric()
    laplacian = np.diag(graph.sum(axis=1)) - graph
    y = V.astype(np.float64) @ U.T
    slow = (X * np.log(X / y) - X + y).sum(axis=1)
    np.testing.assert_allclose(nmf.divergence(X, U, V), slow, rtol=1e-4)
    rough = 0.0
    for j in range(N):
        for other in range(N):
            logs = np.log(V[j]) - np.log(V[other])
            rough += graph[j, other] * ((V[j] - V[other]) * logs).sum() / 4
    assert float(nmf.roughness(EDGES, jnp.asarray(V))) == pytest.approx(rough, rel=1e-4)
    weight = 7.0
    new = jax.jit(lambda v: nmf.updated_v(X, U, v, W, EDGES, weight))(V)
    right = W[:, None] * V * ((X / y) @ U)
    exact = np.linalg.solve(np.diag(W) + weight * laplacian, right)
    np.testing.assert_allclose(new, exact, rtol=2e-3)


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_the_objective_does_not_rise(weight, few_digits):
    x = jnp.asarray(few_digits[0][:N].reshape(N, 64) / 255, jnp.float32)
    edges = EDGES if weight else None
    w = jnp.asarray(W)

    @jax.jit
    def step(u, v):
        loss = jnp.sum(w * nmf.divergence(x, u, v)) + weight * nmf.roughness(EDGES, v)
        v = nmf.updated_v(x, u, v, w, edges, weight)
        return nmf.updated_u(x, u, v, w), v, loss

    u = jnp.full((64, K), 1 / 64) * (1 + 0.1 * RNG.random((64, K)))
    u = jnp.asarray(u / u.sum(axis=0), jnp.float32)
    v = jnp.asarray(V)
    losses = []
    for _ in range(60):
        u, v, loss = step(u, v)
        losses.append(float(loss))
    assert np.all(np.diff(losses) <= 1e-5 * losses[0])
    assert losses[-1] < 0.9 * losses[0]
    assert float(v.min()) >= 0
    np.testing.assert_allclose(u.sum(axis=0), 1, rtol=1e-5)


def test_images_without_light_have_no_weights():
    x = np.zeros((4, D), np.float32)
    np.testing.assert_array_equal(COEFFICIENTS(x, U, 5), 0)
    v = np.zeros((4, K), np.float32)
    assert np.isfinite(UPDATED_U(x, U, v, np.ones(4, np.float32))).all()


SIGNED = np.float32(RNG.normal(size=(N, D)))
FACTORS = (np.float32(RNG.normal(size=(5, D))), np.float32(RNG.normal(size=(K, 5))))


def slow_h(x, h, z):
    """Ding, Li, Jordan 2010, eq. 10, entry by entry."""
    new = np.zeros_like(h, dtype=np.float64)
    outer, gram = x @ z.T, z @ z.T
    for i in range(len(h)):
        for k in range(h.shape[1]):
            up = max(outer[i, k], 0) + sum(h[i, j] * max(-gram[j, k], 0) for j in range(len(z)))
            down = max(-outer[i, k], 0) + sum(h[i, j] * max(gram[j, k], 0) for j in range(len(z)))
            new[i, k] = h[i, k] * np.sqrt(up / down)
    return new


def test_a_step_of_deep_semi_nmf_is_the_papers():
    h, made = UPDATED(SIGNED, V, FACTORS)
    x = SIGNED.astype(np.float64)
    first = np.linalg.pinv(V.astype(np.float64) @ FACTORS[1]) @ x
    second = np.linalg.pinv(V.astype(np.float64)) @ x @ np.linalg.pinv(first)
    np.testing.assert_allclose(made[0], first, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(made[1], second, rtol=1e-2, atol=1e-3)
    product = np.asarray(made[1], np.float64) @ np.asarray(made[0], np.float64)
    np.testing.assert_allclose(h, slow_h(x, V, product), rtol=1e-2, atol=1e-4)
    distance = ((x - h @ product) ** 2).sum(axis=1)
    np.testing.assert_allclose(LOSS(SIGNED, h, made), distance, rtol=1e-3)


def test_the_distance_of_deep_semi_nmf_does_not_rise():
    x = jnp.asarray(SIGNED)
    # The second layer is wider than the first: its products are singular.
    below, first = semi_nmf.fitted(x, jnp.asarray(RNG.random((N, 5)), jnp.float32), 30)
    h, second = semi_nmf.fitted(below, jnp.asarray(RNG.random((N, 7)), jnp.float32), 30)
    made = (first, second)
    losses = []
    for _ in range(40):
        losses.append(float(np.sum(LOSS(x, h, made))))
        h, made = UPDATED(x, h, made)
    assert np.all(np.diff(losses) <= 1e-4 * losses[0])
    assert losses[-1] < losses[0] < float(jnp.sum(x**2))
    assert float(h.min()) >= 0
