import numpy as np
import pytest

from jaxclust.evaluation.silhouettes import choose_number
from jaxclust.evaluation.vectors import fit_projection, project


def vectors_of(features):
    return project(fit_projection(features), features)


def blobs(groups, size):
    """Features of some far groups of one size."""
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(groups, 30)) * 6
    noise = generator.normal(size=(size * groups, 30))
    return (np.repeat(centers, size, axis=0) + noise).astype(np.float32)


@pytest.mark.parametrize(("groups", "size"), [(2, 20), (3, 20), (7, 12), (23, 8)])
def test_far_groups_are_counted(groups, size):
    # 23 is none of the numbers that are tried first.
    number = choose_number(vectors_of(blobs(groups, size)))
    assert number.groups == groups
    assert number.supported


def test_noise_has_no_supported_number():
    noise = np.random.default_rng(3).normal(size=(100, 30)).astype(np.float32)
    assert not choose_number(vectors_of(noise)).supported


def test_a_number_is_never_larger_than_a_fifth_of_the_different_pictures():
    features = np.tile(np.random.default_rng(4).normal(size=(20, 10)), (9, 1)).astype(np.float32)
    number = choose_number(vectors_of(features))
    assert max(number.silhouettes) == 4


def test_digits_have_ten_or_so():
    from sklearn.datasets import load_digits

    images = load_digits(return_X_y=True)[0][:200]
    number = choose_number(vectors_of(images.astype(np.float32)))
    assert 9 <= number.groups <= 11
    assert number.supported


def test_pictures_that_are_equally_far_from_each_other_have_some_number():
    assert choose_number(vectors_of(np.eye(20, dtype=np.float32))).groups >= 2


def test_few_features_have_their_groups_counted():
    features = np.array([[0, 0], [9, 1], [4, 9]], np.float32).repeat(30, axis=0)
    features += np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    assert choose_number(vectors_of(features)).groups == 3
