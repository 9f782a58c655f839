"""``partial_fit``: batches move k-means and CCNN, and nothing else."""

import pickle
from functools import partial

import jax
import numpy as np
import pytest
from sklearn.base import clone

import jaxclust as jc
from jaxclust.errors import UsageError
from jaxclust.estimators import DEC, DeepClustering, KMeans, batches
from jaxclust.methods.registry import METHODS
from jaxclust.networks.autoencoders import pixels

SMALL = jc.method("ccnn").replace(network=pixels, pretrainer=None, pretraining=None)
"""CCNN whose network gives the numbers themselves, for FC9."""
FEATURES = jc.method("sae-kmeans").replace(network=partial(jc.networks.sae, hidden=()))
CYCLE = 8
SETTINGS = {
    "batch": 4,
    "reliable": 2,  # A step takes 4 * 4 / 2 images.
    "fc9": "glorot",
    "sample": 20,
    "epochs": 1,
    "start_count": 0,
    "update_with": "all",
    "select": "nearest",
}
FIXED = SETTINGS | {"trainable": "nothing", "compensation": "none"}


def blobs(n=60):
    """A table with three groups far apart, of either sign."""
    rng = np.random.default_rng(0)
    centers = 100 * rng.normal(size=(3, 4))
    return centers[np.arange(n) % 3] + rng.normal(size=(n, 4))


def rows():
    """A table whose groups of three rows each come in every batch."""
    return np.abs(blobs(64))


@pytest.fixture(scope="module")
def learned():
    """Two seeds of CCNN that fine-tune FC9, after one batch and then two more."""
    estimator = DeepClustering(SMALL, 3, n_init=2, settings=SETTINGS, scale="minmax")
    first = pickle.loads(pickle.dumps(estimator.partial_fit(rows()[:32])))
    for start in (32, 48):
        estimator.partial_fit(rows()[start : start + 16])
    return first, estimator


def test_kmeans_moves_its_centers_to_the_means_of_all_batches():
    table = blobs()
    moved = KMeans(3, scale="minmax", settings={"restarts": 1})
    moved.partial_fit(table[:30]).partial_fit(table[30:])
    labels = moved.predict(table)
    means = np.stack([table[labels == c].mean(axis=0) for c in range(3)])
    np.testing.assert_allclose(moved.cluster_centers_, means, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(moved.labels_, labels[30:])
    assert moved._progress.counts.sum() == 60
    assert moved.n_features_in_ == 4


@pytest.mark.parametrize("method", [SMALL, FEATURES], ids=["ccnn", "sae-kmeans"])
def test_a_batch_on_a_fixed_network_is_one_of_minibatch_kmeans(method):
    """The loop of Sculley 2010, algorithm 1: the batch is assigned, then row after row moves."""
    table = rows()
    settings = FIXED if method is SMALL else {"pretraining.epochs": 1, "restarts": 1}
    estimator = DeepClustering(method, 3, settings=settings, scale="minmax")
    whole = clone(estimator).fit(table[:32])
    estimator.partial_fit(table[:32])
    np.testing.assert_array_equal(estimator.cluster_centers_, whole.cluster_centers_)
    centers = estimator.cluster_centers_.astype(np.float64)
    counts = np.bincount(estimator.labels_, minlength=3)
    if method is SMALL:
        counts = np.asarray(estimator._states.counts)[0].copy()
    assert counts.sum() == 32
    for start in range(32, 64, CYCLE):
        batch = table[start : start + CYCLE]
        features = estimator.transform(batch).astype(np.float64)
        nearest = np.linalg.norm(features[:, None] - centers, axis=2).argmin(axis=1)
        for feature, center in zip(features, nearest, strict=True):
            counts[center] += 1
            centers[center] += (feature - centers[center]) / counts[center]
        estimator.partial_fit(batch)
        np.testing.assert_allclose(estimator.cluster_centers_, centers, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(estimator.predict(batch), estimator.labels_)
    counted = estimator._states.counts if method is SMALL else estimator._progress.counts
    np.testing.assert_array_equal(counted[0], counts)


def test_batches_of_ccnn_fine_tune_its_layers(learned):
    first, estimator = learned
    assert estimator.labels_.shape == (16,)
    assert estimator.all_labels_.shape == (2, 16)
    assert estimator.run_.labels.shape == (2, 32)
    np.testing.assert_array_equal(estimator.predict(rows()[48:]), estimator.labels_)
    before, after = (np.asarray(part._states.head["fc9"]["kernel"]) for part in learned)
    assert (np.abs(after - before).max(axis=(1, 2)) > 1e-6).all()
    with pytest.raises(ValueError, match="3 features, but DeepClustering is expecting 4 features"):
        estimator.partial_fit(rows()[:, :3])
    assert first._progress.batches == 0


def test_a_pickle_goes_on_to_the_same_states(learned):
    first, estimator = learned
    other = pickle.loads(pickle.dumps(first))
    for start in (32, 48):
        other.partial_fit(rows()[start : start + 16])
    jax.tree.map(np.testing.assert_array_equal, other._states, estimator._states)
    np.testing.assert_array_equal(other.labels_, estimator.labels_)


def test_a_saved_one_goes_on_to_the_same_states(learned, tmp_path):
    estimator = learned[1]
    estimator.save(tmp_path / "ccnn")
    other = DeepClustering.load(tmp_path / "ccnn", SMALL)
    np.testing.assert_array_equal(other.predict(rows()), estimator.predict(rows()))
    mine = pickle.loads(pickle.dumps(estimator)).partial_fit(rows()[:16])
    other.partial_fit(rows()[:16])
    jax.tree.map(np.testing.assert_array_equal, other._states, mine._states)


def test_a_batch_that_ends_in_nan_changes_nothing():
    settings = SETTINGS | {"epochs": 0, "learning_rate": 1e38, "trainable": "head"}
    estimator = DeepClustering(SMALL, 3, settings=settings, scale="minmax").partial_fit(rows())
    before = dict(vars(estimator))
    with pytest.raises(UsageError, match="^partial_fit: steps of ccnn must stay finite, got NaN"):
        estimator.partial_fit(rows())
    assert all(vars(estimator)[name] is value for name, value in before.items())


def test_methods_that_keep_something_for_each_image_say_so():
    assert not hasattr(DEC(3), "partial_fit")
    assert hasattr(DeepClustering("kmeans"), "partial_fit")
    assert hasattr(DeepClustering("ccnn"), "partial_fit")
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as raised:
        DEC(3).partial_fit(blobs())
    rule = "that keeps nothing for each image, kmeans, sae-kmeans, .* ccnn, .* got dec"
    with pytest.raises(UsageError, match=rule):
        raise raised.value.__cause__
    with pytest.raises(UsageError, match="start: must be seeds or sample for partial_fit"):
        batches.check(METHODS["ccnn-iii"])
