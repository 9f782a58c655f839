"""Differences of two methods on one data set: their tests, correction, and what may be claimed."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxclust.comparison.options import Options, Test
from jaxclust.comparison.types import Pair
from jaxclust.evaluation.stats import bounds, equivalence, power, two_methods
from jaxclust.runs.cells import Cell

CONSTANT = "sign flips against a constant"
"""The test of a method's seeds against a method without randomness."""
CANNOT = "cannot be shown"
"""The verdict where so few seeds could not show any difference."""
NOT_SHOWN = "not shown"
"""The verdict where the seeds do not show a difference that they could have shown."""

SeedScores = Mapping[int, float | None]
"""The score of each seed; None for one that failed or has no row."""


def chance(metric: str, clusters: int) -> float:
    """What a failed seed counts as in the worst case.

    For ACC it is that of guessing classes of equal size; for the other metrics it is 0.
    """
    return 1 / clusters if metric == "acc" else 0.0


def seed_scores(cell: Cell, metric: str) -> dict[int, float | None]:
    """The score of each seed, None for a failed one; of a constant method the first seed alone."""
    scores = {seed: cell.rows[seed].score(metric) for seed in sorted(cell.rows)}
    return dict(list(scores.items())[:1]) if cell.constant else scores


def asked_scores(cell: Cell, metric: str) -> dict[int, float | None]:
    """``seed_scores``, and None for each seed that was asked for and has no row."""
    return dict(sorted((dict.fromkeys(cell.missing) | seed_scores(cell, metric)).items()))


def worst_scores(cell: Cell, metric: str, lowest: float) -> dict[int, float]:
    """Scores with failed and missing seeds as chance.

    Args:
      cell: the seeds' rows.
      metric: one of the scores.
      lowest: the lowest score on the data set. Chance never counts as more, so that a failure
        improves no mean.
    """
    least = min(chance(metric, cell.first.clusters), lowest)
    return {
        seed: least if score is None else score
        for seed, score in asked_scores(cell, metric).items()
    }


def number(value: float) -> float | None:
    """None for nan and for infinite ends, which JSON lacks."""
    return float(value) if np.isfinite(value) else None


class Evidence(NamedTuple):
    """What a verdict needs beside the pair.

    Attributes:
      a: the scores of a that are tested.
      b: the scores of b that are tested.
      difference: mean(a) - mean(b) of them.
      direction: above 0 where the test speaks for a.
      finished: mean(a) - mean(b) of all seeds that did not fail.
      difference_worst: the difference with failed and missing seeds as chance.
      worst: mean(a) - mean(b) of all seeds, with failed and missing ones as chance; where there are
        none, the tested difference.
      p: p of the test.
      p_worst: p with failed and missing seeds as chance.
      smallest_p: the smallest p that the numbers of seeds allow.
      p_equal: p of the test of equality; 1 where none is asked for.
      p_equal_worst: the same with failed and missing seeds as chance.
    """

    a: list[float]
    b: list[float]
    difference: float
    direction: float
    finished: float
    difference_worst: float
    worst: float
    p: float
    p_worst: float
    smallest_p: float
    p_equal: float = 1.0
    p_equal_worst: float = 1.0


class Tested(NamedTuple):
    """A pair before the correction.

    Attributes:
      pair: what is known of it.
      evidence: what the correction and the verdict need; None where nothing could be tested.
    """

    pair: Pair
    evidence: Evidence | None


def compare_pair(
    first: Cell, second: Cell, options: Options, lowest: float, resamples: int
) -> Tested:
    """A difference and its test, uncorrected.

    Args:
      first: a cell.
      second: another on the same data set.
      options: of the comparison.
      lowest: the lowest score on the data set, see ``worst_scores``.
      resamples: number of draws of permutation tests that are not exact.
    """
    cells = (first, second)
    scores = tuple(asked_scores(cell, options.metric) for cell in cells)
    a, b, kind = _sides(scores, cells, options.test)
    pair = Pair(first.method, second.method, kind, (len(a), len(b)))
    if not a or not b:
        return Tested(pair, None)
    paired = kind not in ("unpaired", "none")
    limits = bounds.SCORE_BOUNDS[options.metric]
    gap = two_methods.difference(a, b, paired, 1 - options.alpha, limits)
    pair = dataclasses.replace(
        pair, difference=number(gap.mean), low=number(gap.low), high=number(gap.high)
    )
    if kind == "none":
        return Tested(pair, None)
    often = two_methods.superiority(a, b, 1 - options.alpha)
    margin = options.equal_within
    evidence = _evidence(a, b, kind, resamples)
    if margin is not None:
        p_equal = _p_equal(kind, a, b, margin)
        evidence = evidence._replace(p_equal=p_equal, p_equal_worst=p_equal)
    if any(cell.failed or cell.missing for cell in cells):
        worst = tuple(worst_scores(cell, options.metric, lowest) for cell in cells)
        a_worst, b_worst, _ = _sides(worst, cells, options.test)
        evidence = evidence._replace(
            p_worst=_p(kind, a_worst, b_worst, resamples),
            difference_worst=float(np.mean(a_worst) - np.mean(b_worst)),
            worst=_gap(*_finished(worst)),
        )
        if margin is not None:
            evidence = evidence._replace(p_equal_worst=_p_equal(kind, a_worst, b_worst, margin))
    evidence = evidence._replace(finished=_gap(*_finished(scores)))
    pair = dataclasses.replace(
        pair,
        superiority=number(often.probability),
        superiority_low=number(often.low),
        superiority_high=number(often.high),
        p=evidence.p,
        p_worst=evidence.p_worst,
        smallest_p=evidence.smallest_p,
        difference_worst=evidence.difference_worst,
        p_equal=None if margin is None else evidence.p_equal,
    )
    return Tested(pair, evidence)


