"""Comparisons and ranks against scipy, and against other packages' kept answers (oracles.json, made by oracles.py)."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from jaxclust.evaluation import stats
from jaxclust.evaluation.stats import many_methods, two_methods

ORACLES = json.loads(Path(__file__).with_name("oracles.json").read_text())
SIZES = (2, 3, 5, 8, 13, 40, 100)


def scores(seed, n, center=0.8, digits=12):
    """n scores; two digits make ties."""
    return np.round(np.random.default_rng([seed, n]).normal(center, 0.05, n), digits)


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize("n", SIZES)
def test_medians_and_trimmed_means_are_scipys(n, digits):
    values = scores(1, n, digits=digits)
    assert stats.median(values) == pytest.approx(np.median(values))
    assert stats.interquartile_mean(values) == pytest.approx(scipy.stats.trim_mean(values, 0.25))


def test_bootstrap_t_is_a_slow_loop():
    values = [0.61, 0.62, 0.6, 0.8, 0.63, 0.6]
    rng, n, ts = np.random.default_rng(3), 6, []
    for rows in rng.integers(0, n, (199, n)):
        draw = [values[row] for row in rows]
        shift, sd = np.mean(draw) - np.mean(values), np.std(draw, ddof=1)
        ts.append(np.sign(shift) * np.inf if sd < 1e-12 else shift / (sd / n**0.5))
    ts = sorted(ts)
    error = np.std(values, ddof=1) / n**0.5
    # The 5th and the 195th of 199: 200 * 0.025.
    expected = np.mean(values) - ts[194] * error, np.mean(values) - ts[4] * error
    assert stats.bootstrap_t(values, 0.95, 199, seed=3) == pytest.approx(expected)


def test_bootstrap_t_comes_near_all_resamples():
    values = np.array([0.1, 0.2, 0.3, 0.9, 0.35])
    draws = values[np.array(list(itertools.product(range(5), repeat=5)))]
    with np.errstate(divide="ignore", invalid="ignore"):
        ts = np.sort((draws.mean(1) - values.mean()) / (draws.std(1, ddof=1) / 5**0.5))
    error = values.std(ddof=1) / 5**0.5
    edges = np.quantile(ts, [0.9, 0.1], method="inverted_cdf")
    assert stats.bootstrap_t(values, 0.8) == pytest.approx(values.mean() - edges * error, abs=0.02)


def test_bootstrap_t_says_when_it_cannot():
    assert np.isnan(stats.bootstrap_t([0.5])).all()
    assert stats.bootstrap_t([0.5] * 4) == (0.5, 0.5)
    low, high = stats.bootstrap_t([0.5, 0.5, 0.5, 0.5, 0.9])
    assert np.isfinite(low)
    assert high == np.inf
    with pytest.raises(ValueError, match="resamples must be at least 40, got 38"):
        stats.bootstrap_t([0.5, 0.6], resamples=38)


def test_interval_of_the_spread_covers_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [
        stats.sd_interval(sd, 4, 0.8) for sd in rng.normal(size=(4000, 5)).std(axis=1, ddof=1)
    ]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 5), (5, 13), (40, 100)])
def test_difference_is_scipys(n, m, digits):
    a, b = scores(1, n, digits=digits), scores(2, m, 0.7, digits)
    welch = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    assert two_methods.difference(a, b, False, 0.9) == pytest.approx((a.mean() - b.mean(), *welch))
    if n == m:
        paired = scipy.stats.ttest_rel(a, b).confidence_interval(0.9)
        assert two_methods.difference(a, b, True, 0.9) == pytest.approx(
            (a.mean() - b.mean(), *paired)
        )


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("n", [2, 3, 5, 9, 13])
def test_paired_permutation_is_scipys_when_exact(n, digits):
    a, b = scores(3, n, digits=digits), scores(4, n, 0.77, digits)
    expected = scipy.stats.permutation_test(
        (a, b),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert two_methods.paired_permutation(a, b) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 3), (5, 5), (2, 6), (6, 4), (7, 7), (10, 5)])
def test_permutation_is_scipys_when_exact(n, m, digits):
    a, b = scores(5, n, digits=digits), scores(6, m, 0.74, digits)

    def size(a, b, axis):
        gap = np.abs(np.round(a.mean(axis) - b.mean(axis), 14))
        spread = a.var(axis, ddof=1) / a.shape[axis] + b.var(axis, ddof=1) / b.shape[axis]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(
                gap == 0, 0, np.minimum(gap / np.sqrt(np.where(spread < 1e-20, 0, spread)), 1e6)
            )

    expected = scipy.stats.permutation_test((a, b), size, alternative="greater", n_resamples=np.inf)
    assert two_methods.permutation(a, b) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("n", [40, 100])
def test_random_permutations_come_near_the_t_tests(n):
    a, b = scores(7, n), scores(8, n, 0.785)
    welch, paired = (
        scipy.stats.ttest_ind(a, b, equal_var=False).pvalue,
        scipy.stats.ttest_rel(a, b).pvalue,
    )
    # Four standard errors of 9,999 draws.
    assert two_methods.permutation(a, b) == pytest.approx(welch, abs=0.04 * welch**0.5)
    assert two_methods.paired_permutation(a, b) == pytest.approx(paired, abs=0.04 * paired**0.5)
    far = b - 1
    assert two_methods.permutation(a, far) == two_methods.paired_permutation(a, far) == 1e-4


def test_arrangements_drawn_block_by_block_are_those_drawn_at_once(monkeypatch):
    a, b = scores(7, 20), scores(8, 20, 0.785)
    tests = two_methods.permutation, two_methods.paired_permutation
    at_once = [test(a, b) for test in tests]
    monkeypatch.setattr(two_methods, "BLOCK", 1000)
    assert [test(a, b) for test in tests] == at_once


@pytest.mark.parametrize("n", SIZES)
def test_wilcoxon_is_scipys(n):
    a, b = scores(9, n), scores(10, n, 0.78)
    assert two_methods.wilcoxon(a, b) == pytest.approx(
        scipy.stats.wilcoxon(a, b, method="exact").pvalue
    )


@pytest.mark.parametrize("n", [2, 3, 5, 9, 13, 16])
def test_wilcoxon_with_ties_and_equal_pairs_is_scipys(n):
    # Multiples of 1/64 are exact, so that scipy sees the ties.
    a, b = (np.round(scores(seed, n) * 64) / 64 for seed in (11, 12))
    if (a == b).all():
        b[0] += 1 / 64
    method = scipy.stats.PermutationMethod(n_resamples=np.inf)
    assert two_methods.wilcoxon(a, b) == pytest.approx(
        scipy.stats.wilcoxon(a, b, method=method).pvalue
    )


def test_wilcoxon_without_a_difference():
    assert two_methods.wilcoxon([0.1, 0.2], [0.1, 0.2]) == 1.0


def test_a_tie_by_rounding_is_a_tie():
    a, b = (
        np.array([0.3, 0.4, 0.5]),
        np.array([0.2, 0.3, 0.6]),
    )  # 0.3 - 0.2 and 0.4 - 0.3 differ in the last bit.
    assert two_methods.wilcoxon(a, b) == two_methods.paired_permutation(a, b) == 1.0


@pytest.mark.parametrize(
    "case", ORACLES["superiority"], ids=lambda case: f"{len(case['a'])}-{len(case['b'])}"
)
def test_superiority_is_statsmodels(case):
    probability, low, high = case["expected"]
    # Of two runs nothing is claimed that all duels won would not show.
    most = 0.025 ** (1 / min(len(case["a"]), len(case["b"])))
    expected = probability, *np.clip([min(low, most), max(high, 1 - most)], 0, 1)
    assert two_methods.superiority(case["a"], case["b"]) == pytest.approx(expected)


def test_superiority_of_nearly_all_claims_no_more_than_that_of_all():
    high = np.arange(10) + 100.0
    for lost in range(6):
        low = np.arange(10) + np.where(np.arange(10) < lost, 100.5, 0.0)
        assert (
            two_methods.superiority(high, low).low
            <= two_methods.superiority(high, np.arange(10)).low
        )
        assert (
            two_methods.superiority(low, high).high
            >= two_methods.superiority(np.arange(10), high).high
        )


def test_superiority_without_overlap_is_not_certain():
    assert two_methods.superiority([0.8, 0.9, 0.85], [0.1, 0.2, 0.3, 0.4]) == pytest.approx(
        (1, 0.025 ** (1 / 3), 1)
    )
    assert two_methods.superiority([0.1, 0.2], [0.8, 0.9]) == pytest.approx((0, 0, 1 - 0.025**0.5))
    assert two_methods.superiority([0.5, 0.5], [0.5, 0.5]) == (0.5, 0, 1)
    assert np.isnan(two_methods.superiority([0.5], [0.5, 0.6])[1:]).all()


@pytest.mark.parametrize("case", ORACLES["holm"], ids=lambda case: str(len(case["p"])))
def test_holm_is_statsmodels(case):
    np.testing.assert_allclose(two_methods.holm(case["p"]), case["corrected"], rtol=1e-12)


@pytest.mark.parametrize("case", ORACLES["nemenyi"], ids=lambda case: f"{len(case['p'])}")
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


@pytest.mark.parametrize("case", ORACLES["power"], ids=str)
def test_seeds_needed_are_statsmodels(case):
    # Two scores with a standard deviation of 1 (of the differences, where paired).
    a = np.array([0.0, 2**0.5])
    b = np.zeros(2) if case["paired"] else a
    needed = two_methods.seeds_needed(
        a, b, case["effect"], case["paired"], case["power"], case["alpha"]
    )
    assert needed.expected == max(2, int(np.ceil(case["n"] - 1e-6)))
    assert needed.low <= needed.expected <= needed.high


def test_seeds_needed_range_is_that_of_the_spread():
    a, b = scores(13, 5), scores(14, 5)
    low, high = stats.sd_interval(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2), 8)
    unit = np.array([0.0, 2**0.5])
    ends = [
        two_methods.seeds_needed(unit * sd, unit * sd, 0.02, False).expected for sd in (low, high)
    ]
    needed = two_methods.seeds_needed(a, b, 0.02, False)
    assert [needed.low, needed.high] == ends
    assert two_methods.seeds_needed([0.5, 0.5], [0.6, 0.6], 0.01, False) == (2, 2, 2)
    assert (
        two_methods.seeds_needed([0.1, 0.9], [0.6, 0.2], 1e-4, False).high == two_methods.MOST_SEEDS
    )


@pytest.mark.parametrize(("n", "m"), [(2, None), (5, None), (2, 2), (5, 5), (3, 5), (10, 10)])
def test_smallest_p_is_reached_and_not_passed(n, m):
    a = np.arange(1, n + 1) / 100 + 0.9
    b = np.arange(m or n)[::-1] / 1000
    p = two_methods.paired_permutation(a, b) if m is None else two_methods.permutation(a, b)
    assert p == pytest.approx(two_methods.smallest_p(n, m))


@pytest.mark.parametrize(("paired", "ranks"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("level", [0.05, 0.05 / 14, 1e-4, 1e-5])
def test_the_fewest_seeds_reach_a_level(level, paired, ranks):
    least = two_methods.least_seeds(level, paired, ranks, 10**6 - 1)
    sides = (least, None if paired else least), (least - 1, None if paired else least - 1)
    assert two_methods.smallest_p(*sides[0], ranks, 10**6 - 1) <= level
    assert two_methods.smallest_p(*sides[1], ranks, 10**6 - 1) > level


def test_a_level_below_what_draws_can_say_takes_more_seeds_than_there_are():
    assert (
        two_methods.least_seeds(1e-6, True)
        == two_methods.least_seeds(1e-6, False)
        == two_methods.MOST_SEEDS
    )
    assert two_methods.least_seeds(1e-6, True, ranks=True) == 21


def test_smallest_p_of_what_cannot_be_tested():
    assert (
        two_methods.smallest_p(1)
        == two_methods.smallest_p(1, 9)
        == two_methods.smallest_p(0)
        == 1.0
    )
    assert two_methods.smallest_p(40) == two_methods.smallest_p(40, 40) == 1e-4
    assert (
        two_methods.smallest_p(40, resamples=99_999)
        == two_methods.smallest_p(40, 40, resamples=99_999)
        == 1e-5
    )
    assert two_methods.smallest_p(40, ranks=True) == 2 / 2**40


@pytest.mark.parametrize("digits", [2, 12])
def test_tests_keep_their_level(digits):
    rng = np.random.default_rng(1)
    draws = np.round(rng.normal(0.8, 0.03, (1000, 2, 5)), digits)
    for test in (two_methods.permutation, two_methods.paired_permutation, two_methods.wilcoxon):
        # Three standard errors of 1,000 draws at a level of 0.1.
        assert np.mean([test(a, b) <= 0.1 for a, b in draws]) <= 0.1 + 0.029


@pytest.mark.parametrize(("n", "m"), [(5, 10), (10, 5)])
def test_the_unpaired_test_keeps_its_level_where_spreads_differ(n, m):
    """A plain permutation of means does not: the smaller sample spreads ten times as far, or the larger."""
    rng = np.random.default_rng(n)
    found = [
        two_methods.permutation(rng.normal(0.8, 0.01, n), rng.normal(0.8, 0.1, m)) <= 0.1
        for _ in range(500)
    ]
    # Four standard errors of 500 draws at a level of 0.1, which small samples keep nearly.
    assert np.mean(found) <= 0.1 + 0.054


@pytest.mark.parametrize("level", [0.05, 0.01, 0.05 / 14])
@pytest.mark.parametrize(("n", "m"), [(5, 10), (3, 10), (5, 5)])
def test_the_unpaired_test_of_few_seeds_keeps_every_level_where_one_side_hardly_spreads(
    n, m, level
):
    """USPS: five seeds of DEC beside k-means's. The permutations alone have .06 to .2 below .05 / 14."""
    rng = np.random.default_rng(n + m)
    draws = [(rng.normal(0.7, 0.04, n), rng.normal(0.7, 0.0003, m)) for _ in range(400)]
    found = np.array([two_methods.unpaired(a, b) for a, b in draws])
    assert np.mean(found <= level) <= level + 3 * np.sqrt(level * (1 - level) / 400)
    alone = np.array([two_methods.permutation(a, b) for a, b in draws])
    assert (found >= alone).all()
    if m == 10:
        assert np.mean(alone <= 0.05 / 14) > 0.04


