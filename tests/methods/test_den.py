"""DEN: its graph, its two constraints, a step and the final k-means against slow loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.methods import den, registry
from jaxclust.networks import grouped_sae, sae
from jaxclust.ops.kmeans import kmeans, lloyd
from sae_reference import forward
from slopes import assert_goes_down

KEY = jax.random.key(0)
NETWORK = grouped_sae((8, 8, 1), 3, hidden=(12, 9))
CONFIG = den.Config(
    clusters=3,
    n_neighbors=4,
    restarts=2,
    epochs=2,
    optimizer="sgd",
    momentum=0.0,
    learning_rate=1e-2,
    least_steps=None,
)
ROWS = np.arange(20, 52)
INIT = jax.jit(den.init, static_argnums=(0, 1))
STEP = jax.jit(den.step, static_argnums=(0, 1))


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    return INIT(CONFIG, NETWORK, KEY, None, images)


@pytest.fixture(scope="module")
def x(images):
    return np.asarray(images, np.float64).reshape(120, 64) / 255


def test_neighbors_have_the_weights_of_the_heat_kernel(state, x):
    squared = np.sum((x[:, None] - x) ** 2, axis=2)
    np.fill_diagonal(squared, np.inf)
    nearest = np.sort(squared, axis=1)[:, :4]
    chosen = np.take_along_axis(squared, np.asarray(state.graph.neighbors), axis=1)
    np.testing.assert_allclose(chosen, nearest, rtol=1e-5)
    weights = np.exp(-nearest / nearest.mean())
    np.testing.assert_allclose(state.graph.weights, weights, rtol=1e-4)


def lasso(features, sizes):
    """The lengths of groups of these sizes, each times the root of its size."""
    total = 0.0
    first = 0
    for size in sizes:
        total += np.sqrt(size) * np.sqrt(sum(value**2 for value in features[first : first + size]))
        first += size
    return total


def test_the_first_groups_have_one_feature_more_where_they_cannot_be_equal():
    features = np.random.default_rng(0).normal(size=(7, 8))
    features[0] = 0
    features[1, :3] = 0
    expected = [lasso(row, (3, 3, 2)) for row in features]
    np.testing.assert_allclose(
        den.group_lengths(jnp.asarray(features, jnp.float32), 3), expected, rtol=1e-5
    )
    slopes = jax.grad(lambda f: jnp.sum(den.group_lengths(f, 3)))(jnp.float32(features))
    np.testing.assert_array_equal(slopes[0], 0)
    np.testing.assert_array_equal(slopes[1, :3], 0)
    # Away from 0 the gradient of a length is the unit vector.
    unit = features[2, 6:] / np.linalg.norm(features[2, 6:])
    np.testing.assert_allclose(slopes[2, 6:], np.sqrt(2) * unit, rtol=1e-5)


def terms(params, x, rows, neighbors, weights):
    """Reconstruction, locality and sparsity, the means over the images in some rows."""
    found = []
    for row in rows:
        features, reconstruction = forward(params, x[row])
        near = 0.0
        for weight, neighbor in zip(weights[row], neighbors[row], strict=True):
            near += weight * np.sum((features - neighbor) ** 2)
        error = np.sum((reconstruction - x[row]) ** 2)
        found.append((error, near, lasso(features, (2, 2, 2))))
    return np.mean(found, axis=0)


def test_a_step_goes_down_the_loss_and_keeps_the_new_features(state, images, x):
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state.variables.params)
    graph = jax.tree.map(np.asarray, state.graph)
    features = np.array([forward(params, image)[0] for image in x])
    near = features[graph.neighbors]
    units = terms(params, x, range(120), near, graph.weights)
    np.testing.assert_allclose(state.units, units, rtol=1e-4)
    np.testing.assert_allclose(state.features, features, rtol=1e-4, atol=1e-6)

    # Older features of the neighbors show that a step takes those of the state.
    older = state._replace(features=0.5 * state.features)
    rows = jnp.asarray(ROWS, jnp.int32)
    after, info = STEP(CONFIG, NETWORK, KEY, older, images[rows], rows)

    def loss():
        return np.sum(terms(params, x, ROWS, near / 2, graph.weights) / units * [1, 0.5, 1])

    np.testing.assert_allclose(info.loss, loss(), rtol=1e-4)
    leaves = (("encoder1", "kernel"), ("encoder3", "kernel"), ("decoder1", "bias"))
    assert_goes_down(params, after.variables.params, leaves, loss)
    kept = [forward(after.variables.params, image)[0] for image in x[ROWS]]
    np.testing.assert_allclose(after.features[ROWS], kept, rtol=1e-3, atol=1e-5)
    others = np.setdiff1d(np.arange(120), ROWS)
    np.testing.assert_array_equal(after.features[others], older.features[others])


def test_the_loss_starts_at_one_for_each_term_whatever_the_brightness(state, images):
    rows = jnp.arange(120, dtype=jnp.int32)
    dark = images // 8
    in_the_dark = INIT(CONFIG, NETWORK, KEY, None, dark)
    for first, batch in ((state, images), (in_the_dark, dark)):
        _, info = STEP(CONFIG, NETWORK, KEY, first, batch, rows)
        np.testing.assert_allclose(info.loss, 2.5, rtol=1e-4)


def test_the_last_epoch_ends_with_k_means_anew(state, images):
    far = state._replace(centroids=state.centroids[::-1] + 1)
    refresh = jax.jit(den.refresh, static_argnums=(0, 1))
    # These are the features of the first state, under the network that the test does not move.
    features = state.features
    middle, _, _ = refresh(CONFIG, NETWORK, KEY, far, images)
    np.testing.assert_array_equal(middle.labels, lloyd(features, far.centroids).labels)
    last, stop, info = refresh(CONFIG, NETWORK, KEY, middle, images)
    found = kmeans(KEY, features, 3, restarts=2)
    np.testing.assert_array_equal(last.labels, found.labels)
    np.testing.assert_allclose(last.centroids, found.centroids, rtol=1e-4, atol=1e-6)
    assert (int(last.epochs), bool(stop)) == (2, False)
    np.testing.assert_allclose(info.changed, np.mean(middle.labels != last.labels), rtol=1e-6)


def test_the_network_has_a_group_for_each_cluster(images):
    assert registry.method("den", clusters=3).build((8, 8, 1)) is grouped_sae((8, 8, 1), 3)
    wide = registry.method("den", clusters=3, group_size=4).build((8, 8, 1))
    assert wide is grouped_sae((8, 8, 1), 3, group_size=4)
    narrow = sae((8, 8, 1), 2, (5,))
    with pytest.raises(UsageError, match="network: must have at least 3 features, .*, got 2"):
        jax.eval_shape(lambda: den.init(CONFIG, narrow, KEY, None, images))
    many = dataclasses.replace(CONFIG, n_neighbors=120)
    with pytest.raises(UsageError, match="n_neighbors: must be from 1 to 119"):
        jax.eval_shape(lambda: den.init(many, NETWORK, KEY, None, images))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_size": 0}, "group_size: must be at least 1, got 0"),
        ({"n_neighbors": 0}, "n_neighbors: must be at least 1, got 0"),
        ({"a": 0.0}, "a: must be above 0 and finite, got 0.0"),
        ({"sparsity_weight": -1.0}, "sparsity_weight: must be at least 0 and finite"),
        ({"terms": "sum"}, "terms: must be relative or plain, got 'sum'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        den.Config(**settings)
