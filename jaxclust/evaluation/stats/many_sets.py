"""One method over several data sets, as rliable has it (Agarwal et al. 2021).

The intervals are those of a stratified bootstrap: seeds are drawn again within each data set. They
say how far other seeds could move a number on the same data sets, and nothing about other sets.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxclust.errors import UsageError
from jaxclust.evaluation.stats.one_method import RESAMPLES, Scores, finite

BLOCK = 2_000_000
"""Number of scores drawn at once, so that memory does not grow with ``resamples``."""


class Center(NamedTuple):
    """A number over all runs and data sets, and its interval.

    Attributes:
      value: the number.
      low: lower end of the interval; nan where no data set has two seeds.
      high: upper end.
    """

    value: float
    low: float
    high: float


class Centers(NamedTuple):
    """The centers of one method over data sets.

    Attributes:
      mean: mean of the data sets' means.
      median: median of the data sets' means.
      iqm: mean of the middle half of all scores. A quarter of them, rounded down, is cut at either
        end; a data set with more seeds has more of them.
    """

    mean: Center
    median: Center
    iqm: Center


def centers(
    scores: Sequence[Scores], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Centers:
    """Mean, median and interquartile mean over data sets, with stratified bootstrap intervals.

    An interval's ends are percentiles of the resamples, which no score's bounds can leave. With
    few seeds a data set they are too narrow.

    Args:
      scores: of each data set one score per seed.
      confidence: confidence of the intervals, between 0 and 1.
      resamples: number of resamples.
      seed: seed of the draws.

    Raises:
      UsageError: there is no data set, or a score is not finite.
    """
    sets = _checked(scores, confidence)
    rng = np.random.default_rng(seed)
    (observed,) = _statistics([own[None] for own in sets])
    if all(own.size == 1 for own in sets):
        return Centers(*(Center(float(value), np.nan, np.nan) for value in observed))
    at_once = max(1, BLOCK // sum(own.size for own in sets))
    drawn = []
    for first in range(0, resamples, at_once):
        count = min(at_once, resamples - first)
        # Each data set's seeds are drawn again among themselves: these are the strata.
        again = [own[rng.integers(0, own.size, (count, own.size))] for own in sets]
        drawn.append(_statistics(again))
    tail = (1 - confidence) / 2
    ends = np.quantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
    return Centers(*(Center(*map(float, one)) for one in zip(observed, *ends, strict=True)))


def _statistics(sets: Sequence[np.ndarray]) -> np.ndarray:
    """The mean, the median and the interquartile mean of each draw.

    Args:
      sets: scores of each data set, float (draws, seeds).

    Returns:
      float64 (draws, 3).
    """
    means = np.stack([own.mean(axis=1) for own in sets], axis=1)
    middle = _middle(np.concatenate(sets, axis=1))
    return np.stack([means.mean(axis=1), np.median(means, axis=1), middle], axis=1)


def profile(
    scores: Sequence[Scores],
    levels: np.ndarray,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Performance profile: the share of runs whose score is above each level.

    A data set's share counts as much as another's, however many seeds it has. The band is that of
    a stratified bootstrap, at each level by itself.

    Args:
      scores: as of ``centers``.
      levels: float (m,).
      confidence: as of ``centers``.
      resamples: as of ``centers``.
      seed: as of ``centers``.

    Returns:
      The share, its lower and its upper end, float64 (m,) each; ends are nan where no data set has
      two seeds.

    Raises:
      UsageError: as ``centers``.
    """
    sets = _checked(scores, confidence)
    above = np.stack([(own[:, None] > levels).mean(axis=0) for own in sets])
    share = above.mean(axis=0)
    if not any(own.size > 1 for own in sets):
        nothing = np.full(share.shape, np.nan)
        return share, nothing, nothing
    rng = np.random.default_rng(seed)
    # How many of n seeds drawn again are above a level is binomial.
    drawn = np.zeros((resamples, len(levels)))
    for own, chance in zip(sets, above, strict=True):
        drawn += rng.binomial(own.size, chance, (resamples, len(levels))) / own.size / len(sets)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return share, low, high


def _middle(rows: np.ndarray) -> np.ndarray:
    """The interquartile mean of each row."""
    cut = rows.shape[1] // 4
    return np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1)


def _checked(scores: Sequence[Scores], confidence: float) -> list[np.ndarray]:
    """The scores of each data set, float64 (seeds,); UsageError as ``centers``."""
    if not len(scores):
        raise UsageError("scores: must be of at least one data set, got none")
    return [finite(own, confidence) for own in scores]
