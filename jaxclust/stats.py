"""Intervals over the seeds of an experiment."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


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
    values = _finite(values, confidence)
    n, mean = values.size, float(values.mean())
    if n == 1:
        return Summary(1, mean, np.nan, np.nan, np.nan)
    sd = float(values.std(ddof=1))
    half = _quantile(n, confidence) * sd / n**0.5
    return Summary(n, mean, sd, mean - half, mean + half)


def prediction_interval(values: Sequence[float], runs: int = 1, confidence: float = 0.95) -> tuple[float, float]:
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
        raise ValueError(f"runs must be at least 1, got {runs}")
    n, mean, sd, _, _ = summary(values, confidence)
    if n == 1:
        return np.nan, np.nan
    half = _quantile(n, confidence) * sd * (1 / n + 1 / runs) ** 0.5
    return mean - half, mean + half


def _quantile(n: int, confidence: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, n - 1))


def _finite(values: Sequence[float], confidence: float) -> np.ndarray:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    # None becomes nan here.
    values = np.array(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values must be a sequence of at least one number, got shape {values.shape}")
    failed = np.flatnonzero(~np.isfinite(values))
    if failed.size:
        got = values[failed].tolist()
        raise ValueError(f"values must be finite (decide what a failed seed counts as), got {got} at {failed.tolist()}")
    return values
