"""Basic partitions, their consensus, and marginalized denoising against corruption by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.ops import consensus, denoising
from jaxclust.ops.consensus import Basic

RNG = np.random.default_rng(4)
KEY = jax.random.key(0)


def test_basic_partitions_are_those_of_lloyds_iteration():
    x = np.float32(RNG.normal(size=(50, 3)) + 4 * RNG.integers(0, 3, (50, 1)))
    basic = consensus.basic(KEY, jnp.asarray(x), 6, (2, 5), 40)
    assert set(np.asarray(basic.sizes)) <= {2, 3, 4, 5}
    labels = np.asarray(consensus.partitions(basic, jnp.asarray(x)))
    for each, centroids, size in zip(labels, basic.centroids, basic.sizes, strict=True):
        assert each.max() < size
        # It has settled: scikit-learn's k-means stays where it is.
        start = np.asarray(centroids)[: int(size)]
        again = KMeans(int(size), init=start, n_init=1).fit(x)
        np.testing.assert_array_equal(again.labels_, each)
        np.testing.assert_allclose(again.cluster_centers_, start, atol=1e-4)


def test_products_of_codes_are_co_associations():
    partitions = np.array([[0, 0, 1, 2], [1, 0, 0, 1], [2, 2, 2, 0]], np.int32)
    codes = np.asarray(consensus.codes(jnp.asarray(partitions), 3))
    together = (partitions[:, :, None] == partitions[:, None, :]).sum(axis=0)
    np.testing.assert_array_equal(codes @ codes.T, together)
    assert codes.shape == (4, 9)


def test_the_consensus_is_what_noisy_partitions_share():
    truth = np.repeat(np.arange(4), 25)
    noisy = []
    for _ in range(15):
        labels = RNG.permutation(4)[truth]  # Numbers mean nothing.
        wrong = RNG.random(100) < 0.3
        noisy.append(np.where(wrong, RNG.integers(0, 4, 100), labels))
    noisy = np.array(noisy, np.int32)
    result = consensus.consensus(KEY, jnp.asarray(noisy), 4, 4)
    assert metrics.nmi(truth, result.labels) > 0.95
    assert max(metrics.nmi(truth, labels) for labels in noisy) < 0.8
    explicit = np.asarray(consensus.codes(jnp.asarray(noisy), 4))
    assert KMeans(4, n_init=10, random_state=0).fit(explicit).inertia_ == pytest.approx(
        float(result.inertia), rel=1e-4
    )


def test_a_consensus_of_too_many_partitions_is_refused():
    partitions = jnp.zeros((51, 200), jnp.int32)
    with pytest.raises(UsageError, match="partitions: must have at most 5000 clusters in all, got"):
        consensus.consensus(KEY, partitions, 100, 4)


def test_unused_centroids_take_no_sample():
    basic = Basic(jnp.asarray([[[0.0], [10.0], [1.0]]]), jnp.asarray([2]))
    np.testing.assert_array_equal(
        consensus.partitions(basic, jnp.asarray([[1.0], [9.0]])), [[0, 1]]
    )
    with pytest.raises(UsageError, match=r"sizes: must be rising, from 1 to 3 for 3 samples, got"):
        consensus.basic(KEY, jnp.zeros((3, 2)), 2, (2, 4))


def test_marginalized_denoising_is_the_limit_of_many_corruptions():
    x = np.float32(RNG.normal(size=(40, 4)) @ RNG.normal(size=(4, 4)) + 1)
    weights = np.asarray(denoising.marginalized(jnp.asarray(x), 0.3))
    copies = np.repeat(x.astype(np.float64), 4000, axis=0)
    corrupted = copies * (RNG.random(copies.shape) >= 0.3)
    corrupted = np.concatenate([corrupted, np.ones((len(copies), 1))], axis=1)
    best, *_ = np.linalg.lstsq(corrupted, copies, rcond=None)
    np.testing.assert_allclose(weights, best, atol=0.02)
    # Without corruption it is the identity.
    plain = denoising.marginalized(jnp.asarray(x), 0.0)
    np.testing.assert_allclose(denoising.mapped(jnp.asarray(x), plain, True), x, atol=0.01)
    np.testing.assert_allclose(
        denoising.mapped(jnp.asarray(x), plain), np.tanh(x @ plain[:-1] + plain[-1]), atol=1e-4
    )


def test_features_that_are_always_0_are_no_matter():
    x = jnp.asarray(RNG.random((20, 3)), jnp.float32).at[:, 1].set(0)
    weights = denoising.marginalized(x, 0.5)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(denoising.mapped(x, weights)[:, 1], 0, atol=1e-6)
