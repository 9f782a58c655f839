"""Equality within a margin against statsmodels and SciPy, and the family's correction."""

import itertools

import numpy as np
import pytest
import scipy.stats

from jaxclust.errors import UsageError
from jaxclust.evaluation import stats
from oracles import ANSWERS


@pytest.mark.parametrize("case", ANSWERS["equality"], ids=lambda case: f"{len(case['a'])}")
def test_equality_is_statsmodels(case):
    a, margin = case["a"], case["margin"]
    assert stats.equal_within(a, case["near"], margin, True) == pytest.approx(case["paired"])
    assert stats.equal_within(a, case["other"], margin, False) == pytest.approx(case["unpaired"])
    assert stats.equal_within(case["near"], a, margin, True) == pytest.approx(case["paired"])


@pytest.mark.parametrize("case", ANSWERS["equality"], ids=lambda case: f"{len(case['a'])}")
def test_equality_is_baycomps_probability_of_the_margin(case):
    """With a flat prior the posterior of a mean is Student's t: its tails are the two p."""
    below, within, above = case["rope"]
    assert below + within + above == pytest.approx(1)
    p = stats.equal_within(case["a"], case["near"], case["margin"], True)
    assert p == pytest.approx(max(below, above))


@pytest.mark.parametrize("n", [5, 9, 12])
def test_equality_by_ranks_is_scipys(n):
    rng = np.random.default_rng(n)
    a = rng.normal(0.8, 0.05, n)
    b = a + rng.normal(0.003, 0.01, n)
    margin = 0.012
    sides = (
        scipy.stats.wilcoxon(a - b + margin, alternative="greater", method="exact").pvalue,
        scipy.stats.wilcoxon(a - b - margin, alternative="less", method="exact").pvalue,
    )
    assert stats.ranks_equal_within(a, b, margin) == pytest.approx(max(sides))


def test_scores_without_spread_claim_no_more_than_their_number_allows():
    a = [0.8] * 5
    assert stats.equal_within(a, a, 0.01, True) == 1 / 2**5
    assert stats.equal_within(a, a, 0.01, False) == 1 / 252
    assert stats.equal_within(a, [0.9] * 5, 0.01, True) == 1
    assert stats.equal_within([0.8], [0.8], 0.01, True) == 1
    with pytest.raises(UsageError, match="margin: must be above 0, got 0"):
        stats.equal_within(a, a, 0, True)


def stepped(differ, equal):
    """Shaffer's first procedure, rejection by rejection."""
    names = [("differ", place) for place in range(len(differ))]
    names += [("equal", place) for place in range(len(equal))]
    p = dict(zip(names, [*differ, *equal], strict=True))
    corrected, most = {}, 0.0
    for rejected, name in enumerate(sorted(names, key=p.__getitem__)):
        # One hypothesis of each pair at most is true, and the rejected ones are false.
        true = min(len(differ), len(names) - rejected)
        most = max(most, min(1.0, p[name] * true))
        corrected[name] = most
    return [corrected[name] for name in names]


@pytest.mark.parametrize("m", [1, 2, 5])
def test_shaffers_correction(m):
    rng = np.random.default_rng(m)
    differ, equal = rng.uniform(size=(2, m)) ** 3
    assert [*itertools.chain(*stats.shaffer(differ, equal))] == pytest.approx(
        stepped(differ, equal)
    )
    # One pair needs no correction: its two hypotheses cannot both be true.
    if m == 1:
        assert stats.shaffer(differ, equal)[0] == differ


def test_what_cannot_be_corrected_is_refused():
    with pytest.raises(UsageError, match="equal: must be as many as differ, got 1 and 2"):
        stats.shaffer([0.1, 0.2], [0.3])
    with pytest.raises(UsageError, match="p must be numbers in"):
        stats.shaffer([0.1], [np.nan])
