"""``DeepClustering``: the same numbers as ``fit``, and scikit-learn's habits."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from jaxclust.engine import fit
from jaxclust.estimators import DeepClustering
from jaxclust.evaluation import agreement
from jaxclust.methods import registry


@pytest.fixture(scope="module")
def fitted(few_digits):
    estimator = DeepClustering("kmeans", 5, n_init=3, random_state=2, settings={"restarts": 1})
    return estimator.fit(few_digits[0])


def test_labels_are_the_votes_of_the_seeds(fitted, few_digits):
    method = registry.method("kmeans", clusters=5, restarts=1)
    run = fit.fit(method, few_digits[0], (2, 3, 4))
    np.testing.assert_array_equal(fitted.run_.labels, run.labels)
    middle = agreement.medoid(agreement.agreement(run.labels))
    assert fitted.seed_ == 2 + middle
    # The seed that agrees best gives the numbers, and each image the cluster of most seeds.
    np.testing.assert_array_equal(fitted.all_labels_[middle], run.labels[middle])
    assert fitted.all_labels_.shape == (3, 300)
    share = (fitted.all_labels_ == fitted.labels_).mean(axis=0)
    np.testing.assert_allclose(fitted.share_, share)
    assert (share[fitted.labels_ != run.labels[middle]] == 2 / 3).all()
    assert fitted.n_features_in_ == 64


def test_predict_and_transform_go_together(fitted, few_digits):
    np.testing.assert_array_equal(fitted.predict(few_digits[0]), fitted.labels_)
    assert fitted.predict(few_digits[0][:1]) == fitted.labels_[:1]
    features = fitted.transform(few_digits[0])
    assert (features.shape, features.dtype) == ((300, 64), np.float32)


def test_a_table_of_pixels_in_a_pipeline(fitted, few_digits):
    flat = few_digits[0].reshape(300, 64).astype(np.float32)
    settings = fitted.get_params() | {"image_shape": (8, 8)}
    pipeline = make_pipeline(
        FunctionTransformer(lambda x: x / np.float32(255)), DeepClustering(**settings)
    )
    np.testing.assert_array_equal(pipeline.fit_predict(flat), fitted.labels_)


def test_a_clone_is_unfitted_with_the_same_settings(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    with pytest.raises(ValueError, match="not fitted"):
        other.predict(np.zeros((2, 8, 8)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "nope"}, "method: must be one of best"),
        ({"n_clusters": 1}, "clusters: must be at least 2, got 1"),
        ({"n_init": 0}, "n_init: must be an integer of at least 1, got 0"),
        ({"random_state": -1}, "random_state: must be an integer of at least 0, got -1"),
        ({"settings": {"gama": 1}}, "settings: kmeans has .*, got 'gama'; did you mean gamma?"),
        ({"settings": {"pretraining.epochs": 1}}, "got 'pretraining.epochs'"),
        ({"settings": {"clusters": 4}}, "n_clusters apart, got 'clusters'"),
        ({"n_clusters": 2.7}, "clusters: must be int, got 2.7"),
        (
            {"image_shape": (8, 8)},
            r"X: must be of shape \(n, 64\) for image_shape, got \(5, 8, 8\)",
        ),
    ],
)
def test_bad_arguments(settings, message):
    images = np.random.default_rng(0).integers(0, 255, (5, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match=message):
        DeepClustering(**({"method": "kmeans", "n_clusters": 2} | settings)).fit(images)


def test_other_images_are_refused(fitted):
    with pytest.raises(
        ValueError, match=r"images: must be of shape \(n, 8, 8, 1\), got \(2, 9, 8, 1\)"
    ):
        fitted.predict(np.zeros((2, 9, 8), np.uint8))
