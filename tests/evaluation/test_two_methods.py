"""Differences of two methods and their tests against SciPy and the kept answers of statsmodels."""

import numpy as np
import pytest
import scipy.stats

from jaxclust.evaluation.stats import two_methods
from oracles import ANSWERS, SIZES, drawn_scores


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 5), (5, 13), (40, 100)])
def test_difference_is_scipys(n, m, digits):
    a, b = drawn_scores(1, n, digits=digits), drawn_scores(2, m, 0.7, digits)
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
    a, b = drawn_scores(3, n, digits=digits), drawn_scores(4, n, 0.77, digits)
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
    a, b = drawn_scores(5, n, digits=digits), drawn_scores(6, m, 0.74, digits)

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
    a, b = drawn_scores(7, n), drawn_scores(8, n, 0.785)
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
    a, b = drawn_scores(7, 20), drawn_scores(8, 20, 0.785)
    tests = two_methods.permutation, two_methods.paired_permutation
    at_once = [test(a, b) for test in tests]
    monkeypatch.setattr(two_methods, "BLOCK", 1000)
    assert [test(a, b) for test in tests] == at_once


@pytest.mark.parametrize("n", SIZES)
def test_wilcoxon_is_scipys(n):
    a, b = drawn_scores(9, n), drawn_scores(10, n, 0.78)
    assert two_methods.wilcoxon(a, b) == pytest.approx(
        scipy.stats.wilcoxon(a, b, method="exact").pvalue
    )


@pytest.mark.parametrize("n", [2, 3, 5, 9, 13, 14])
def test_wilcoxon_with_ties_and_equal_pairs_is_scipys(n):
    # Multiples of 1/64 are exact, so that scipy sees the ties.
    a, b = (np.round(drawn_scores(seed, n) * 64) / 64 for seed in (11, 12))
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
    "case", ANSWERS["superiority"], ids=lambda case: f"{len(case['a'])}-{len(case['b'])}"
)
def test_superiority_is_statsmodels(case):
    probability, low, high = case["expected"]
    # For two runs nothing is claimed that all duels won would not show.
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


@pytest.mark.parametrize("case", ANSWERS["holm"], ids=lambda case: str(len(case["p"])))
def test_holm_is_statsmodels(case):
    np.testing.assert_allclose(two_methods.holm(case["p"]), case["corrected"], rtol=1e-12)


@pytest.mark.parametrize("digits", [2, 12])
def test_tests_keep_their_level(digits):
    rng = np.random.default_rng(1)
    draws = np.round(rng.normal(0.8, 0.03, (1000, 2, 5)), digits)
    for test in (two_methods.permutation, two_methods.paired_permutation, two_methods.wilcoxon):
        # Three standard errors of 1,000 draws at a level of 0.1.
        assert np.mean([test(a, b) <= 0.1 for a, b in draws]) <= 0.1 + 0.029


@pytest.mark.parametrize(("n", "m"), [(5, 10), (10, 5)])
def test_the_unpaired_test_keeps_its_level_where_spreads_differ(n, m):
    """A plain permutation of means does not: one sample spreads ten times as far as the other."""
    rng = np.random.default_rng(n)
    p = [
        two_methods.permutation(rng.normal(0.8, 0.01, n), rng.normal(0.8, 0.1, m)) <= 0.1
        for _ in range(500)
    ]
    # Four standard errors of 500 draws at a level of 0.1, which small samples keep nearly.
    assert np.mean(p) <= 0.1 + 0.054


@pytest.mark.parametrize(("n", "m"), [(5, 10), (3, 10), (5, 5)])
def test_the_unpaired_test_of_few_seeds_keeps_every_level_where_one_side_hardly_spreads(
    n, m, monkeypatch
):
    """USPS has five such seeds of DEC beside those of k-means.

    The permutation test alone has .06 to .2 of its p below .05 / 14.
    """
    rng = np.random.default_rng(n + m)
    draws = [(rng.normal(0.7, 0.04, n), rng.normal(0.7, 0.0003, m)) for _ in range(400)]
    made = []
    permutation = two_methods.permutation
    kept = lambda *arguments: made.append(permutation(*arguments)) or made[-1]  # noqa: E731
    monkeypatch.setattr(two_methods, "permutation", kept)
    p = np.array([two_methods.unpaired(a, b) for a, b in draws])
    alone = np.array(made)
    assert len(alone) == len(draws)
    for level in (0.05, 0.01, 0.05 / 14):
        assert np.mean(p <= level) <= level + 3 * np.sqrt(level * (1 - level) / 400)
    assert (p >= alone).all()
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
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
        two_methods.holm([0.5, 2])
