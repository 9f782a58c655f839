"""Scores of clusterings against scikit-learn, brute force and hand-made tables."""

from itertools import permutations

import numpy as np
import pytest
from sklearn import metrics as reference

from jaxclust.evaluation import metrics

RNG = np.random.default_rng(0)


def labelings():
    yield "ties", np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    yield "equal", np.array([3, 3, -1, 7]), np.array([0, 0, 9, 5])
    yield "one cluster", np.array([0, 0, 1, 2]), np.zeros(4, int)
    yield "one class", np.zeros(4, int), np.array([0, 0, 1, 2])
    yield "one of each", np.zeros(4, int), np.full(4, 2)
    yield "all distinct", np.array([0, 0, 1, 2]), np.arange(4)
    yield "both distinct", np.arange(4)[::-1], np.arange(4)
    yield "one class, all distinct", np.zeros(4, int), np.arange(4)
    yield "one sample", np.array([5]), np.array([2])
    yield "negative ari", np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 0, 1, 2])
    yield "one odd sample", (np.arange(5000) == 3).astype(int), (np.arange(5000) == 7).astype(int)
    yield "uint8", np.array([0, 250, 250, 3], np.uint8), np.array([1, 1, 200, 200], np.uint8)
    for classes, clusters in [(2, 2), (3, 5), (6, 4), (20, 20), (10, 3)]:
        true = RNG.integers(0, classes, 300)
        yield f"random {classes} {clusters}", true, RNG.integers(0, clusters, 300)
        yield (
            f"related {classes} {clusters}",
            true,
            np.where(RNG.random(300) < 0.7, true % clusters, 0),
        )


CASES = [pytest.param(true, predicted, id=name) for name, true, predicted in labelings()]


def brute_accuracy(true, predicted):
    """Each one-to-one mapping tried; padded to as many classes as clusters."""
    classes, clusters = np.unique(true), np.unique(predicted)
    k = max(classes.size, clusters.size)
    table = np.zeros((k, k), int)
    for i, j in zip(
        np.searchsorted(classes, true), np.searchsorted(clusters, predicted), strict=True
    ):
        table[i, j] += 1
    return max(sum(table[i, order[i]] for i in range(k)) for order in permutations(range(k))) / len(
        true
    )


@pytest.mark.parametrize(("true", "predicted"), CASES)
def test_nmi_and_ari_are_scikit_learns(true, predicted):
    for name, sklearn_name in [("arithmetic", "arithmetic"), ("sqrt", "geometric"), ("max", "max")]:
        expected = reference.normalized_mutual_info_score(
            true, predicted, average_method=sklearn_name
        )
        assert metrics.nmi(true, predicted, name) == pytest.approx(expected, abs=1e-12)
    assert metrics.ari(true, predicted) == pytest.approx(
        reference.adjusted_rand_score(true, predicted), abs=1e-12
    )


@pytest.mark.parametrize(("true", "predicted"), CASES)
def test_accuracy_is_the_best_of_all_mappings(true, predicted):
    if max(np.unique(true).size, np.unique(predicted).size) <= 6:
        assert metrics.accuracy(true, predicted) == pytest.approx(brute_accuracy(true, predicted))


@pytest.mark.parametrize(("true", "predicted"), CASES)
def test_confusion_has_the_accuracy_on_its_diagonal(true, predicted):
    confusion = metrics.confusion(true, predicted)
    assert confusion.dtype == np.int64
    assert np.trace(confusion) / len(true) == pytest.approx(metrics.accuracy(true, predicted))
    np.testing.assert_array_equal(confusion.sum(axis=1), np.unique(true, return_counts=True)[1])
    columns = np.sort(confusion.sum(axis=0))[-np.unique(predicted).size :]
    np.testing.assert_array_equal(columns, np.sort(np.unique(predicted, return_counts=True)[1]))


