import numpy as np
import pytest

from jaxclust.evaluation import mixtures


def blobs(groups, n=60):
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(groups, 12)) * 8
    return np.repeat(centers, n, axis=0) + generator.normal(size=(groups * n, 12))


@pytest.mark.parametrize("groups", [2, 4])
def test_the_lowest_is_at_the_number_of_far_groups(groups):
    values = mixtures.bic(blobs(groups), range(2, 7))
    assert list(values) == [2, 3, 4, 5, 6]
    assert min(values, key=values.get) == groups


def test_a_sample_of_many_has_nearly_the_same_number(monkeypatch):
    monkeypatch.setattr(mixtures, "SAMPLE", 200)
    values = mixtures.bic(blobs(3, 400), range(2, 6))
    assert min(values, key=values.get) == 3


def test_directions_without_variance_change_nothing():
    vectors = blobs(3)
    padded = np.concatenate([vectors, np.zeros((len(vectors), 9))], axis=1)
    padded = {k: round(v, 3) for k, v in mixtures.bic(padded, range(2, 6)).items()}
    assert padded == {k: round(v, 3) for k, v in mixtures.bic(vectors, range(2, 6)).items()}
