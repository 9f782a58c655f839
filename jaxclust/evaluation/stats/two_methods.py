"""Two methods: how far apart, tests of the difference, their correction for several, and the seeds needed.

All tests are two-sided. Every p is a probability under the test's own hypothesis for the seeds at hand; what the
number of seeds alone forbids is ``smallest_p``.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError
from jaxclust.evaluation.stats.one_method import RESAMPLES, ROUNDING, finite, sd_interval

EXACT = 200_000
"""Arrangements up to which a permutation test goes through all of them: 17 pairs, or 10 seeds against 10."""
BLOCK = 20_000
"""Arrangements drawn at once: memory does not grow with their number."""
MOST_SEEDS = 100_000
"""Where the search for a number of seeds ends."""


class Difference(NamedTuple):
    """Mean of a minus mean of b, with Student's t interval, Welch's where seeds are not shared; nan where n is 1."""

    mean: float
    low: float
    high: float


class Superiority(NamedTuple):
    """Probability that a run of a beats a run of b, a tie counting half, and its interval (nan where n is 1)."""

    probability: float
    low: float
    high: float


class Needed(NamedTuple):
    """Seeds for each method; ``low`` and ``high`` at the ends of the 95 % interval of the standard deviation."""

    low: int
    expected: int
    high: int


def difference(
    a: Sequence[float], b: Sequence[float], paired: bool, confidence: float = 0.95
) -> Difference:
    """How much higher a is, in the score's own unit.

    Args:
      a: one score per seed.
      b: the same, where ``paired`` of the same seeds in the same order.
      paired: the interval is that of the seeds' differences.
      confidence: of the interval.

    Raises:
      ValueError: a score is not finite, or pairs are incomplete.
    """
    a, b = _two(a, b, paired, confidence)
    mean = float(a.mean() - b.mean())
    if paired:
        error, degrees = (a - b).std(ddof=1) / a.size**0.5 if a.size > 1 else np.nan, a.size - 1
    elif min(a.size, b.size) < 2:
        return Difference(mean, np.nan, np.nan)
    else:
        parts = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
        error = parts.sum() ** 0.5
        weights = parts**2 / np.array([a.size - 1, b.size - 1])
        degrees = parts.sum() ** 2 / weights.sum() if error > 0 else a.size + b.size - 2
    if np.isnan(error):
        return Difference(mean, np.nan, np.nan)
    half = float(stats.t.ppf((1 + confidence) / 2, degrees) * error)
    return Difference(mean, mean - half, mean + half)


def superiority(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Superiority:
    """P(a > b) + P(a = b) / 2 for one run of each, with the interval of Brunner and Munzel (2000).

    Where every score of one lies above every score of the other their estimate of variance is 0, which would claim
    certainty. The bound is then Clopper and Pearson's for min(n) runs of each, put side by side, all won; and nearly
    so many won never claim more than all.

    Args:
      a: one score per seed.
      b: the same.
      confidence: of the interval, which is cut to [0, 1].

    Raises:
      ValueError: a score is not finite.
    """
    a, b = _two(a, b, False, confidence)
    together = stats.rankdata(np.concatenate([a, b]))
    own_a, own_b = stats.rankdata(a), stats.rankdata(b)
    above_a, above_b = together[: a.size] - own_a, together[a.size :] - own_b
    probability = float(above_a.mean() / b.size)
    if min(a.size, b.size) < 2:
        return Superiority(probability, np.nan, np.nan)
    most = ((1 - confidence) / 2) ** (1 / min(a.size, b.size))
    if probability in (0.0, 1.0):
        return Superiority(probability, *((most, 1.0) if probability else (0.0, 1 - most)))
    parts = np.array(
        [above_a.var(ddof=1) / b.size**2 / a.size, above_b.var(ddof=1) / a.size**2 / b.size]
    )
    if parts.sum() == 0:  # All scores are equal.
        return Superiority(probability, 0.0, 1.0)
    degrees = parts.sum() ** 2 / (parts**2 / np.array([a.size - 1, b.size - 1])).sum()
    half = float(stats.t.ppf((1 + confidence) / 2, degrees) * parts.sum() ** 0.5)
    low, high = max(0.0, min(probability - half, most)), min(1.0, max(probability + half, 1 - most))
    return Superiority(probability, low, high)


def paired_permutation(
    a: Sequence[float], b: Sequence[float], seed: int = 0, resamples: int = RESAMPLES
) -> float:
    """p of the mean difference of shared seeds, when each pair's two scores might be exchanged.

    Exact up to 17 pairs; from random draws beyond, the observed signs counted among them. Studentising would change
    nothing: under changes of sign t is a monotone function of the mean. Against a known number, b the same throughout,
    it supposes that scores lie symmetrically around their mean.

    Args:
      a: one score per seed.
      b: the same seeds in the same order.
      seed: of the draws.
      resamples: draws, where it is not exact.

    Raises:
      ValueError: a score is not finite, or pairs are incomplete.
    """
    a, b = _two(a, b, True)
    gaps = a - b
    slack = ROUNDING * np.abs(gaps).sum()
    observed = abs(gaps.sum()) - slack
    if 2**gaps.size <= EXACT:
        sums = np.zeros(1)
        for gap in gaps:
            sums = np.concatenate([sums + gap, sums - gap])
        return float(np.mean(np.abs(sums) >= observed))
    draws, hits = np.random.default_rng(seed), []
    for size in _blocks(resamples):
        signs = 1 - 2 * draws.integers(0, 2, (size, gaps.size), dtype=np.int8)
        hits.append(np.abs(signs @ gaps) >= observed)
    return _share(np.concatenate(hits))


def permutation(
    a: Sequence[float], b: Sequence[float], seed: int = 0, resamples: int = RESAMPLES
) -> float:
    """p of the difference of means in units of Welch's standard error, over permutations of all scores.

    Studentised, it keeps its level for large samples also where the spreads differ (Janssen 1997), which a plain
    permutation of means does not; for small ones see ``unpaired``. Exact up to 10 against 10; from random draws beyond,
    the observed one counted.

    Args:
      a: one score per seed, at least 2.
      b: the same.
      seed: of the draws.
      resamples: draws, where it is not exact.

    Raises:
      ValueError: a score is not finite, or one side has fewer than 2.
    """
    a, b = _two(a, b, False)
    if min(a.size, b.size) < 2:
        raise UsageError(f"a and b: must have at least 2 scores each, got {a.size} and {b.size}")
    scores = np.concatenate([a, b])
    observed = _studentised(a[None], b[None]) * (1 - ROUNDING)

    def hits(mine):
        everyone = np.broadcast_to(scores, mine.shape)
        return (
            _studentised(everyone[mine].reshape(-1, a.size), everyone[~mine].reshape(-1, b.size))
            >= observed
        )

    if math.comb(scores.size, a.size) <= EXACT:
        return float(hits(_subsets(scores.size, a.size)).mean())
    draws, first = np.random.default_rng(seed), np.arange(scores.size) < a.size
    blocks = [
        hits(draws.permuted(np.tile(first, (size, 1)), axis=1)) for size in _blocks(resamples)
    ]
    return _share(np.concatenate(blocks))


def unpaired(
    a: Sequence[float], b: Sequence[float], seed: int = 0, resamples: int = RESAMPLES
) -> float:
    """The larger p of ``permutation`` and of Welch's t test, where one side has a spread.

    A few scores that spread far against many that hardly do are all on one side of those, with a chance that does not
    fall with the level: no permutation then has a larger t, and the first alone would claim too much.

    Args:
      a: one score per seed, at least 2.
      b: the same.
      seed: of the draws.
      resamples: as of ``permutation``.

    Raises:
      ValueError: as ``permutation``.
    """
    p = permutation(a, b, seed, resamples)
    a, b = _two(a, b, False)
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return p
    return max(p, float(stats.ttest_ind(a, b, equal_var=False).pvalue))


def _studentised(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|Welch's t| of each row: infinite where neither side has any spread but the means differ."""
    gap = np.abs(a.mean(axis=1) - b.mean(axis=1))
    gap[gap <= ROUNDING * np.maximum(np.ptp(a, axis=1), np.ptp(b, axis=1))] = 0.0
    error = np.sqrt(a.var(axis=1, ddof=1) / a.shape[1] + b.var(axis=1, ddof=1) / b.shape[1])
    flat = (np.ptp(a, axis=1) == 0) & (np.ptp(b, axis=1) == 0)
    return np.where(flat, np.where(gap == 0, 0.0, np.inf), gap / np.where(flat, 1.0, error))


