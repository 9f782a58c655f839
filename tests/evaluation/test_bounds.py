"""Intervals of bounded scores stay within their bounds."""

import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.evaluation import stats


def by_logit(center, end, least, greatest):
    """An end by the delta method, in ten times the digits that the code has."""
    x = (center - least) / (greatest - least)
    slope = 1 / (x * (1 - x)) / (greatest - least)
    logit = np.log(x) - np.log1p(-x) + (end - center) * slope
    return least + (greatest - least) * np.exp(logit) / (1 + np.exp(logit))


@pytest.mark.parametrize("metric", ["acc", "nmi", "ari"])
def test_no_interval_leaves_the_bounds(metric):
    bounds = least, greatest = stats.SCORE_BOUNDS[metric]
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 10):
        for center in (0.02, 0.5, 0.97):
            scores = np.clip(rng.normal(center, 0.2, n), 0, 1)
            plain = stats.summary(scores)
            kept = stats.summary(scores, bounds=bounds)
            assert least <= kept.low <= kept.mean <= kept.high <= greatest
            low, high = stats.prediction_interval(scores, bounds=bounds)
            assert least <= low <= kept.low  # The wider interval holds the narrower one.
            assert kept.high <= high <= greatest
            reach = stats.prediction_interval(scores)
            if least <= reach[0] and reach[1] <= greatest:
                assert kept == plain  # What Student's t can say stays as it is.
            else:
                ends = [by_logit(plain.mean, end, *bounds) for end in (plain.low, plain.high)]
                assert [kept.low, kept.high] == pytest.approx(ends)
            gap = stats.difference(scores, scores[::-1] / 2, True, bounds=bounds)
            assert least - greatest <= gap.low <= gap.mean <= gap.high <= greatest - least


def test_two_seeds_by_hand():
    # Mean .9, sd .1414, t(.975, 1) = 12.706: Student's interval is .9 +- 1.27. On the logit scale
    # 2.197 +- 14.1.
    low, high = stats.summary([0.8, 1.0], bounds=(0.0, 1.0))[3:]
    assert low == pytest.approx(1 / (1 + np.exp(-(np.log(9) - 12.706204736 * 0.1 / 0.09))))
    assert high == pytest.approx(1 / (1 + np.exp(-(np.log(9) + 12.706204736 * 0.1 / 0.09))))
    assert 0 < low < high < 1


def test_ends_that_are_open_or_unknown_stay_so():
    assert stats.inside(0.5, -np.inf, 1.2, (0.0, 1.0))[0] == -np.inf
    assert np.isnan(stats.inside(0.5, np.nan, np.nan, (0.0, 1.0))).all()
    assert stats.summary([1.0, 1.0, 1.0], bounds=(0.0, 1.0))[3:] == (1.0, 1.0)
    assert stats.inside(1.0, 1 - 1e-17, 1 + 1e-12, (0.0, 1.0)) == (1.0, 1.0)


def test_a_center_outside_is_refused():
    with pytest.raises(UsageError, match=r"center: must be in \[0, 1\], got 1.5"):
        stats.inside(1.5, 1.0, 2.0, (0.0, 1.0))
