"""Statistics of one method's scores over seeds: center, spread, intervals, the next run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError
from jaxclust.evaluation.stats.bounds import Bounds, inside

Scores = Sequence[float] | np.ndarray
"""One score per seed, (n,)."""
RESAMPLES = 9_999
"""Draws of a bootstrap or a random permutation test: (RESAMPLES + 1) times a usual level is
whole."""
ROUNDING = 1e-10
"""Differences below this share of the scores' range count as rounding."""


class Summary(NamedTuple):
    """Center and spread of the scores of several seeds.

    Attributes:
      n: number of seeds.
      mean: their mean.
      sd: standard deviation, with n - 1; nan for one seed.
      low: lower end of the interval for the mean; nan for one seed.
      high: upper end.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


def summary(values: Scores, confidence: float = 0.95, bounds: Bounds | None = None) -> Summary:
    """Mean, standard deviation and Student's t interval for the mean.

    One value says nothing about spread: its ``sd``, ``low`` and ``high`` are nan. A seed that
    failed has no number. To leave it out would flatter the method, so that it is refused, and the
    caller has to decide what it counts as.

    Args:
      values: one score per seed.
      confidence: confidence of the interval, between 0 and 1.
      bounds: least and greatest value of the score; None for a score without bounds. Where the
        interval of one more run would leave them, ``bounds.inside`` computes every interval on the
        logit scale.

    Raises:
      UsageError: there are no values, one is None, nan or infinite, or the confidence is not
        between 0 and 1.
    """
    values = finite(values, confidence)
    n = values.size
    mean = float(values.mean())
    if n == 1:
        return Summary(1, mean, np.nan, np.nan, np.nan)
    sd = float(values.std(ddof=1))
    half = _quantile(n, confidence) * sd / n**0.5
    reach = run_distance(n, sd, confidence)
    return Summary(n, mean, sd, *inside(mean, mean - half, mean + half, bounds, reach))


def run_distance(n: int, sd: float, confidence: float = 0.95, runs: int = 1) -> float:
    """Distance from the mean of n normal scores to the ends of ``prediction_interval``.

    Args:
      n: number of scores, at least 2.
      sd: their standard deviation.
      confidence: confidence of the interval.
      runs: number of further runs whose mean is predicted.
    """
    return _quantile(n, confidence) * sd * (1 / n + 1 / runs) ** 0.5


def median(values: Scores) -> float:
    """The middle score, or the mean of the two middle ones of an even number.

    Raises:
      UsageError: as ``summary``.
    """
    return float(np.median(finite(values)))


def interquartile_mean(values: Scores) -> float:
    """Mean of the middle half (the IQM of rliable).

    A quarter of the scores, rounded down, is cut at either end. A failed seed moves it less than
    the mean, and it is less coarse than the median.

    Raises:
      UsageError: as ``summary``.
    """
    values = np.sort(finite(values))
    cut = values.size // 4
    return float(values[cut : values.size - cut].mean())


def bootstrap_t(
    values: Scores, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Studentized bootstrap interval for the mean, for skewed scores.

    It is that of Efron & Tibshirani (1993, section 12.5): each resample's
    ``(mean* - mean) / (sd* / sqrt(n))`` takes the place of Student's t. A resample of equal values
    has no spread and counts as infinitely far off on its side. Where such resamples are more common
    than the tail, as with three seeds or many ties, that end is infinite: so few different scores
    say no more.

    Args:
      values: one score per seed.
      confidence: confidence of the interval, between 0 and 1.
      resamples: number of resamples; the ends are order statistics of them.
      seed: seed of the draws.

    Returns:
      Its lower and upper end, which may be infinite; nan for one value; the value itself where all
      are equal.

    Raises:
      UsageError: as ``summary``, or ``resamples`` are too few for the confidence.
    """
    values = finite(values, confidence)
    place = int(round((resamples + 1) * (1 - confidence) / 2, 6))
    if place < 1:
        raise UsageError(
            f"resamples must be at least {int(np.ceil(2 / (1 - confidence)))}, got {resamples}"
        )
    n = values.size
    mean = values.mean()
    if n == 1:
        return np.nan, np.nan
    if np.ptp(values) == 0:
        return float(mean), float(mean)
    draws = values[np.random.default_rng(seed).integers(0, n, (resamples, n))]
    shift = draws.mean(axis=1) - mean
    shift[np.abs(shift) < ROUNDING * np.ptp(values)] = 0.0
    flat = np.ptp(draws, axis=1) == 0
    # A resample without spread counts as 0 where it equals the mean, as infinite otherwise.
    ts = np.where(shift == 0, 0.0, np.copysign(np.inf, shift))
    ts[~flat] = shift[~flat] / (draws[~flat].std(axis=1, ddof=1) / n**0.5)
    ts.sort()
    error = values.std(ddof=1) / n**0.5
    return float(mean - ts[-place] * error), float(mean - ts[place - 1] * error)


def prediction_interval(
    values: Scores, runs: int = 1, confidence: float = 0.95, bounds: Bounds | None = None
) -> tuple[float, float]:
    """Interval for the mean of further runs: ``mean +- t s sqrt(1/n + 1/runs)``.

    A single published number, or the mean of ``runs`` of them, is to be compared with this
    interval; that of ``summary`` is too narrow for it. Both assume normal scores.

    Args:
      values: one score per seed.
      runs: number of seeds behind the number to be predicted.
      confidence: confidence of the interval, between 0 and 1.
      bounds: as of ``summary``.

    Returns:
      Its lower and upper end; nan for one value.

    Raises:
      UsageError: as ``summary``, or ``runs`` is below 1.
    """
    if runs < 1:
        raise UsageError(f"runs must be at least 1, got {runs}")
    n, mean, sd, _, _ = summary(values, confidence)
    if n == 1:
        return np.nan, np.nan
    half = run_distance(n, sd, confidence, runs)
    reach = run_distance(n, sd, confidence)
    return inside(mean, mean - half, mean + half, bounds, reach)


def sd_interval(sd: float, degrees: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for the standard deviation of normal scores; a few seeds say little about it.

    Args:
      sd: the estimate.
      degrees: its degrees of freedom, at least 1: n - 1 for one sample.
      confidence: confidence of the interval, between 0 and 1.

    Returns:
      ``sd sqrt(degrees / chi2)`` at the upper and the lower quantile.
    """
    tails = stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], degrees)
    low, high = sd * np.sqrt(degrees / tails)
    return float(low), float(high)


def _quantile(n: int, confidence: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, n - 1))


def finite(values: Scores, confidence: float = 0.95) -> np.ndarray:
    """Checked scores, float64 (n,).

    Raises:
      UsageError: as ``summary``.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be between 0 and 1, got {confidence}")
    # None becomes nan here.
    values = np.array(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise UsageError(
            f"values must be a sequence of at least one number, got shape {values.shape}"
        )
    failed = np.flatnonzero(~np.isfinite(values))
    if failed.size:
        rule = "values must be finite (decide what a failed seed counts as)"
        raise UsageError(f"{rule}, got {values[failed].tolist()} at {failed.tolist()}")
    return values


def two_samples(
    a: Scores, b: Scores, paired: bool, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Checked scores of two methods, float64 (n,) and (m,).

    Raises:
      UsageError: as ``summary``, or n is not m where the seeds are paired.
    """
    first = finite(a, confidence)
    second = finite(b, confidence)
    if paired and first.size != second.size:
        raise UsageError(f"a and b must be pairs, got {first.size} and {second.size}")
    return first, second
