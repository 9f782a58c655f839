"""Agglomerative clustering of points, called from the host."""

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import load_digits

import linkage_reference as reference
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.ops import linkage
from jaxclust.ops.graph_linkage import Criterion


@pytest.fixture(scope="module")
def digits_unit():
    digits = load_digits()
    return reference.unit(digits.data), digits.target


def test_plain_gdl_on_digits(digits_unit):
    x, truth = digits_unit
    labels, merges = linkage.graph_degree_linkage(x, 10)
    assert f"{metrics.nmi(truth, labels, 'sqrt'):.3f}" == "0.907"
    assert (labels.dtype, merges.dtype, merges.shape) == (np.int32, np.int32, (1787, 2))
    np.testing.assert_array_equal(linkage.replay(merges, 1797, 10), labels)
    assert (merges[:, 0] < merges[:, 1]).all()
    # At eleven clusters, one of the ten is split in two.
    eleven = linkage.replay(merges, 1797, 11)
    assert len(np.unique(eleven)) == len(np.unique(eleven * 10 + labels)) == 11
    np.testing.assert_array_equal(linkage.replay(merges, 1797, 1797), np.arange(1797))


def test_isolated_clusters_are_left_to_the_last():
    """No edge leads to the far pair beside the two blobs, so nothing has affinity to it."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.standard_normal((30, 2)), rng.standard_normal((30, 2)) + 50, [[1e3, 0], [1e3, 1]]]
    )
    labels, _ = linkage.graph_degree_linkage(x.astype(np.float32), 3, n_neighbors=5)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], [30, 30, 2]))
    # Where no affinity is left, the two clusters with the lowest numbers merge.
    labels, _ = linkage.graph_degree_linkage(x.astype(np.float32), 2, n_neighbors=5)
    np.testing.assert_array_equal(labels, np.repeat([0, 0, 1], [30, 30, 2]))


def test_duplicate_images_cluster():
    x = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    labelings = [
        linkage.graph_degree_linkage(x, 4, n_neighbors=5, criterion=Criterion(weight))[0]
        for weight in (0.0, 1.0)
    ]
    labelings += [linkage.path_linkage(x, 4, kind, n_neighbors=5) for kind in ("path", "zeta")]
    labelings += [linkage.average_linkage(x, 4)]
    for labels in labelings:
        np.testing.assert_array_equal(labels, np.repeat(np.arange(4), 10))


@pytest.mark.parametrize(
    ("n", "clusters", "options", "message"),
    [
        (5, 2, {}, r"features: must be at least n_neighbors \+ 1 = 21 samples, got 5"),
        (30, 16, {}, "n_clusters: must be from 1 to the [0-9]+ initial clusters, got 16"),
        (30, 0, {}, "n_clusters: must be from 1 to the [0-9]+ initial clusters, got 0"),
        (30, 2, {"n_neighbors": 0}, "n_neighbors: must be at least 1, got 0"),
        (30, 2, {"n_neighbors": 5.5}, "n_neighbors: must be an integer, got 5.5"),
        (30, 2.5, {}, "n_clusters: must be an integer, got 2.5"),
        (30, 2, {"a": 0.0}, "a: must be above 0 and finite, got 0.0"),
    ],
)
def test_arguments_that_cannot_work_are_refused(n, clusters, options, message):
    x = np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)
    with pytest.raises(UsageError, match=message):
        linkage.graph_degree_linkage(x, clusters, **options)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (Criterion(local_weight=-1.0), "local_weight: must be at least 0 and finite, got -1.0"),
        (
            Criterion(local_weight=float("nan")),
            "local_weight: must be at least 0 and finite, got nan",
        ),
        (
            Criterion(local_weight=float("inf")),
            "local_weight: must be at least 0 and finite, got inf",
        ),
        (Criterion(n_local=1), "n_local: must be at least 2, got 1"),
        (Criterion(affinity="slow"), "affinity: must be exact or fast, got 'slow'"),
    ],
)
def test_criteria_that_cannot_work_are_refused(criterion, message):
    x = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
    with pytest.raises(UsageError, match=message):
        linkage.graph_degree_linkage(x, 2, criterion=criterion)


def test_features_that_are_not_finite_are_refused():
    x = np.zeros((30, 3), np.float32)
    x[3, 1] = np.nan
    with pytest.raises(UsageError, match="features: must be finite, got NaN or inf in 1 values"):
        linkage.graph_degree_linkage(x, 2)
    with pytest.raises(UsageError, match="features: must be finite, got NaN or inf in 1 values"):
        linkage.average_linkage(x, 2)


def test_features_of_another_rank_are_refused():
    with pytest.raises(AssertionError, match=r"input 0 has rank 1 \(shape \(30,\)\)"):
        linkage.graph_degree_linkage(np.zeros(30, np.float32), 2)


def test_replay_at_a_number_that_was_not_reached():
    with pytest.raises(UsageError, match="n_clusters: must be from 2 to 3, got 1"):
        linkage.replay(np.array([[0, 2]]), 3, 1)


def test_average_linkage_is_scikit_learns():
    x = reference.points(1)
    expected = AgglomerativeClustering(5, linkage="average").fit_predict(x)
    assert metrics.ari(expected, linkage.average_linkage(x, 5)) == 1


def test_average_linkage_refuses_what_cannot_work():
    with pytest.raises(
        UsageError, match="features: must be at most 20000 samples for average linkage, got 20001"
    ):
        linkage.average_linkage(np.zeros((20_001, 1)), 2)
    with pytest.raises(UsageError, match="n_clusters: must be from 1 to 80, got 81"):
        linkage.average_linkage(reference.points(0), 81)
