"""One method's scores over seeds: centre, spread, intervals, and where the next run falls."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError

RESAMPLES = 9_999
"""Of a bootstrap or a random permutation test: (RESAMPLES + 1) times a usual level is whole."""
ROUNDING = 1e-10
"""Differences below this share of the scores' range are rounding."""


class Summary(NamedTuple):
    """The scores of several seeds.

    Attributes:
      n: seeds.
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


def summary(values: Sequence[float], confidence: float = 0.95) -> Summary:
    """Mean, spread and Student's t interval for the mean.

    One value says nothing about spread: its ``sd``, ``low`` and ``high`` are nan. A seed that failed is no number, and
    to leave it out would flatter the method: it is refused, and the caller has to say what it counts as.

    Args:
      values: one score per seed.
      confidence: of the interval, between 0 and 1.

    Returns:
      The summary.

    Raises:
      ValueError: if there are no values, one is None, nan or infinite, or the confidence is not between 0 and 1.
    """
    values = finite(values, confidence)
    n, mean = values.size, float(values.mean())
    if n == 1:
        return Summary(1, mean, np.nan, np.nan, np.nan)
    sd = float(values.std(ddof=1))
    half = _quantile(n, confidence) * sd / n**0.5
    return Summary(n, mean, sd, mean - half, mean + half)


def median(values: Sequence[float]) -> float:
    """The middle score; the mean of the two middle ones of an even number. ValueError as ``summary``."""
    return float(np.median(finite(values)))


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: a quarter of the scores, rounded down, is cut at either end (rliable's IQM).

    Less moved by a lost seed than the mean, less coarse than the median. ValueError as ``summary``.
    """
    values = np.sort(finite(values))
    cut = values.size // 4
    return float(values[cut : values.size - cut].mean())


def bootstrap_t(
    values: Sequence[float], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Studentised bootstrap interval for the mean (Efron & Tibshirani 1993, section 12.5), for skewed scores.

    Each resample's ``(mean* - mean) / (sd* / sqrt(n))`` takes the place of Student's t. A resample of equal values has
    no spread and counts as infinitely far off on its side: where such ones are more common than the tail, as with three
    seeds or many ties, that end is infinite, which is what so few different scores can say.

    Args:
      values: one score per seed.
      confidence: of the interval, between 0 and 1.
      resamples: drawn; the ends are order statistics of them.
      seed: of the draws.

    Returns:
      Its lower and upper end, maybe infinite; nan for one value; the value itself where all are equal.

    Raises:
      ValueError: as ``summary``, and if ``resamples`` are too few for the confidence.
    """
    values = finite(values, confidence)
    place = int(round((resamples + 1) * (1 - confidence) / 2, 6))
    if place < 1:
        raise UsageError(
            f"resamples must be at least {int(np.ceil(2 / (1 - confidence)))}, got {resamples}"
        )
    n, mean = values.size, values.mean()
    if n == 1:
        return np.nan, np.nan
    if np.ptp(values) == 0:
        return float(mean), float(mean)
    draws = values[np.random.default_rng(seed).integers(0, n, (resamples, n))]
    shift = draws.mean(axis=1) - mean
    shift[np.abs(shift) < ROUNDING * np.ptp(values)] = 0.0
    flat = np.ptp(draws, axis=1) == 0
    # A flat resample: 0 where it is the mean itself, infinite otherwise.
    ts = np.where(shift == 0, 0.0, np.copysign(np.inf, shift))
    ts[~flat] = shift[~flat] / (draws[~flat].std(axis=1, ddof=1) / n**0.5)
    ts.sort()
    error = values.std(ddof=1) / n**0.5
    return float(mean - ts[-place] * error), float(mean - ts[place - 1] * error)


def prediction_interval(
    values: Sequence[float], runs: int = 1, confidence: float = 0.95
) -> tuple[float, float]:
    """Where the mean of further runs is to be expected: ``mean +- t s sqrt(1/n + 1/runs)``.

    This is what a single published number, or the mean of ``runs`` of them, is to be compared with; the interval of
    ``summary`` is too narrow for it. Both suppose normal scores.

    Args:
      values: one score per seed.
      runs: seeds behind the number to be predicted.
      confidence: of the interval, between 0 and 1.

    Returns:
      Its lower and upper end; nan for one value.

    Raises:
      ValueError: as ``summary``, and if runs < 1.
    """
    if runs < 1:
        raise UsageError(f"runs must be at least 1, got {runs}")
    n, mean, sd, _, _ = summary(values, confidence)
    if n == 1:
        return np.nan, np.nan
    half = _quantile(n, confidence) * sd * (1 / n + 1 / runs) ** 0.5
    return mean - half, mean + half


def sd_interval(sd: float, degrees: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for the standard deviation of normal scores: what a few seeds say about spread, which is little.

    Args:
      sd: estimate.
      degrees: of freedom behind it, at least 1: n - 1 for one sample.
      confidence: of the interval, between 0 and 1.

    Returns:
      ``sd sqrt(degrees / chi2)`` at the upper and the lower quantile.
    """
    tails = stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], degrees)
    low, high = sd * np.sqrt(degrees / tails)
    return float(low), float(high)


def _quantile(n: int, confidence: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, n - 1))


def finite(values: Sequence[float], confidence: float = 0.95) -> np.ndarray:
    """Scores as float64 (n,), or the ValueError that ``summary`` names."""
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
        got = values[failed].tolist()
        raise UsageError(
            f"values must be finite (decide what a failed seed counts as), got {got} at {failed.tolist()}"
        )
    return values
