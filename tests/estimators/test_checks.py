"""scikit-learn's own checks of estimators."""

from functools import partial

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_get_feature_names_out_error,
    check_global_output_transform_pandas,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

import jaxclust as jc
from jaxclust import estimators

ONE_CLUSTER = "the check asks for one cluster, and a clustering here has two or more"
EXPECTED = dict.fromkeys(
    (
        "check_dont_overwrite_parameters",
        "check_fit2d_1feature",
        "check_fit2d_predict1d",
        "check_methods_subset_invariance",
    ),
    ONE_CLUSTER,
)
"""The checks that fail, and why; with two clusters they pass below."""
FEW_NEIGHBORS = "so few neighbors as the smallest tables have are too few for this larger one"
STEPS = {"pretraining.epochs": 1, "pretraining.least_steps": None, "max_steps": 1, "restarts": 1}
EPOCHS = {"pretraining.epochs": 1, "restarts": 1}


class SmallDEC(estimators.DEC):
    """DEC with a small network: what takes long is compiling for each shape of the checks."""

    method = jc.method("dec").replace(network=partial(jc.networks.sae, hidden=()))


QUICK = (estimators.KMeans(2, settings={"restarts": 1}),)
"""A class for one method; ``DeepClustering`` with that method, which is slow, is the same code."""
SMALL_DEC = SmallDEC(2, settings=STEPS)
OF_SMALL_DEC = (
    "check_clustering",
    "check_estimators_pickle",
    "check_transformer_general",
)
"""The checks of what a deep method computes; all others are slow, and KMeans has them, too."""
SLOW = (
    SMALL_DEC,
    estimators.DeepClustering("kmeans", 2, settings={"restarts": 1}),
    estimators.KMeans(2, n_init=2, settings={"restarts": 1}, scale="minmax"),
    estimators.DEC(2, settings=STEPS, scale="standard"),
    estimators.IDEC(2, settings=STEPS),
    estimators.DCN(2, settings=EPOCHS | {"epochs": 1}),
    estimators.DKM(2, settings=EPOCHS | {"alphas": 1, "epochs_per_alpha": 1}),
    estimators.AgglomerativeClustering(2, settings={"n_neighbors": 4}),
    estimators.AgglomerativeClustering(2, settings={"linkage": "average"}),
)
OF_IMAGES = tuple(getattr(estimators, name)(2) for name in ("DCEC", "JULE", "DBC", "CCNN", "DCTL"))


def expected(estimator):
    if "n_neighbors" in estimator.settings:
        return EXPECTED | {"check_clustering": FEW_NEIGHBORS}
    return EXPECTED


@parametrize_with_checks(QUICK, expected_failed_checks=expected)
def test_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", OF_SMALL_DEC)
def test_check_of_a_deep_method(check):
    getattr(estimator_checks, check)("SmallDEC", clone(SMALL_DEC))


@pytest.mark.slow
@parametrize_with_checks(SLOW, expected_failed_checks=expected)
def test_check_of_the_other_methods(estimator, check):
    check(estimator)


class Two(estimators.KMeans):
    """k-means that takes one cluster for two, as checks that ask for one need it."""

    def __setattr__(self, name, value):
        super().__setattr__(name, max(value, 2) if name == "n_clusters" else value)


@pytest.mark.parametrize("check", EXPECTED)
def test_what_fails_for_one_cluster_holds_for_two(check):
    getattr(estimator_checks, check)("Two", Two(2, settings={"restarts": 1}))


def test_spectral_clustering_clusters_a_table():
    spectral = estimators.SpectralClustering(2, settings={"n_neighbors": 9, "restarts": 1})
    estimator_checks.check_clustering("SpectralClustering", spectral)


def test_linkage_clusters_with_more_neighbors():
    linkage = estimators.AgglomerativeClustering(2, settings={"n_neighbors": 9})
    estimator_checks.check_clustering("AgglomerativeClustering", linkage)


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_get_feature_names_out_error,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_global_output_transform_pandas,
    ],
    ids=lambda check: check.__name__,
)
def test_check_of_names_and_output(check):
    check("KMeans", clone(QUICK[0]))


@pytest.mark.parametrize("estimator", OF_IMAGES, ids=lambda estimator: type(estimator).__name__)
def test_methods_of_images_say_that_they_take_no_table(estimator):
    tags = get_tags(estimator).input_tags
    assert (tags.two_d_array, tags.three_d_array, tags.positive_only) == (False, True, True)
    assert get_tags(clone(estimator).set_params(image_shape=(8, 8))).input_tags.two_d_array
    with pytest.raises(
        ValueError, match=f"X: must be images, .* for {estimator.method}, got shape"
    ):
        estimator.fit([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    assert not get_tags(QUICK[0]).input_tags.positive_only
