"""DCEC's formulas against slow NumPy, its target, its stopping rule and its settings."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.methods import dcec
from jaxclust.networks import sae

NETWORK = sae((8, 8, 1), 5, (16,))
CONFIG = dcec.Config(clusters=4, batch=32, restarts=2)
KEY = jax.random.key(0)
STEP = jax.jit(dcec.step, static_argnums=(0, 1))
REFRESH = jax.jit(dcec.refresh, static_argnums=(0, 1))


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    return jax.jit(dcec.init, static_argnums=(0, 1))(CONFIG, NETWORK, KEY, None, images)


def test_a_step_is_the_same_eager_jitted_and_in_a_lane(state, images):
    rows = jnp.arange(32, dtype=jnp.int32)
    expected = STEP(CONFIG, NETWORK, KEY, state, images[rows], rows)
    with jax.disable_jit():
        eager = dcec.step(CONFIG, NETWORK, KEY, state, images[rows], rows)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
    lanes = jax.vmap(lambda lane: STEP(CONFIG, NETWORK, KEY, lane, images[rows], rows))(two)
    lane = jax.tree.map(lambda leaf: leaf[1], lanes)
    for other in (eager, lane):
        chex.assert_trees_all_close(expected, other, rtol=1e-3, atol=1e-5)


def test_the_loss_is_the_papers(state, images):
    rows = np.arange(40, 72)
    places = jnp.asarray(rows, jnp.int32)
    info = STEP(CONFIG, NETWORK, KEY, state, images[places], places)[1]
    z = np.asarray(dcec.embed(CONFIG, NETWORK, state, images), np.float64)
    centroids = np.asarray(state.centroids, np.float64)
    q = np.zeros((len(images), 4))
    for i in range(len(images)):  # eq. 6
        for j in range(4):
            q[i, j] = 1 / (1 + np.sum((z[i] - centroids[j]) ** 2))
        q[i] /= q[i].sum()
    p = np.zeros_like(q)
    for i in range(len(images)):  # eq. 8
        for j in range(4):
            p[i, j] = q[i, j] ** 2 / q[:, j].sum()
        p[i] /= p[i].sum()
    clustering = np.mean(
        [sum(p[i, j] * np.log(p[i, j] / q[i, j]) for j in range(4)) for i in rows]
    )  # eq. 7
    x = np.asarray(images[rows], np.float64) / 255
    decoded = np.asarray(NETWORK.reconstruct(state.variables, images[rows], True)[0], np.float64)
    reconstruction = np.mean((decoded - x) ** 2)  # eq. 4, averaged over pixels
    np.testing.assert_allclose(state.target, p, atol=1e-4)
    np.testing.assert_allclose(info.clustering, clustering, rtol=1e-3)
    np.testing.assert_allclose(info.reconstruction, reconstruction, rtol=1e-4)
    np.testing.assert_allclose(info.loss, reconstruction + 0.1 * clustering, rtol=1e-3)  # eq. 5


def test_the_sum_over_pixels_is_the_mean_times_their_number(state, images):
    rows = jnp.arange(32, dtype=jnp.int32)
    config = dataclasses.replace(CONFIG, reconstruction="sum")
    info = STEP(config, NETWORK, KEY, state, images[rows], rows)[1]
    expected = 64 * info.reconstruction + 0.1 * info.clustering
    np.testing.assert_allclose(info.loss, expected, rtol=1e-5)


def test_without_reconstruction_the_decoder_stands_still(state, images):
    rows = jnp.arange(32, dtype=jnp.int32)
    config = dataclasses.replace(CONFIG, reconstruction_weight=0.0, gamma=1.0)
    after, info = STEP(config, NETWORK, KEY, state, images[rows], rows)
    before = state.variables.params
    now = after.variables.params
    moved = {
        name
        for name in before
        if any(np.any(now[name][leaf] != before[name][leaf]) for leaf in before[name])
    }
    assert moved
    assert all(name.startswith("encoder") for name in moved), moved
    assert float(info.reconstruction) == 0


def test_a_network_without_a_decoder_serves_dec_alone(state, images):
    encoder = NETWORK._replace(reconstruct=None)
    rows = jnp.arange(32, dtype=jnp.int32)
    with pytest.raises(ValueError, match="network: dcec needs a decoder, got a network without"):
        dcec.step(CONFIG, encoder, KEY, state, images[rows], rows)
    config = dataclasses.replace(CONFIG, reconstruction_weight=0.0)
    after, _ = STEP(config, encoder, KEY, state, images[rows], rows)
    assert np.any(after.centroids != state.centroids)


def test_target_rows_sum_to_one_and_labels_are_the_nearest_centroid(state, images):
    np.testing.assert_allclose(state.target.sum(axis=1), 1, rtol=1e-5)
    predicted = dcec.predict(CONFIG, NETWORK, state, images)
    np.testing.assert_array_equal(state.labels, predicted.cluster)


def test_permuting_centroids_permutes_the_target(state, images):
    order = np.array([2, 0, 3, 1])
    permuted = state._replace(centroids=state.centroids[order])
    plain, _, _ = REFRESH(CONFIG, NETWORK, KEY, state, images)
    other, _, _ = REFRESH(CONFIG, NETWORK, KEY, permuted, images)
    np.testing.assert_allclose(other.target, plain.target[:, order], rtol=1e-4, atol=1e-6)


def test_refresh_stops_only_below_the_tolerance(state, images):
    """One of 120 labels differs."""
    shifted = state._replace(labels=state.labels.at[0].set((state.labels[0] + 1) % 4))
    for tolerance, stops in ((1 / 120, False), (1.1 / 120, True)):
        config = dataclasses.replace(CONFIG, tolerance=tolerance)
        _, stop, info = REFRESH(config, NETWORK, KEY, shifted, images)
        assert bool(stop) is stops
        np.testing.assert_allclose(info.changed, 1 / 120, rtol=1e-6)


def test_refresh_counts_empty_clusters_and_the_largest(state, images):
    far = state._replace(centroids=state.centroids.at[1:].add(1e3))
    _, _, info = REFRESH(CONFIG, NETWORK, KEY, far, images)
    assert int(info.empty_clusters) == 3
    assert float(info.largest_cluster) == 1


def test_the_papers_schedule():
    assert dcec.schedule(dcec.Config(), 9298) == (256, 140, 142, "sequential")
    assert dcec.schedule(dcec.Config(max_steps=0), 9298).max_windows == 0
    assert dcec.schedule(dcec.Config(batch=256), 100).batch == 100


def test_few_images_have_shorter_windows_and_large_sets_the_papers():
    config = dcec.Config(update_epochs=4.0)
    # 4 passes over 420 images are 6.6 steps of 256 images.
    assert dcec.schedule(config, 420) == (256, 7, 142, "sequential")
    assert dcec.schedule(config, 100) == (100, 4, 142, "sequential")
    for n in (9298, 10_000, 70_000):
        assert dcec.schedule(config, n) == dcec.schedule(dcec.Config(), n)
    with pytest.raises(ValueError, match="update_epochs: must be above 0 and finite, got 0"):
        dcec.Config(update_epochs=0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clusters", 1, "clusters: must be at least 2, got 1"),
        ("batch", 0, "batch: must be at least 1, got 0"),
        ("gamma", -1.0, "gamma: must be at least 0, got -1.0"),
        ("gamma", float("nan"), "gamma: must be at least 0, got nan"),
        ("tolerance", 2.0, r"tolerance: must be in \[0, 1\], got 2.0"),
        ("learning_rate", 0.0, "learning_rate: must be above 0, got 0.0"),
        ("momentum", 1.0, r"momentum: must be in \[0, 1\), got 1.0"),
        ("optimizer", "lbfgs", "optimizer: must be adam or sgd, got 'lbfgs'"),
        ("reconstruction", "max", "reconstruction: must be mean or sum, got 'max'"),
        ("update_interval", 0, "update_interval: must be at least 1, got 0"),
        ("restarts", 0, "restarts: must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dcec.Config(**{field: value})