def _evidence(a: list[float], b: list[float], kind: str, resamples: int) -> Evidence:
    """The evidence of scores of which none failed or is missing."""
    paired = kind != "unpaired"
    ranks = kind == "wilcoxon"
    p = _p(kind, a, b, resamples)
    difference = two_methods.difference(a, b, paired).mean
    direction = float(two_methods.signed_ranks(a, b).sum()) if ranks else difference
    smallest = power.smallest_p(len(a), None if paired else len(b), ranks, resamples)
    return Evidence(
        a=a,
        b=b,
        difference=difference,
        direction=direction,
        finished=difference,
        difference_worst=difference,
        worst=difference,
        p=p,
        p_worst=p,
        smallest_p=smallest,
    )


def _gap(a: list[float], b: list[float]) -> float:
    return float(np.mean(a) - np.mean(b))


def _finished(scores: tuple[SeedScores, ...]) -> tuple[list[float], list[float]]:
    """The scores of each side's seeds that did not fail."""
    first, second = scores
    return (
        [score for score in first.values() if score is not None],
        [score for score in second.values() if score is not None],
    )


def _sides(
    scores: tuple[SeedScores, ...], cells: tuple[Cell, Cell], test: Test
) -> tuple[list[float], list[float], str]:
    """The scores to test, and how.

    They are pairs of shared seeds, or one constant beside each of the other's seeds, or all scores.

    Args:
      scores: of each side.
      cells: of each side.
      test: which test is asked for.
    """
    first, second = scores
    a, b = _finished(scores)
    constant = [cell.constant for cell in cells]
    if not a or not b or all(constant):
        return a, b, "none"
    if any(constant):
        # The constant is a known number: the distance of each seed from it is tested.
        n = max(len(a), len(b))
        a = a * n if constant[0] else a
        b = b * n if constant[1] else b
        return a, b, "none" if n == 1 else "wilcoxon" if test == "wilcoxon" else CONSTANT
    # If only a few of many seeds are shared, pairing would leave out too many.
    half = 2 * len(first.keys() & second.keys()) >= max(len(first), len(second))
    if half and test != "unpaired":
        both = [
            (score, other)
            for score, other in ((first[seed], second.get(seed)) for seed in first)
            if score is not None and other is not None
        ]
        if len(both) < 2:
            return a, b, "none"
        kind = "wilcoxon" if test == "wilcoxon" else "paired permutation"
        return [score for score, _ in both], [other for _, other in both], kind
    return a, b, "unpaired" if min(len(a), len(b)) > 1 else "none"


def _p(kind: str, a: list[float], b: list[float], resamples: int) -> float:
    if kind == "wilcoxon":
        return two_methods.wilcoxon(a, b)
    test = two_methods.unpaired if kind == "unpaired" else two_methods.paired_permutation
    return test(a, b, resamples=resamples)


def _p_equal(kind: str, a: list[float], b: list[float], margin: float) -> float:
    if kind == "wilcoxon":
        return equivalence.ranks_equal_within(a, b, margin)
    return equivalence.equal_within(a, b, margin, kind != "unpaired")


def family_size(family: Sequence[Tested], options: Options) -> int:
    """How many comparisons are corrected for: those that are tested, or those planned."""
    return max(sum(tested.evidence is not None for tested in family), options.planned)