def test_accuracy_of_renamed_labels_up_to_twenty():
    for k in (2, 7, 20):
        true = RNG.integers(0, k, 400)
        names = RNG.permutation(k)
        assert metrics.accuracy(true, names[true]) == 1
        # 30 samples moved to the next cluster cannot change the mapping of clusters of 20 or more.
        wrong = true.copy()
        wrong[:10] = (wrong[:10] + 1) % k
        assert metrics.accuracy(true, names[wrong]) == pytest.approx(1 - 10 / 400)


def test_confusion_by_hand():
    true = [0, 0, 0, 1, 1, 2]
    np.testing.assert_array_equal(
        metrics.confusion(true, [5, 5, 1, 1, 1, 3]), [[2, 1, 0], [0, 2, 0], [0, 0, 1]]
    )
    # Class 2 has no cluster.
    np.testing.assert_array_equal(
        metrics.confusion(true, [1, 1, 1, 0, 0, 0]), [[3, 0, 0], [0, 2, 0], [0, 1, 0]]
    )
    # Cluster 9 has no class.
    np.testing.assert_array_equal(
        metrics.confusion([0, 0, 0, 1, 1], [7, 7, 9, 4, 4]), [[2, 0, 1], [0, 2, 0]]
    )
    # Which cluster each column is.
    assert metrics.confusion_clusters(true, [5, 5, 1, 1, 1, 3]).tolist() == [5, 1, 3]
    assert metrics.confusion_clusters(true, [1, 1, 1, 0, 0, 0])[:2].tolist() == [1, 0]
    assert metrics.confusion_clusters(true, [1, 1, 1, 0, 0, 0])[2] == -1
    assert metrics.confusion_clusters([0, 0, 0, 1, 1], [7, 7, 9, 4, 4]).tolist() == [7, 4, 9]


def test_ari_does_not_overflow():
    true = np.repeat([0, 1], 300_000)
    predicted = true.copy()
    predicted[:1000] = 1
    assert metrics.ari(true, predicted) == pytest.approx(
        reference.adjusted_rand_score(true, predicted), abs=1e-12
    )


def test_many_clusters_need_no_square_table():
    labels = np.arange(200_000)
    assert metrics.ari(labels, labels) == 1
    assert metrics.nmi(labels, labels) == pytest.approx(1)


def test_scores():
    true, predicted = [0, 0, 1, 1, 2], [1, 1, 0, 2, 2]
    assert metrics.scores(true, predicted) == {
        "acc": metrics.accuracy(true, predicted),
        "nmi": metrics.nmi(true, predicted),
        "nmi_sqrt": metrics.nmi(true, predicted, "sqrt"),
        "nmi_max": metrics.nmi(true, predicted, "max"),
        "ari": metrics.ari(true, predicted),
    }


def test_samples_without_a_class_or_cluster_are_not_scored():
    true = [0, 0, 1, 1, -1, 2, -1]
    predicted = [1, 1, 0, 1, 0, -1, -1]
    expected = metrics.scores([0, 0, 1, 1], [1, 1, 0, 1])
    assert metrics.known_scores(true, predicted) == (expected, 1)
    assert metrics.known_scores([-1, -1], [0, 1]) == ({}, 2)
    assert metrics.known_scores([0, 1], [-1, -1]) == ({}, 0)
    with pytest.raises(ValueError, match="same length"):
        metrics.known_scores([0], [0, 1])


@pytest.mark.parametrize(
    "score", [metrics.accuracy, metrics.nmi, metrics.ari, metrics.confusion, metrics.scores]
)
@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([0, 1], [0, 1, 2], "same length, got 2 and 3"),
        ([], [], "true must be a vector of at least one label"),
        ([[0, 1]], [[0, 1]], "true must be a vector"),
        ([0, 1], [0.0, 1.0], "predicted must be integers, got float64"),
    ],
)
def test_bad_labels(score, true, predicted, message):
    with pytest.raises(ValueError, match=message):
        score(true, predicted)


def test_unknown_normalization():
    with pytest.raises(
        ValueError, match="normalization must be one of arithmetic, sqrt, max, got 'min'"
    ):
        metrics.nmi([0, 1], [0, 1], "min")
