import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.evaluation.vectors import fit_projection, project


def test_vectors_are_the_principal_components_of_scikit_learn_at_unit_length():
    from sklearn.decomposition import PCA

    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 90)).astype(np.float32) * np.linspace(3, 1, 90)
    features = features.astype(np.float32)
    vectors = project(fit_projection(features), features)
    components = PCA(64, svd_solver="full").fit_transform(features.astype(np.float64))
    expected = components / np.linalg.norm(components, axis=1, keepdims=True)
    signs = np.sign(np.sum(vectors * expected, axis=0))
    np.testing.assert_allclose(vectors, expected * signs, atol=1e-4)


def test_few_pictures_have_no_more_components_than_they_span():
    features = np.random.default_rng(1).normal(size=(5, 40)).astype(np.float32)
    vectors = project(fit_projection(features), features)
    assert vectors.shape == (5, 4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_new_pictures_get_the_same_vectors():
    features = np.random.default_rng(2).normal(size=(50, 20)).astype(np.float32)
    projection = fit_projection(features)
    whole = project(projection, features)
    np.testing.assert_allclose(project(projection, features[7:9]), whole[7:9], atol=1e-6)


def test_pictures_that_are_all_the_same_are_refused():
    with pytest.raises(UsageError, match="must differ from each other, got 6"):
        fit_projection(np.ones((6, 10), np.float32))


def test_few_features_keep_their_distances():
    features = np.array([[0.0, 0], [0, 1], [5, 0], [10, 0]], np.float32)
    vectors = project(fit_projection(features), features)
    ratios = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    expected = np.linalg.norm(features[:, None] - features, axis=2)
    np.testing.assert_allclose(ratios / ratios[0, 3], expected / 10, atol=1e-5)
    assert np.mean(np.sum(vectors**2, axis=1)) == pytest.approx(1)