def correct(family: Sequence[Tested], options: Options, resamples: int) -> list[Pair]:
    """The pairs of a family with corrected p, verdicts and the seeds needed.

    The correction is Holm's, or with tests of equality Shaffer's of both tests of all pairs.

    Args:
      family: the pairs; those that could not be tested stay as they are.
      options: of the comparison.
      resamples: number of draws of permutation tests that are not exact.
    """
    size = family_size(family, options)
    evidence = [tested.evidence for tested in family if tested.evidence is not None]
    margin = options.equal_within
    nothing = None if margin is None else [1.0] * len(evidence)
    equal = None if margin is None else [one.p_equal for one in evidence]
    equal_worst = None if margin is None else [one.p_equal_worst for one in evidence]
    differ, same = _corrected([one.p for one in evidence], equal, size)
    p = iter(differ)
    p_equal = iter(same)
    worst = _corrected([one.p_worst for one in evidence], equal_worst, size)
    p_worst, p_equal_worst = map(iter, worst)
    smallest_p = iter(_corrected([one.smallest_p for one in evidence], nothing, size)[0])
    pairs = []
    for pair, one in family:
        if one is not None:
            p_holm = next(p)
            pair = dataclasses.replace(
                pair,
                p_holm=p_holm,
                p_worst_holm=next(p_worst),
                p_equal_holm=next(p_equal),
                p_equal_worst_holm=next(p_equal_worst),
                # A test of equality that rejects can leave the other test with less correction.
                smallest_holm=min(next(smallest_p), p_holm),
                seeds_needed=_seeds_needed(pair, one, size, options, resamples),
            )
            pair = dataclasses.replace(pair, verdict=_verdict(pair, one, options))
            if pair.verdict == CANNOT:
                pair = dataclasses.replace(pair, hint=_hint(pair, size, options, resamples))
        pairs.append(pair)
    return pairs


def _corrected(
    p: list[float], p_equal: list[float] | None, size: int
) -> tuple[list[float], Sequence[float | None]]:
    """Corrected p of differences and of equality; planned comparisons count as p = 1.

    Args:
      p: p of each difference.
      p_equal: p of each test of equality; None where none is asked for.
      size: of the family.
    """
    planned = [1.0] * (size - len(p))
    if p_equal is None:
        corrected = two_methods.holm(p + planned)
        return corrected[: len(p)].tolist(), [None] * len(p)
    differ, equal = equivalence.shaffer(p + planned, p_equal + planned)
    return differ[: len(p)].tolist(), equal[: len(p)].tolist()


def _verdict(pair: Pair, evidence: Evidence, options: Options) -> str:
    """What may be claimed of a pair whose p are corrected."""
    alpha = options.alpha
    difference = _difference_verdict(pair, evidence, alpha)
    if options.equal_within is None or pair.p_equal_holm is None or pair.p_equal_holm > alpha:
        return difference
    margin = f"{options.equal_within:g}"
    far = max(abs(evidence.finished), abs(evidence.worst), abs(evidence.difference_worst))
    if _above(pair.p_equal_worst_holm, alpha) or far >= options.equal_within:
        if difference in (CANNOT, NOT_SHOWN):
            return f"not claimed: equality within {margin} hangs on failed or missing seeds"
        return difference
    if difference == _beats(pair, evidence):
        return f"{difference} by less than {margin}"
    return f"equal within {margin}"


def _difference_verdict(pair: Pair, evidence: Evidence, alpha: float) -> str:
    """What may be claimed of a difference."""
    gap = evidence.difference
    if _above(pair.p_holm, alpha):
        return CANNOT if _above(pair.smallest_holm, alpha) else NOT_SHOWN
    if evidence.direction * gap <= 0:
        return "not claimed: ranks and means point apart"
    worst = min(evidence.difference_worst * gap, evidence.worst * gap)
    if _above(pair.p_worst_holm, alpha) or worst <= 0:
        return "not claimed: it hangs on failed or missing seeds"
    if evidence.finished * gap <= 0:
        return "not claimed: it hangs on seeds that only one has"
    return _beats(pair, evidence)


def _beats(pair: Pair, evidence: Evidence) -> str:
    """Which method has the higher mean, as a sentence."""
    winner, loser = (pair.a, pair.b) if evidence.difference > 0 else (pair.b, pair.a)
    return f"{winner} beats {loser}"


def _above(p: float | None, alpha: float) -> bool:
    return p is not None and p > alpha


def _seeds_needed(
    pair: Pair, evidence: Evidence, family: int, options: Options, resamples: int
) -> tuple[int, ...]:
    """Seeds of each method with which the difference asked for is found in such a family."""
    paired = pair.test != "unpaired"
    alpha = options.alpha / family
    needed = power.seeds_needed(evidence.a, evidence.b, options.difference, paired, alpha=alpha)
    # The number is a t test's. The test made here must be able to show the difference, too.
    least = power.least_seeds(alpha, paired, pair.test == "wilcoxon", resamples)
    return tuple(max(least, n) for n in needed)


def _hint(pair: Pair, family: int, options: Options, resamples: int) -> str:
    """How many seeds the smallest p asks for, where these seeds are too few."""
    paired = pair.test != "unpaired"
    count = power.least_seeds(options.alpha / family, paired, pair.test == "wilcoxon", resamples)
    kind = {"unpaired": "seeds a method", CONSTANT: "seeds"}.get(pair.test, "shared seeds")
    rule = f"a p below {options.alpha:g} after correction"
    return f"alone in a family of {family} a difference needs at least {count} {kind} for {rule}"
