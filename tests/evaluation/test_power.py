"""What a number of seeds can show, against statsmodels' kept answers and the tests themselves."""

import numpy as np
import pytest

from jaxclust.evaluation import stats
from jaxclust.evaluation.stats import power, two_methods
from oracles import ANSWERS, drawn_scores


@pytest.mark.parametrize("case", ANSWERS["power"], ids=str)
def test_seeds_needed_are_statsmodels(case):
    # Two scores with a standard deviation of 1 (of the differences, where paired).
    a = np.array([0.0, 2**0.5])
    b = np.zeros(2) if case["paired"] else a
    needed = power.seeds_needed(a, b, case["effect"], case["paired"], case["power"], case["alpha"])
    assert needed.expected == max(2, int(np.ceil(case["n"] - 1e-6)))
    assert needed.low <= needed.expected <= needed.high


def test_seeds_needed_range_is_that_of_the_spread():
    a, b = drawn_scores(13, 5), drawn_scores(14, 5)
    low, high = stats.sd_interval(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2), 8)
    unit = np.array([0.0, 2**0.5])
    ends = [power.seeds_needed(unit * sd, unit * sd, 0.02, False).expected for sd in (low, high)]
    needed = power.seeds_needed(a, b, 0.02, False)
    assert [needed.low, needed.high] == ends
    assert power.seeds_needed([0.5, 0.5], [0.6, 0.6], 0.01, False) == (2, 2, 2)
    assert power.seeds_needed([0.1, 0.9], [0.6, 0.2], 1e-4, False).high == power.MOST_SEEDS


@pytest.mark.parametrize(("n", "m"), [(2, None), (5, None), (2, 2), (5, 5), (3, 5), (10, 10)])
def test_smallest_p_is_reached_and_not_passed(n, m):
    a = np.arange(1, n + 1) / 100 + 0.9
    b = np.arange(m or n)[::-1] / 1000
    p = two_methods.paired_permutation(a, b) if m is None else two_methods.permutation(a, b)
    assert p == pytest.approx(power.smallest_p(n, m))


@pytest.mark.parametrize(("paired", "ranks"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("level", [0.05, 0.05 / 14, 1e-4, 1e-5])
def test_the_fewest_seeds_reach_a_level(level, paired, ranks):
    least = power.least_seeds(level, paired, ranks, 10**6 - 1)
    sides = (least, None if paired else least), (least - 1, None if paired else least - 1)
    assert power.smallest_p(*sides[0], ranks, 10**6 - 1) <= level
    assert power.smallest_p(*sides[1], ranks, 10**6 - 1) > level


def test_a_level_below_what_draws_can_say_takes_more_seeds_than_there_are():
    assert power.least_seeds(1e-6, True) == power.least_seeds(1e-6, False) == power.MOST_SEEDS
    assert power.least_seeds(1e-6, True, ranks=True) == 21


def test_smallest_p_of_what_cannot_be_tested():
    assert power.smallest_p(1) == power.smallest_p(1, 9) == power.smallest_p(0) == 1.0
    assert power.smallest_p(40) == power.smallest_p(40, 40) == 1e-4
    assert (
        power.smallest_p(40, resamples=99_999) == power.smallest_p(40, 40, resamples=99_999) == 1e-5
    )
    assert power.smallest_p(40, ranks=True) == 2 / 2**40


def test_bad_arguments():
    with pytest.raises(ValueError, match="gap must be above 0, got 0"):
        power.seeds_needed([0.1, 0.2], [0.1, 0.2], 0, True)
    with pytest.raises(ValueError, match="alpha and power"):
        power.seeds_needed([0.1, 0.2], [0.1, 0.2], 0.1, True, power=1.0)
