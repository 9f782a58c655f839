"""Whether two methods are equal within a margin: two one-sided tests (Schuirmann 1987).

A difference that is not significant says nothing about equality. These tests turn the question
round: their null hypothesis is that the means differ by the margin or more.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError
from jaxclust.evaluation.stats.one_method import ROUNDING, Scores, two_samples
from jaxclust.evaluation.stats.two_methods import signed_rank_tails, standard_error


def equal_within(a: Scores, b: Scores, margin: float, paired: bool) -> float:
    """p of two one-sided t tests (TOST): if it is small, the means differ by less than the margin.

    It is the larger p of the tests against mean(a) - mean(b) <= -margin and >= margin. Seeds that
    are not shared have Welch's t. Where no score has a spread, t says nothing, and p is the
    smallest that a one-sided permutation test of so many seeds allows.

    Args:
      a: one score per seed.
      b: one score per seed, where ``paired`` of the same seeds in the same order.
      margin: above 0, in the score's own unit.
      paired: whether the seeds are shared.

    Returns:
      p in [0, 1]; 1 where one method has a single seed.

    Raises:
      UsageError: a score is not finite, pairs are incomplete, or the margin is not above 0.
    """
    a, b = _checked(a, b, margin, paired)
    if min(a.size, b.size) < 2:
        return 1.0
    gap = abs(float(a.mean() - b.mean()))
    error, degrees = standard_error(a, b, paired)
    if error <= ROUNDING * max(np.abs(a).max(), np.abs(b).max(), margin):
        arrangements = 2**a.size if paired else math.comb(a.size + b.size, a.size)
        return 1 / arrangements if gap < margin * (1 - ROUNDING) else 1.0
    # The nearer side of the margin has the larger p of the two.
    return float(stats.t.sf((margin - gap) / error, degrees))


def ranks_equal_within(a: Scores, b: Scores, margin: float) -> float:
    """``equal_within`` by two one-sided signed-rank tests, exact also with ties.

    Args:
      a: one score per seed, or per data set.
      b: the scores of the same ones, in the same order.
      margin: above 0, in the score's own unit.

    Raises:
      UsageError: as ``equal_within``.
    """
    a, b = _checked(a, b, margin, True)
    _, above = signed_rank_tails(a + margin, b)
    below, _ = signed_rank_tails(a - margin, b)
    return max(above, below)


def shaffer(
    differ: Sequence[float] | np.ndarray, equal: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corrected p of a family whose pairs have a test of a difference and one of equality.

    The two null hypotheses of a pair, no difference and a difference of the margin or more, cannot
    both be true: of the 2 m hypotheses of m pairs at most m are. Shaffer's first procedure (1986)
    uses this: the j-th smallest of the 2 m p is multiplied by min(m, 2 m - j + 1). Holm's
    correction multiplies it by 2 m - j + 1. The probability that any true hypothesis has a
    corrected p below alpha is at most alpha.

    Args:
      differ: p of each pair's test of a difference, (m,).
      equal: p of each pair's test of equality, (m,).

    Returns:
      Both corrected, float64 (m,) each, at most 1.

    Raises:
      UsageError: a p is not in [0, 1], or they are not as many.
    """
    p = np.concatenate([np.array(differ, np.float64), np.array(equal, np.float64)])
    if len(differ) != len(equal):
        raise UsageError(f"equal: must be as many as differ, got {len(equal)} and {len(differ)}")
    if not ((p >= 0) & (p <= 1)).all():
        raise UsageError(f"p must be numbers in [0, 1], got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    factors = np.minimum(len(differ), np.arange(p.size, 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return corrected[: len(differ)], corrected[len(differ) :]


def _checked(a: Scores, b: Scores, margin: float, paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """Checked scores of two methods; UsageError as ``equal_within``."""
    if not margin > 0:
        raise UsageError(f"margin: must be above 0, got {margin}")
    return two_samples(a, b, paired)
