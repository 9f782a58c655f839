"""What a number of seeds can show: the smallest p, the fewest seeds, and the seeds needed."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError
from jaxclust.evaluation.stats.one_method import (
    RESAMPLES,
    ROUNDING,
    Scores,
    sd_interval,
    two_samples,
)
from jaxclust.evaluation.stats.two_methods import EXACT

MOST_SEEDS = 100_000
"""The search for a number of seeds ends here."""


class Needed(NamedTuple):
    """The number of seeds that each method needs.

    Attributes:
      low: at the lower end of the 95 % interval of the standard deviation.
      expected: at the estimated standard deviation.
      high: at the upper end of its interval.
    """

    low: int
    expected: int
    high: int


def smallest_p(
    n: int, m: int | None = None, ranks: bool = False, resamples: int = RESAMPLES
) -> float:
    """The smallest p that the numbers of seeds allow, whatever the scores.

    Args:
      n: number of pairs, or of the seeds of one method.
      m: number of the other method's seeds; None for pairs.
      ranks: whether the test is ``wilcoxon``, which is exact for any n.
      resamples: number of draws of the permutation tests, where they are not exact.

    Returns:
      2 / 2^n for pairs. Otherwise, of all choices of n from n + m, the share of two (n = m) or of
      one. 1 / (resamples + 1) where that many are drawn. 1 where nothing can be tested.
    """
    if m is None:
        return min(1.0, 2 / 2**n) if ranks or 2**n <= EXACT else 1 / (resamples + 1)
    if min(n, m) < 2:
        return 1.0
    count = math.comb(n + m, n)
    return (1 + (n == m)) / count if count <= EXACT else 1 / (resamples + 1)


def least_seeds(level: float, paired: bool, ranks: bool = False, resamples: int = RESAMPLES) -> int:
    """The fewest seeds whose p can be as small as a level; MOST_SEEDS if there is no such number.

    Args:
      level: of the test; divide that of a family by its size.
      paired: whether the seeds are shared; the number is of each method otherwise.
      ranks: as of ``smallest_p``.
      resamples: as of ``smallest_p``.
    """
    # With more seeds p is below every level in use, or it never is.
    counts = range(2, 65)
    fits = (n for n in counts if smallest_p(n, None if paired else n, ranks, resamples) <= level)
    return next(fits, MOST_SEEDS)


def seeds_needed(
    a: Scores, b: Scores, gap: float, paired: bool, power: float = 0.8, alpha: float = 0.05
) -> Needed:
    """Seeds of each method with which a t test finds a true difference with the given power.

    The spread is estimated from the seeds at hand. A few seeds say little about it, so that the
    answer is a range.

    Args:
      a: one score per seed of a first look.
      b: one score per seed, where ``paired`` of the same seeds in the same order.
      gap: the true difference of the means, above 0, in the score's own unit.
      paired: whether the seeds are shared and their differences are tested.
      power: the probability to find the difference.
      alpha: level of the test; divide it by the number of comparisons for Bonferroni's bound on
        Holm's correction.

    Returns:
      The range; MOST_SEEDS stands for that many or more.

    Raises:
      UsageError: gap, power or alpha are out of range, or there are too few scores to estimate a
        spread.
    """
    if not gap > 0:
        raise UsageError(f"gap must be above 0, got {gap}")
    if not 0 < alpha < power < 1:
        raise UsageError(
            f"alpha and power must be in (0, 1), alpha the smaller, got {alpha} and {power}"
        )
    a, b = two_samples(a, b, paired)
    if min(a.size, b.size) < 2:
        raise UsageError(f"a and b: must have at least 2 scores each, got {a.size} and {b.size}")
    if paired:
        sd = float((a - b).std(ddof=1))
        degrees = a.size - 1
    else:
        degrees = a.size + b.size - 2
        sd = float(np.sqrt(((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / degrees))
    low, high = sd_interval(sd, degrees)
    return Needed(*(_seeds(gap, spread, paired, power, alpha) for spread in (low, sd, high)))


def _seeds(gap: float, sd: float, paired: bool, power: float, alpha: float) -> int:
    """The smallest n of a t test with this power, by the noncentral t distribution."""

    def enough(n: int) -> bool:
        degrees, noncentral = (n - 1, n**0.5) if paired else (2 * n - 2, (n / 2) ** 0.5)
        noncentral *= gap / sd
        edge = stats.t.ppf(1 - alpha / 2, degrees)
        reached = stats.nct.sf(edge, degrees, noncentral)
        # In the far tail scipy's noncentral t gives nan; the normal distribution is exact enough
        # there.
        if np.isnan(reached):
            reached = stats.norm.sf(edge - noncentral)
        return bool(reached >= power)

    if sd <= ROUNDING * gap:
        return 2
    high = 2
    while not enough(high):
        high *= 2
        if high > MOST_SEEDS:
            return MOST_SEEDS
    low = max(2, high // 2)
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high
