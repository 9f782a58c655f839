"""Several methods over several data sets (Demsar 2006): ranks, Friedman's test, Nemenyi's test.

Before these tests, the scores of a data set's seeds are pooled to one value: seeds are no data sets
of their own.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError

LEAST_DATA_SETS = 8
"""With fewer data sets there is no critical difference; pairwise ``wilcoxon`` with ``holm`` takes
its place."""

Table = Sequence[Sequence[float]] | np.ndarray
"""One score for each data set and method, (data sets, methods); higher is better."""


def ranks(scores: Table) -> np.ndarray:
    """Mean rank of each method, 1 the best; ties share their ranks.

    Args:
      scores: one score for each data set and method, float (data sets, methods). Higher is better.

    Returns:
      float64 (methods,).

    Raises:
      UsageError: fewer than 2 methods, no data set, or a score is not finite.
    """
    return stats.rankdata(-_checked(scores), axis=1).mean(axis=0)


def friedman(scores: Table) -> tuple[float, float]:
    """Friedman's chi-square test, corrected for ties: whether any of three or more methods differs.

    Args:
      scores: as ``ranks``.

    Returns:
      The statistic and p; 0 and 1 where all methods tie everywhere.

    Raises:
      UsageError: as ``ranks``, or fewer than 3 methods or 2 data sets.
    """
    scores = _checked(scores)
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
    """Nemenyi's critical difference (Demsar 2006, section 3.2.2).

    Mean ranks that are further apart than this differ, over all pairs together.

    Args:
      methods: number of methods k, at least 2.
      data_sets: number of data sets N, at least LEAST_DATA_SETS; below, use pairwise ``wilcoxon``
        with ``holm``.
      alpha: the level.

    Raises:
      UsageError: too few methods or data sets.
    """
    _check_enough(methods, data_sets)
    return float(
        _studentized_range(methods).ppf(1 - alpha) / 2**0.5 * _rank_error(methods, data_sets)
    )


def nemenyi(scores: Table) -> np.ndarray:
    """p of each pair of methods by the distance of their mean ranks, corrected for all pairs.

    Args:
      scores: as ``ranks``.

    Returns:
      float64 (methods, methods), 1 on the diagonal.

    Raises:
      UsageError: as ``ranks`` and ``critical_difference``.
    """
    scores = _checked(scores)
    n, k = scores.shape
    _check_enough(k, n)
    mean = ranks(scores)
    distances = np.abs(mean[:, None] - mean) / _rank_error(k, n) * 2**0.5
    p = np.ones((k, k))
    for i, j in itertools.combinations(range(k), 2):
        p[i, j] = p[j, i] = min(1.0, float(_studentized_range(k).sf(distances[i, j])))
    return p


def groups(ranks: Sequence[float], differ: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The bars of a critical-difference diagram: neighbors by rank of which no two differ.

    Args:
      ranks: mean rank of each method.
      differ: places of the pairs that differ.

    Returns:
      The places of each group's methods by rank. Each group is as large as can be, and has two
      methods at least; a method may be in two groups or in none.
    """
    order = sorted(range(len(ranks)), key=lambda place: ranks[place])
    apart = {frozenset(pair) for pair in differ}

    def alike(begin: int, end: int) -> bool:
        pairs = itertools.combinations(order[begin:end], 2)
        return not any(frozenset(pair) in apart for pair in pairs)

    found: list[list[int]] = []
    reached = 0
    for begin in range(len(order)):
        end = begin + 1
        while end < len(order) and alike(begin, end + 1):
            end += 1
        if end > max(reached, begin + 1):
            found.append(order[begin:end])
            reached = end
    return found


def _checked(scores: Table) -> np.ndarray:
    """The scores as float64 (data sets, methods); UsageError as ``ranks``."""
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


def _check_enough(methods: int, data_sets: int) -> None:
    """Refuses too few methods or data sets for a critical difference."""
    if methods < 2:
        raise UsageError(f"methods must be at least 2, got {methods}")
    if data_sets < LEAST_DATA_SETS:
        rule = f"data sets must be at least {LEAST_DATA_SETS} for a critical difference"
        raise UsageError(f"{rule}, got {data_sets}")


def _rank_error(methods: int, data_sets: int) -> float:
    """Standard error of a difference of two mean ranks."""
    return (methods * (methods + 1) / (6 * data_sets)) ** 0.5


@functools.lru_cache(maxsize=8)
def _studentized_range(methods: int) -> Any:
    """SciPy's distribution; its table is computed once for each number of methods."""
    return stats.studentized_range(methods, np.inf)
