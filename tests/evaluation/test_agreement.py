"""Measures without labels, by hand and against scikit-learn."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score

from jaxclust.evaluation import agreement


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 4, (3, 60)).astype(np.int32)


def test_agreement_is_scikit_learns_ari(labels):
    matrix = agreement.agreement(labels)
    for i in range(3):
        for j in range(3):
            assert matrix[i, j] == pytest.approx(adjusted_rand_score(labels[i], labels[j]))
    assert agreement.stability(matrix)[0] == pytest.approx((matrix[0, 1] + matrix[0, 2]) / 2)
    assert np.isnan(agreement.stability(np.eye(1))).all()


def test_the_medoid_is_the_seed_between():
    a = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    b = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    c = np.array([0, 0, 1, 1, 1, 1, 1, 1])
    assert agreement.medoid(agreement.agreement(np.stack([a, b, c]))) == 1


def test_other_names_of_the_same_clusters_are_taken_back(labels):
    names = np.array([2, 0, 3, 1])
    np.testing.assert_array_equal(
        agreement.numbering(names[labels[0]], labels[0], 4), np.argsort(names)
    )
    # Where two clusterings are the same, empty clusters keep their numbers, too.
    few = np.array([5, 5, 1], np.int32)
    np.testing.assert_array_equal(agreement.numbering(few, few, 8), np.arange(8))


def test_the_vote_by_hand():
    seeds = np.array([[0, 2, 0, 3], [0, 1, 1, 3], [1, 1, 2, 2]], np.int32)
    # Where votes are equal, those of the named seed win.
    for first, last in ((0, 0), (1, 1), (2, 2)):
        voted, share = agreement.most_votes(seeds, first, 4)
        np.testing.assert_array_equal(voted, [0, 1, last, 3])
        np.testing.assert_allclose(share, [2 / 3, 2 / 3, 1 / 3, 2 / 3])
    # Where the named seed is outvoted by two clusters alike, the lower one wins.
    five = np.array([[3], [2], [2], [1], [1]], np.int32)
    assert agreement.most_votes(five, 0, 4)[0].tolist() == [1]


def test_votes_are_counted_in_blocks(monkeypatch):
    seeds = np.random.default_rng(0).integers(0, 5, (4, 100)).astype(np.int32)
    whole = agreement.most_votes(seeds, 2, 5)
    votes = np.array([np.bincount(seeds[:, image], minlength=5) for image in range(100)], float)
    votes[np.arange(100), seeds[2]] += 0.5
    np.testing.assert_array_equal(whole[0], votes.argmax(axis=1))
    monkeypatch.setattr(agreement, "BLOCK", 7)
    for values, other in zip(agreement.most_votes(seeds, 2, 5), whole, strict=True):
        np.testing.assert_array_equal(values, other)


def test_images_without_a_cluster_are_left_out():
    np.testing.assert_array_equal(
        agreement.readable(np.array([[0, -1, 2, 1], [1, -1, 0, 1]])), [0, 2, 3]
    )


def test_certainty_by_hand():
    features = np.array([[0.0], [2.0], [10.0], [12.0]])
    # Means 1 and 11.
    np.testing.assert_allclose(
        agreement.certainty(features, np.array([3, 3, 7, 7])),
        [1 - 1 / 11, 1 - 1 / 9, 1 - 1 / 9, 1 - 1 / 11],
    )
    assert (agreement.certainty(features, np.zeros(4, int)) == 0).all()
    assert (agreement.certainty(np.zeros((4, 2)), np.array([0, 0, 1, 1])) == 0).all()


def test_final_losses_are_the_last_of_each_seed():
    columns = {"seed": np.array([0, 0, 5]), "loss": np.array([3.0, 2.0, 7.0])}
    np.testing.assert_array_equal(agreement.final_losses([5, 0, 9], columns), [7, 2, np.nan])
    assert np.isnan(agreement.final_losses([0], {})).all()


def test_among_equals_the_most_clusters():
    assert agreement.best_clusters({2: 0.95, 3: 0.6, 5: 0.945, 8: 0.9}) == 5


@pytest.mark.parametrize("digits", [1, 8])
def test_rank_correlation_is_scipys(digits):
    a, b = np.round(np.random.default_rng(digits).normal(size=(2, 9)), digits)
    assert agreement.rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(agreement.rank_correlation(a, np.ones(9)))
    assert np.isnan(agreement.rank_correlation([np.nan] * 9, b))