def test_the_unpaired_test_of_scores_without_spread():
    assert two_methods.unpaired([0.5, 0.5], [0.6, 0.6]) == two_methods.permutation(
        [0.5, 0.5], [0.6, 0.6]
    )
    assert two_methods.unpaired([0.5, 0.5], [0.5, 0.5]) == 1


@pytest.mark.parametrize(
    "test", [two_methods.permutation, two_methods.paired_permutation, two_methods.wilcoxon]
)
def test_failed_seeds_are_refused(test):
    with pytest.raises(ValueError, match="values must be finite"):
        test([0.5, None], [0.5, 0.6])


def test_bad_arguments():
    with pytest.raises(ValueError, match="a and b must be pairs, got 2 and 3"):
        two_methods.wilcoxon([0.5, 0.6], [0.5, 0.6, 0.7])
    with pytest.raises(ValueError, match="at least 2 scores each, got 1 and 2"):
        two_methods.permutation([0.5], [0.5, 0.6])
    with pytest.raises(ValueError, match="data sets must be at least 8"):
        many_methods.critical_difference(3, 7)
    with pytest.raises(ValueError, match="at least 2 methods"):
        many_methods.ranks([[0.5]])
    with pytest.raises(ValueError, match="scores must be finite, got 1"):
        many_methods.ranks([[0.5, np.nan]])
    with pytest.raises(ValueError, match="at least 2 data sets and 3 methods, got 1 and 3"):
        many_methods.friedman([[0.1, 0.2, 0.3]])
    with pytest.raises(ValueError, match="gap must be above 0, got 0"):
        two_methods.seeds_needed([0.1, 0.2], [0.1, 0.2], 0, True)
    with pytest.raises(ValueError, match="alpha and power"):
        two_methods.seeds_needed([0.1, 0.2], [0.1, 0.2], 0.1, True, power=1.0)
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
        two_methods.holm([0.5, 2])
