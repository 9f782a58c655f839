"""Neighbors, affinities and first clusters against slow NumPy and scikit-learn."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

import linkage_reference as reference
from jaxclust.ops import neighbor_graph

digraph = jax.jit(neighbor_graph.knn_digraph, static_argnums=(1, 2))


def nearest(x, k):
    """The nearest neighbors by scikit-learn, in float64: distances and indices."""
    reference = NearestNeighbors(n_neighbors=k, algorithm="brute")
    return reference.fit(x.astype(np.float64)).kneighbors()


@pytest.mark.parametrize(
    ("n", "d", "k"), [(9, 2, 8), (64, 3, 1), (65, 3, 20), (300, 16, 20), (1000, 5, 20)]
)
def test_neighbors_are_scikit_learns(n, d, k):
    x = np.random.default_rng(n).standard_normal((n, d)).astype(np.float32)
    distances, neighbors = jax.jit(neighbor_graph.nearest_neighbors, static_argnums=1)(x, k)
    expected_distances, expected_neighbors = nearest(x, k)
    np.testing.assert_array_equal(neighbors, expected_neighbors)
    np.testing.assert_allclose(distances, expected_distances**2, rtol=1e-5)
    assert (neighbors.dtype, distances.dtype) == (jnp.int32, jnp.float32)


def test_neighbors_of_collapsed_features_are_exact():
    """The points lie near each other and far from the origin.

    There |x|^2 - 2 x.y would round all differences away.
    """
    x = (np.random.default_rng(0).standard_normal((300, 4)) * 1e-3 + 10).astype(np.float32)
    _, neighbors = neighbor_graph.nearest_neighbors(jnp.asarray(x), 5)
    _, expected = nearest(x.astype(np.float64) - 10, 5)
    assert np.mean(np.asarray(neighbors) == expected) > 0.99


@pytest.mark.parametrize(("width", "share"), [(3e-3, (0.999, 1)), (1e-4, (0, 0.5))])
def test_neighbors_in_narrow_clusters_far_apart(width, share):
    """The neighbors are exact down to a width of about 0.002; below it they are in the cluster."""
    draw = np.random.default_rng(0)
    centers = np.linalg.qr(draw.standard_normal((8, 4)))[0].T
    x = np.repeat(centers, 100, axis=0) + draw.standard_normal((400, 8)) * width / 8**0.5
    x = np.asarray(neighbor_graph.unit(jnp.asarray(x, jnp.float32)))
    _, neighbors = neighbor_graph.nearest_neighbors(jnp.asarray(x), 5)
    _, expected = nearest(x, 5)
    assert share[0] <= np.mean(np.asarray(neighbors) == expected) <= share[1]
    assert (np.asarray(neighbors) // 100 == np.arange(400)[:, None] // 100).all()


def test_equal_distances_are_in_the_order_of_their_index():
    x = jnp.zeros((200, 2)).at[100:].set(1.0)
    distances, neighbors = neighbor_graph.nearest_neighbors(x, 3)
    np.testing.assert_array_equal(neighbors[150], [100, 101, 102])
    np.testing.assert_array_equal(neighbors[0], [1, 2, 3])
    assert (distances == 0).all()


def test_the_digraph_is_eq_4():
    x = np.random.default_rng(1).standard_normal((90, 6)).astype(np.float32)
    graph = digraph(x, 7, 0.8)
    w, sigma, chosen = reference.digraph(x, 7, 0.8)
    dense = np.zeros_like(w)
    np.put_along_axis(dense, np.asarray(graph.neighbors), np.asarray(graph.weights), axis=1)
    np.testing.assert_array_equal(graph.neighbors, chosen)
    np.testing.assert_allclose(dense, w, atol=1e-6)
    np.testing.assert_allclose(graph.sigma, sigma, rtol=1e-6)


def test_the_papers_point_of_reference():
    """It is measured on scikit-learn's digits, as pixels of unit length, with K = 20."""
    x = load_digits().data.astype(np.float32)
    graph = digraph(x / np.linalg.norm(x, axis=1, keepdims=True), 20, 1.0)
    assert f"{float(graph.sigma):.5f}" == "0.36617"
    assert int(neighbor_graph.initial_clusters(graph).max()) + 1 == 372


def test_duplicates_have_weight_one_and_sigma_may_be_zero():
    graph = digraph(np.ones((30, 3), np.float32), 5, 1.0)
    assert float(graph.sigma) == 0
    assert (graph.weights == 1).all()


def test_features_that_are_not_finite_show_in_sigma():
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    x[7, 1] = np.nan
    assert np.isnan(digraph(x, 5, 1.0).sigma)


def test_too_many_neighbors_are_refused():
    with pytest.raises(ValueError, match="n_neighbors: must be from 1 to 9 for 10 samples, got 10"):
        neighbor_graph.nearest_neighbors(jnp.zeros((10, 2)), 10)


@pytest.mark.parametrize("seed", range(5))
def test_components_of_any_graph_with_one_edge_a_node(seed):
    """The graphs have long tails, long cycles and loops."""
    rng = np.random.default_rng(seed)
    n = 200
    target = rng.integers(0, n, n)
    target[:50] = np.roll(np.arange(50), 1)
    np.testing.assert_array_equal(
        jax.jit(neighbor_graph.components)(target.astype(np.int32)),
        reference.one_neighbor_components(target),
    )


class JittedAndEager(chex.TestCase):
    """The functions give the same whether they are compiled or not."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_labels_are_numbered_by_their_first_sample(self):
        labels = self.variant(neighbor_graph.first_numbered)(jnp.array([4, 4, 0, 3, 0]))
        np.testing.assert_array_equal(labels, [0, 0, 1, 2, 1])

    @chex.variants(with_jit=True, without_jit=True)
    def test_rows_of_unit_length(self):
        rows = self.variant(neighbor_graph.unit)(jnp.array([[3.0, 4.0], [0.0, 0.0]]))
        np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: neighbor_graph.nearest_neighbors(jnp.zeros(10), 3),
        lambda: neighbor_graph.knn_digraph(jnp.zeros(10), 3),
        lambda: neighbor_graph.unit(jnp.zeros(10)),
        lambda: neighbor_graph.components(jnp.zeros((10, 1), jnp.int32)),
        lambda: neighbor_graph.first_numbered(jnp.zeros((10, 1), jnp.int32)),
    ],
)
def test_wrong_shapes_are_refused(call):
    with pytest.raises(AssertionError, match="input 0 has rank"):
        call()