def wilcoxon(a: Sequence[float], b: Sequence[float]) -> float:
    """p of Wilcoxon's signed-rank test, exact for any number of pairs, also with ties (which share their ranks).

    Pairs without a difference are dropped, as Wilcoxon did; with none left p is 1.

    Args:
      a: one score per seed, or per data set.
      b: the same ones in the same order.

    Raises:
      ValueError: a score is not finite, or pairs are incomplete.
    """
    ranks = signed_ranks(a, b)
    chances = np.ones(1)
    for rank in np.abs(ranks):  # The sum of the ranks of positive gaps, each in it with chance 1/2.
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    positive = int(ranks[ranks > 0].sum())
    return float(min(1.0, 2 * min(chances[: positive + 1].sum(), chances[positive:].sum())))


def signed_ranks(a: Sequence[float], b: Sequence[float]) -> np.ndarray:
    """Twice the ranks of the differences' sizes, whole also with ties, with their signs: their sum tells who is ahead.

    Args:
      a: as of ``wilcoxon``, as is ``b``.
      b: the same ones in the same order.

    Returns:
      int64, one of each pair that differs.
    """
    a, b = _two(a, b, True)
    gaps = a - b
    gaps = gaps[np.abs(gaps) > ROUNDING * max(np.ptp(a), np.ptp(b), np.abs(gaps).max())]
    if gaps.size == 0:
        return np.zeros(0, np.int64)
    # Gaps that differ by rounding alone are tied.
    sizes = np.abs(gaps)
    ranks = np.rint(2 * stats.rankdata(np.round(sizes / sizes.max(), 9))).astype(np.int64)
    return np.where(gaps > 0, ranks, -ranks)


