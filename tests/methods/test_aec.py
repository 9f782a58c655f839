"""AEC: one step, one update of the clusters and its units against slow loops over images."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.methods import aec, registry
from jaxclust.networks import pixels, tied_sae
from sae_reference import forward
from slopes import assert_goes_down

KEY = jax.random.key(0)
NETWORK = tied_sae((8, 8, 1), 4, (12, 9))
CONFIG = aec.Config(
    clusters=4, restarts=2, optimizer="sgd", momentum=0.0, learning_rate=1e-2, least_steps=None
)
ROWS = np.arange(20, 52)
INIT = jax.jit(aec.init, static_argnums=(0, 1))
STEP = jax.jit(aec.step, static_argnums=(0, 1))
REFRESH = jax.jit(aec.refresh, static_argnums=(0, 1))


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    return INIT(CONFIG, NETWORK, KEY, None, images)


def in_float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def errors(params, x, centers):
    """The squared error of each image, and the squared distance of its features to a center."""
    found = []
    for image, center in zip(x, centers, strict=True):
        features, reconstruction = forward(params, image)
        error = np.sum((image - reconstruction) ** 2)
        found.append((error, np.sum((features - center) ** 2)))
    return np.array(found)


def test_a_step_goes_down_the_loss_with_its_terms_relative_to_the_start(state, images):
    """Other labels than the nearest show that a step takes those of the state."""
    params = in_float64(state.variables.params)
    centers = np.asarray(state.centroids, np.float64)
    x = np.asarray(images, np.float64).reshape(120, 64) / 255
    units = errors(params, x, centers[np.asarray(state.labels)]).mean(axis=0)
    np.testing.assert_allclose(state.units, units, rtol=1e-4)

    other = state._replace(labels=(state.labels + 1) % 4)
    rows = jnp.asarray(ROWS, jnp.int32)
    after, info = STEP(CONFIG, NETWORK, KEY, other, images[rows], rows)
    own = centers[np.asarray(other.labels)[ROWS]]

    def loss():
        return np.sum(errors(params, x[ROWS], own).mean(axis=0) / units * [1, 0.1])

    np.testing.assert_allclose(info.loss, loss(), rtol=1e-4)
    np.testing.assert_allclose(info[1:], errors(params, x[ROWS], own).mean(axis=0), rtol=1e-4)
    leaves = (("encoder1", "kernel"), ("encoder3", "bias"), ("decoder2", "bias"))
    assert_goes_down(params, after.variables.params, leaves, loss)
    np.testing.assert_array_equal(after.centroids, other.centroids)
    np.testing.assert_array_equal(after.labels, other.labels)


def test_the_loss_starts_at_one_for_each_term_whatever_the_brightness(state, images):
    rows = jnp.arange(120, dtype=jnp.int32)
    dark = images // 8
    in_the_dark = INIT(CONFIG, NETWORK, KEY, None, dark)
    for first, batch in ((state, images), (in_the_dark, dark)):
        _, info = STEP(CONFIG, NETWORK, KEY, first, batch, rows)
        np.testing.assert_allclose(info.loss, 1.1, rtol=1e-4)
    black = jnp.zeros_like(images)
    blank = INIT(CONFIG, NETWORK, KEY, None, black)
    _, info = STEP(CONFIG, NETWORK, KEY, blank, black, rows)
    assert np.isfinite(info.loss)


def test_plain_terms_are_the_sums_of_the_paper(state, images):
    plain = dataclasses.replace(CONFIG, terms="plain", start="random")
    first = INIT(plain, NETWORK, KEY, None, images)
    assert first.units == (1, 1)
    # A random start has as many images in each cluster, and the means of their features.
    np.testing.assert_array_equal(np.bincount(first.labels), [30] * 4)
    assert (np.diff(first.labels) != 1).any()
    features = np.asarray(aec.ALGORITHM.embed(plain, NETWORK, first, images))
    means = [features[np.asarray(first.labels) == c].mean(axis=0) for c in range(4)]
    np.testing.assert_allclose(first.centroids, means, rtol=1e-3, atol=1e-5)


def test_centroids_become_means_before_images_get_the_nearest(state, images):
    """The first cluster has no image; its centroid stays and may get some."""
    before = state._replace(labels=1 + jnp.arange(120, dtype=jnp.int32) % 3)
    after, stop, info = REFRESH(CONFIG, NETWORK, KEY, before, images)
    features = np.asarray(aec.ALGORITHM.embed(CONFIG, NETWORK, before, images), np.float64)
    centers = np.asarray(before.centroids, np.float64)
    for c in (1, 2, 3):
        centers[c] = np.mean(
            [h for h, own in zip(features, before.labels, strict=True) if own == c], axis=0
        )
    labels = [int(np.argmin([np.sum((h - c) ** 2) for c in centers])) for h in features]
    np.testing.assert_allclose(after.centroids, centers, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(after.labels, labels)
    np.testing.assert_allclose(info.changed, np.mean(labels != np.asarray(before.labels)))
    assert not stop
    np.testing.assert_array_equal(
        aec.ALGORITHM.predict(CONFIG, NETWORK, after, images).cluster, after.labels
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clusters": 1}, "clusters: must be at least 2, got 1"),
        ({"clustering_weight": -1.0}, "clustering_weight: must be at least 0 and finite"),
        ({"terms": "all"}, "terms: must be relative or plain, got 'all'"),
        ({"start": "graph"}, "start: must be kmeans or random, got 'graph'"),
        ({"tolerance": 2.0}, r"tolerance: must be in \[0, 1\], got 2.0"),
        ({"least_steps": 0}, "least_steps: must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        aec.Config(**settings)


def test_a_network_without_a_decoder_is_refused(images):
    with pytest.raises(UsageError, match="network: aec needs a decoder"):
        jax.eval_shape(lambda: aec.init(CONFIG, pixels((8, 8, 1)), KEY, None, images))


@pytest.mark.parametrize("start", ["kmeans", "random"])
def test_fewer_images_than_clusters_are_refused(start, images):
    config = dataclasses.replace(CONFIG, start=start)
    with pytest.raises(UsageError, match="images: must be at least 4, got 3"):
        jax.eval_shape(lambda: aec.init(config, NETWORK, KEY, None, images[:3]))


def test_k_means_on_the_layer_wise_autoencoder_starts_from_the_pretraining_of_dcn():
    found, dcn = (registry.get(name) for name in ("dae-kmeans", "dcn"))
    assert found.algorithm.kmeans
    assert (found.network, found.pretrainer, found.pretraining) == (
        dcn.network,
        dcn.pretrainer,
        dcn.pretraining,
    )
    of_paper = [registry.method(name, "paper").pretraining for name in ("dae-kmeans", "dcn")]
    assert of_paper[0] == of_paper[1]
