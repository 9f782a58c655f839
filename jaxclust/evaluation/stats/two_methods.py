"""Two methods: the difference of their scores, tests of it, and the correction for several tests.

All tests are two-sided. Every p is a probability under the test's own hypothesis for the seeds at
hand; ``power.smallest_p`` is what the number of seeds alone allows.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from jaxclust.errors import UsageError
from jaxclust.evaluation.stats.bounds import Bounds, difference_bounds, inside
from jaxclust.evaluation.stats.one_method import RESAMPLES, ROUNDING, Scores, two_samples

EXACT = 200_000
"""Number of arrangements up to which a permutation test goes through all of them: 17 pairs, or 10
seeds against 10."""
BLOCK = 20_000
"""Number of arrangements drawn at once, so that memory does not grow with ``resamples``."""


class Difference(NamedTuple):
    """mean(a) - mean(b) with its interval.

    The interval is Student's t, or Welch's where the seeds are not shared.

    Attributes:
      mean: the difference of the means.
      low: lower end of the interval; nan where a method has one seed.
      high: upper end.
    """

    mean: float
    low: float
    high: float


class Superiority(NamedTuple):
    """Probability that a run of a beats a run of b, where a tie counts half, with its interval.

    Attributes:
      probability: in [0, 1].
      low: lower end of the interval; nan where a method has one seed.
      high: upper end.
    """

    probability: float
    low: float
    high: float


def difference(
    a: Scores, b: Scores, paired: bool, confidence: float = 0.95, bounds: Bounds | None = None
) -> Difference:
    """mean(a) - mean(b), in the score's own unit.

    Args:
      a: one score per seed.
      b: one score per seed, where ``paired`` of the same seeds in the same order.
      paired: whether the interval is that of the seeds' differences.
      confidence: confidence of the interval, between 0 and 1.
      bounds: least and greatest value of the score; ``bounds.inside`` keeps the interval where
        differences of such scores can be. None for a score without bounds.

    Raises:
      UsageError: a score is not finite, or pairs are incomplete.
    """
    a, b = two_samples(a, b, paired, confidence)
    mean = float(a.mean() - b.mean())
    if min(a.size, b.size) < 2:
        return Difference(mean, np.nan, np.nan)
    error, degrees = standard_error(a, b, paired)
    half = float(stats.t.ppf((1 + confidence) / 2, degrees) * error)
    limits = None if bounds is None else difference_bounds(bounds)
    return Difference(mean, *inside(mean, mean - half, mean + half, limits))


def standard_error(a: np.ndarray, b: np.ndarray, paired: bool) -> tuple[float, float]:
    """Standard error of mean(a) - mean(b) and its degrees of freedom; Welch's where not paired.

    Args:
      a: checked scores, float64 (n,), at least 2.
      b: checked scores, float64 (m,), at least 2.
      paired: whether they are of the same seeds.
    """
    if paired:
        return float((a - b).std(ddof=1) / a.size**0.5), a.size - 1
    parts = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
    error = float(parts.sum() ** 0.5)
    weights = parts**2 / np.array([a.size - 1, b.size - 1])
    degrees = float(parts.sum() ** 2 / weights.sum()) if error > 0 else a.size + b.size - 2
    return error, degrees


def superiority(a: Scores, b: Scores, confidence: float = 0.95) -> Superiority:
    """P(a > b) + P(a = b) / 2 for one run of each, with Brunner and Munzel's interval (2000).

    Where every score of one method lies above every score of the other, their estimate of the
    variance is 0, which would claim certainty. The bound is then Clopper and Pearson's for min(n)
    duels of two runs that were all won. If nearly all duels were won, the bound is never above
    that.

    Args:
      a: one score per seed.
      b: one score per seed.
      confidence: confidence of the interval, which is cut to [0, 1].

    Raises:
      UsageError: a score is not finite.
    """
    a, b = two_samples(a, b, False, confidence)
    together = stats.rankdata(np.concatenate([a, b]))
    above_a = together[: a.size] - stats.rankdata(a)
    above_b = together[a.size :] - stats.rankdata(b)
    probability = float(above_a.mean() / b.size)
    if min(a.size, b.size) < 2:
        return Superiority(probability, np.nan, np.nan)
    most = ((1 - confidence) / 2) ** (1 / min(a.size, b.size))
    if probability == 1.0:
        return Superiority(probability, most, 1.0)
    if probability == 0.0:
        return Superiority(probability, 0.0, 1 - most)
    parts = np.array(
        [above_a.var(ddof=1) / b.size**2 / a.size, above_b.var(ddof=1) / a.size**2 / b.size]
    )
    if parts.sum() == 0:  # All scores are equal.
        return Superiority(probability, 0.0, 1.0)
    degrees = parts.sum() ** 2 / (parts**2 / np.array([a.size - 1, b.size - 1])).sum()
    half = float(stats.t.ppf((1 + confidence) / 2, degrees) * parts.sum() ** 0.5)
    low = max(0.0, min(probability - half, most))
    high = min(1.0, max(probability + half, 1 - most))
    return Superiority(probability, low, high)


def paired_permutation(a: Scores, b: Scores, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """p of the mean difference of shared seeds, if each pair's two scores could be exchanged.

    It is exact up to 17 pairs; beyond, it comes from random draws, and the observed signs count
    among them. Studentizing would change nothing: under changes of sign, t is a monotone function
    of the mean. Against a known number, b the same throughout, the test assumes that the scores lie
    symmetrically around their mean.

    Args:
      a: one score per seed.
      b: one score of each of the same seeds, in the same order.
      seed: seed of the draws.
      resamples: number of draws, where the test is not exact.

    Raises:
      UsageError: a score is not finite, or pairs are incomplete.
    """
    a, b = two_samples(a, b, True)
    gaps = a - b
    slack = ROUNDING * np.abs(gaps).sum()
    observed = abs(gaps.sum()) - slack
    if 2**gaps.size <= EXACT:
        sums = np.zeros(1)
        for gap in gaps:
            sums = np.concatenate([sums + gap, sums - gap])
        return float(np.mean(np.abs(sums) >= observed))
    draws = np.random.default_rng(seed)
    hits = []
    for size in _blocks(resamples):
        signs = 1 - 2 * draws.integers(0, 2, (size, gaps.size), dtype=np.int8)
        hits.append(np.abs(signs @ gaps) >= observed)
    return _share(np.concatenate(hits))


def permutation(a: Scores, b: Scores, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """p of the difference of means in units of Welch's standard error, over permutations.

    Because it is studentized, it keeps its level for large samples also where the spreads differ
    (Janssen 1997), which a plain permutation of means does not; for small samples see ``unpaired``.
    It is exact up to 10 seeds against 10; beyond, it comes from random draws, and the observed
    arrangement counts among them.

    Args:
      a: one score per seed, at least 2.
      b: one score per seed, at least 2.
      seed: seed of the draws.
      resamples: number of draws, where the test is not exact.

    Raises:
      UsageError: a score is not finite, or one side has fewer than 2.
    """
    a, b = two_samples(a, b, False)
    if min(a.size, b.size) < 2:
        raise UsageError(f"a and b: must have at least 2 scores each, got {a.size} and {b.size}")
    scores = np.concatenate([a, b])
    observed = _studentized(a[None], b[None]) * (1 - ROUNDING)

    def hits(members: np.ndarray) -> np.ndarray:
        """Whether t of each arrangement, bool (arrangements, n + m), is as large as observed."""
        everyone = np.broadcast_to(scores, members.shape)
        first = everyone[members].reshape(-1, a.size)
        second = everyone[~members].reshape(-1, b.size)
        return _studentized(first, second) >= observed

    if math.comb(scores.size, a.size) <= EXACT:
        return float(hits(_subsets(scores.size, a.size)).mean())
    draws = np.random.default_rng(seed)
    first = np.arange(scores.size) < a.size
    blocks = [
        hits(draws.permuted(np.tile(first, (size, 1)), axis=1)) for size in _blocks(resamples)
    ]
    return _share(np.concatenate(blocks))


def unpaired(a: Scores, b: Scores, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """The larger p of ``permutation`` and of Welch's t test, where one side has a spread.

    If a few scores spread far and many hardly do, the few may all lie on one side of the many, with
    a probability that does not fall with the level. No permutation then has a larger t, and the
    permutation test alone would claim too much.

    Args:
      a: one score per seed, at least 2.
      b: one score per seed, at least 2.
      seed: seed of the draws.
      resamples: number of draws, as of ``permutation``.

    Raises:
      UsageError: as ``permutation``.
    """
    p = permutation(a, b, seed, resamples)
    a, b = two_samples(a, b, False)
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return p
    welch: Any = stats.ttest_ind(a, b, equal_var=False)  # SciPy's type hints lack its fields.
    return max(p, float(welch.pvalue))


def _studentized(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|Welch's t| of each row: infinite where neither side has a spread and the means differ."""
    gap = np.abs(a.mean(axis=1) - b.mean(axis=1))
    gap[gap <= ROUNDING * np.maximum(np.ptp(a, axis=1), np.ptp(b, axis=1))] = 0.0
    error = np.sqrt(a.var(axis=1, ddof=1) / a.shape[1] + b.var(axis=1, ddof=1) / b.shape[1])
    flat = (np.ptp(a, axis=1) == 0) & (np.ptp(b, axis=1) == 0)
    return np.where(flat, np.where(gap == 0, 0.0, np.inf), gap / np.where(flat, 1.0, error))