def smallest_p(
    n: int, m: int | None = None, ranks: bool = False, resamples: int = RESAMPLES
) -> float:
    """The smallest p that the numbers of seeds allow, whatever the scores.

    Args:
      n: pairs, or the seeds of one method.
      m: seeds of the other, None for pairs.
      ranks: of ``wilcoxon``, which is exact for any n.
      resamples: draws of the permutation tests, where they are not exact.

    Returns:
      2 / 2^n for pairs; of all choices of n from n + m the share that two (n = m) or one can have; 1 / (resamples + 1)
      where that many are drawn; 1 where nothing can be tested.
    """
    if m is None:
        return min(1.0, 2 / 2**n) if ranks or 2**n <= EXACT else 1 / (resamples + 1)
    if min(n, m) < 2:
        return 1.0
    count = math.comb(n + m, n)
    return (1 + (n == m)) / count if count <= EXACT else 1 / (resamples + 1)


def least_seeds(level: float, paired: bool, ranks: bool = False, resamples: int = RESAMPLES) -> int:
    """The fewest seeds, where not ``paired`` of each method, whose p can be as small as a level; MOST_SEEDS if none.

    Args:
      level: divide that of a family by its size.
      paired: seeds are shared.
      ranks: as of ``smallest_p``.
      resamples: as of ``smallest_p``.
    """
    # Beyond, p is smaller than any level of use, or it never is.
    counts = range(2, 65)
    fits = (n for n in counts if smallest_p(n, None if paired else n, ranks, resamples) <= level)
    return next(fits, MOST_SEEDS)


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's (1979) corrected p for a family of comparisons: below alpha with any false one at most alpha.

    Args:
      p: of each comparison.

    Returns:
      float64 of the same length and order, at most 1.

    Raises:
      ValueError: a p is not in [0, 1].
    """
    p = np.array(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise UsageError(f"p must be a sequence of numbers in [0, 1], got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def seeds_needed(
    a: Sequence[float],
    b: Sequence[float],
    gap: float,
    paired: bool,
    power: float = 0.8,
    alpha: float = 0.05,
) -> Needed:
    """Seeds for each method with which a t test sees a true difference of ``gap`` with the given power.

    The spread is estimated from the seeds at hand, and a few say little about it: hence a range.

    Args:
      a: one score per seed of a first look.
      b: the same, where ``paired`` of the same seeds in the same order.
      gap: difference of means, above 0, in the score's own unit.
      paired: seeds are shared, and their differences are tested.
      power: chance to find the difference.
      alpha: level of the test; divide it by the number of comparisons for Bonferroni's bound on Holm's correction.

    Returns:
      The range; MOST_SEEDS stands for that many or more.

    Raises:
      ValueError: gap, power or alpha out of range, or too few scores to estimate a spread.
    """
    if not gap > 0:
        raise UsageError(f"gap must be above 0, got {gap}")
    if not 0 < alpha < power < 1:
        raise UsageError(
            f"alpha and power must be in (0, 1), alpha the smaller, got {alpha} and {power}"
        )
    a, b = _two(a, b, paired)
    if min(a.size, b.size) < 2:
        raise UsageError(f"a and b: must have at least 2 scores each, got {a.size} and {b.size}")
    if paired:
        sd, degrees = float((a - b).std(ddof=1)), a.size - 1
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
        # Far out scipy's noncentral t gives nan; the normal distribution is exact enough there.
        return (stats.norm.sf(edge - noncentral) if np.isnan(reached) else reached) >= power

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
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


@functools.lru_cache(maxsize=4)
def _subsets(n: int, k: int) -> np.ndarray:
    """All choices of k from n, bool (choices, n)."""
    chosen = np.array(list(itertools.combinations(range(n), k)))
    members = np.zeros((len(chosen), n), bool)
    members[np.arange(len(chosen))[:, None], chosen] = True
    return members


def _blocks(resamples: int) -> list[int]:
    """How many arrangements to draw at a time."""
    return [min(BLOCK, resamples - done) for done in range(0, resamples, BLOCK)]


def _share(hits: np.ndarray) -> float:
    """p from random draws: what was observed is one of the arrangements too (Phipson & Smyth 2010)."""
    return float((1 + hits.sum()) / (1 + hits.size))


def _two(
    a: Sequence[float], b: Sequence[float], paired: bool, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    a, b = finite(a, confidence), finite(b, confidence)
    if paired and a.size != b.size:
        raise UsageError(f"a and b must be pairs, got {a.size} and {b.size}")
    return a, b
