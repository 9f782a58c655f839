"""Ranks over data sets against SciPy and the kept answers of other packages."""

import numpy as np
import pytest
import scipy.stats

from jaxclust.evaluation.stats import many_methods
from oracles import ANSWERS


@pytest.mark.parametrize("case", ANSWERS["nemenyi"], ids=lambda case: f"{len(case['p'])}")
def test_ranks_and_nemenyi_are_scikit_posthocs_and_autoranks(case):
    table = np.array(case["scores"])
    np.testing.assert_allclose(many_methods.nemenyi(table), case["p"], atol=1e-6)
    if case["ranks"] is not None:
        np.testing.assert_allclose(many_methods.ranks(table), case["ranks"])
        assert many_methods.critical_difference(table.shape[1], len(table)) == pytest.approx(
            case["cd"], rel=1e-3
        )


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize(("n", "k"), [(2, 3), (5, 4), (100, 6)])
def test_friedman_is_scipys(n, k, digits):
    table = np.round(np.random.default_rng([n, k]).normal(0.7, 0.1, (n, k)), digits)
    assert many_methods.friedman(table) == pytest.approx(
        tuple(scipy.stats.friedmanchisquare(*table.T))
    )


def test_friedman_of_equal_methods():
    assert many_methods.friedman(np.full((3, 3), 0.5)) == (0.0, 1.0)


def test_ranks_of_a_hand_made_table():
    np.testing.assert_allclose(
        many_methods.ranks([[0.9, 0.5, 0.5], [0.1, 0.3, 0.2]]), [2.0, 1.75, 2.25]
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="data sets must be at least 8"):
        many_methods.critical_difference(3, 7)
    with pytest.raises(ValueError, match="at least 2 methods"):
        many_methods.ranks([[0.5]])
    with pytest.raises(ValueError, match="scores must be finite, got 1"):
        many_methods.ranks([[0.5, np.nan]])
    with pytest.raises(ValueError, match="at least 2 data sets and 3 methods, got 1 and 3"):
        many_methods.friedman([[0.1, 0.2, 0.3]])