def wilcoxon(a: Scores, b: Scores) -> float:
    """p of Wilcoxon's signed-rank test, exact for any number of pairs, also with ties.

    Tied differences share their ranks. Pairs without a difference are dropped, as Wilcoxon did; if
    none is left, p is 1.

    Args:
      a: one score per seed, or per data set.
      b: the scores of the same ones, in the same order.

    Raises:
      UsageError: a score is not finite, or pairs are incomplete.
    """
    return float(min(1.0, 2 * min(signed_rank_tails(a, b))))


def signed_rank_tails(a: Scores, b: Scores) -> tuple[float, float]:
    """The two one-sided p of ``wilcoxon``: that a is below b, and that a is above b.

    Args:
      a: one score per seed, or per data set.
      b: the scores of the same ones, in the same order.

    Raises:
      UsageError: as ``wilcoxon``.
    """
    ranks = signed_ranks(a, b)
    chances = np.ones(1)
    # Each rank is in the sum of the positive gaps' ranks with probability 1/2.
    for rank in np.abs(ranks):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    positive = int(ranks[ranks > 0].sum())
    below = float(chances[: positive + 1].sum())
    above = float(chances[positive:].sum())
    return min(1.0, below), min(1.0, above)


def signed_ranks(a: Scores, b: Scores) -> np.ndarray:
    """Twice the ranks of the differences' sizes, with the differences' signs.

    They are whole numbers also with ties. Their sum is above 0 where the ranks speak for a.

    Args:
      a: one score per seed, or per data set.
      b: the scores of the same ones, in the same order.

    Returns:
      int64, a rank for each pair that differs.
    """
    a, b = two_samples(a, b, True)
    gaps = a - b
    gaps = gaps[np.abs(gaps) > ROUNDING * max(np.ptp(a), np.ptp(b), np.abs(gaps).max())]
    if gaps.size == 0:
        return np.zeros(0, np.int64)
    # Gaps that differ only by rounding are tied.
    sizes = np.abs(gaps)
    ranks = np.rint(2 * stats.rankdata(np.round(sizes / sizes.max(), 9))).astype(np.int64)
    return np.where(gaps > 0, ranks, -ranks)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Corrected p of a family of comparisons, by Holm (1979).

    The probability that any true null hypothesis has a corrected p below alpha is at most alpha.

    Args:
      p: p of each comparison.

    Returns:
      float64 of the same length and order, at most 1.

    Raises:
      UsageError: a p is not in [0, 1].
    """
    p = np.array(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise UsageError(f"p must be a sequence of numbers in [0, 1], got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


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
    """p from random draws; the observed arrangement counts among them (Phipson & Smyth 2010)."""
    return float((1 + hits.sum()) / (1 + hits.size))
