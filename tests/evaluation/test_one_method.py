"""One method's scores against SciPy, slow loops and closed forms."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from jaxclust.evaluation import stats
from jaxclust.runs.files import read_json_lines
from oracles import SIZES, drawn_scores

ROOT = Path(__file__).parents[2]
VALUES = [0.78, 0.81, 0.80, 0.74, 0.83]


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize("n", SIZES)
def test_summary_is_scipys(n, digits):
    values = np.round(np.random.default_rng([n, digits]).normal(0.8, 0.05, n), digits)
    for confidence in (0.95, 0.5):
        summary = stats.summary(values, confidence)
        expected = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(confidence)
        assert summary.n == n
        assert summary.mean == pytest.approx(np.mean(values))
        assert summary.sd == pytest.approx(np.std(values, ddof=1))
        assert (summary.low, summary.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize("n", SIZES)
def test_prediction_interval_by_its_formula(n, digits):
    values = np.round(np.random.default_rng([n, digits]).normal(0.8, 0.05, n), digits)
    for runs in (1, 5):
        low, high = stats.prediction_interval(values, runs, 0.9)
        half = scipy.stats.t(n - 1).ppf(0.95) * np.std(values, ddof=1) * np.sqrt(1 / n + 1 / runs)
        assert (low, high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2000, 6))
    summaries = [stats.summary(draw[:5], 0.8) for draw in draws]
    intervals = [stats.prediction_interval(draw[:5], 1, 0.8) for draw in draws]
    # Three standard errors of 2,000 draws are 0.027.
    assert np.mean([s.low <= 0 <= s.high for s in summaries]) == pytest.approx(0.8, abs=0.027)
    hits = [low <= draw[5] <= high for (low, high), draw in zip(intervals, draws, strict=True)]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.027)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_default_interval_covers_normal_scores_at_least_93_times_in_100(n):
    draws = np.random.default_rng(n).normal(0.7, 0.05, (2000, n))
    ends = [stats.summary(draw)[3:] for draw in draws]
    assert np.mean([low <= 0.7 <= high for low, high in ends]) >= 0.93


def test_the_page_on_statistics_has_the_coverage_of_the_rows():
    intervals = ("t", "bootstrap-t", "percentile", "t inside the bounds")
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for row in read_json_lines(ROOT / "experiments" / "results" / "coverage.jsonl"):
        width = "inf" if row["width"] is None else f"{row['width']:.2f}"
        own = cells.setdefault((row["scores"], row["seeds"]), {})
        own[row["interval"]] = f"{row['coverage']:.3f}"[1:] + f" ({width})"
    lines = [
        f"| {scores} | {seeds} | {' | '.join(own.pop(name, '') for name in intervals)} |"
        for (scores, seeds), own in cells.items()
    ]
    assert not any(cells.values())
    assert "\n".join(lines) in (ROOT / "docs" / "statistics.md").read_text()


def test_one_value_has_no_interval():
    summary = stats.summary([0.7])
    assert (summary.n, summary.mean) == (1, 0.7)
    assert np.isnan(
        [summary.sd, summary.low, summary.high, *stats.prediction_interval([0.7])]
    ).all()


def test_equal_values_have_an_interval_of_no_width():
    assert stats.summary([0.5, 0.5, 0.5]) == (3, 0.5, 0.0, 0.5, 0.5)


@pytest.mark.parametrize("function", [stats.summary, stats.prediction_interval])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, None, 0.6, float("nan")], r"got \[nan, nan\] at \[1, 3\]"),
        ([float("inf")], r"got \[inf\] at \[0\]"),
        ([], "at least one number"),
        ([[0.5, 0.6]], "at least one number"),
    ],
)
def test_failed_seeds_and_bad_shapes_are_refused(function, values, message):
    with pytest.raises(ValueError, match=message):
        function(values)


def test_bad_arguments():
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 95"):
        stats.summary(VALUES, 95)
    with pytest.raises(ValueError, match="runs must be at least 1, got 0"):
        stats.prediction_interval(VALUES, 0)


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize("n", SIZES)
def test_medians_and_trimmed_means_are_scipys(n, digits):
    values = drawn_scores(1, n, digits=digits)
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
