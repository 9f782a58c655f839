"""Several methods over several data sets: ranks, Friedman's test, Nemenyi's critical difference (Demsar 2006).

Seeds are pooled to one value for each data set before: they are no data sets of their own.
"""

import functools
import itertools
from collections.abc import Callable

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError

LEAST_DATA_SETS = 8
"""Below this many no critical difference is drawn; ``comparisons.wilcoxon`` with ``holm`` stands in."""


def ranks(scores: np.ndarray) -> np.ndarray:
    """Mean rank of each method, 1 the best; ties share.

    Args:
      scores: one value for each data set and method, float (data sets, methods). Higher is better.

    Returns:
      float64 (methods,).

    Raises:
      ValueError: fewer than 2 methods, no data set, or a score is not finite.
    """
    return stats.rankdata(-_scores(scores), axis=1).mean(axis=0)


def friedman(scores: np.ndarray) -> tuple[float, float]:
    """Friedman's chi-square, corrected for ties, and its p: whether any of three methods or more ranks apart.

    Args:
      scores: as ``ranks``.

    Returns:
      The statistic and p; 0 and 1 where all methods tie everywhere.

    Raises:
      ValueError: as ``ranks``, or fewer than 3 methods or 2 data sets.
    """
    scores = _scores(scores)
    n, k = scores.shape
    if n < 2 or k < 3:
        raise UsageError(f"scores must be of at least 2 data sets and 3 methods, got {n} and {k}")
    placed = stats.rankdata(-scores, axis=1)
    between = n * ((placed.mean(axis=0) - (k + 1) / 2) ** 2).sum()
    within = ((placed - (k + 1) / 2) ** 2).sum() / (n * (k - 1))
    if within == 0:
        return 0.0, 1.0
    statistic = float(between / within)
    return statistic, float(stats.chi2.sf(statistic, k - 1))


def critical_difference(methods: int, data_sets: int, alpha: float = 0.05) -> float:
    """Nemenyi's: mean ranks further apart than this differ, over all pairs together (Demsar 2006, section 3.2.2).

    Args:
      methods: k, at least 2.
      data_sets: N, at least LEAST_DATA_SETS; below, use pairwise ``wilcoxon`` with ``holm``.
      alpha: the level.

    Raises:
      ValueError: too few methods or data sets.
    """
    _enough(methods, data_sets)
    return float(
        _studentised_range(methods).ppf(1 - alpha) / 2**0.5 * _rank_error(methods, data_sets)
    )


def nemenyi(scores: np.ndarray) -> np.ndarray:
    """p of each pair of methods by the distance of their mean ranks, corrected for all pairs.

    Args:
      scores: as ``ranks``.

    Returns:
      float64 (methods, methods), 1 on the diagonal.

    Raises:
      ValueError: as ``ranks`` and ``critical_difference``.
    """
    scores = _scores(scores)
    n, k = scores.shape
    _enough(k, n)
    mean = ranks(scores)
    distances = np.abs(mean[:, None] - mean) / _rank_error(k, n) * 2**0.5
    p = np.ones((k, k))
    for i, j in itertools.combinations(range(k), 2):
        p[i, j] = p[j, i] = min(1.0, float(_studentised_range(k).sf(distances[i, j])))
    return p


def _scores(scores: np.ndarray) -> np.ndarray:
    scores = np.array(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[0] < 1 or scores.shape[1] < 2:
        raise UsageError(
            f"scores must be of shape (data sets, at least 2 methods), got {scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise UsageError(
            f"scores must be finite, got {int((~np.isfinite(scores)).sum())} that are not"
        )
    return scores


def _enough(methods: int, data_sets: int) -> None:
    if methods < 2:
        raise UsageError(f"methods must be at least 2, got {methods}")
    if data_sets < LEAST_DATA_SETS:
        raise UsageError(
            f"data sets must be at least {LEAST_DATA_SETS} for a critical difference, got {data_sets}"
        )


def _rank_error(methods: int, data_sets: int) -> float:
    return (methods * (methods + 1) / (6 * data_sets)) ** 0.5


@functools.lru_cache(maxsize=8)
def _studentised_range(methods: int) -> Callable:
    return stats.studentized_range(methods, np.inf)
