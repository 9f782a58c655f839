"""Differences of two methods on one data set: their tests, their correction, and what may be claimed."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxclust.evaluation.stats import two_methods
from jaxclust.runs.collect import Cell

if TYPE_CHECKING:
    from jaxclust.comparison.options import Options

CONSTANT = "sign flips against a constant"
"""Of seeds against a method without randomness."""


def chance(metric: str, clusters: int) -> float:
    """What a failed seed counts as in the worst case: ACC of guessing equal classes, 0 for the others."""
    return 1 / clusters if metric == "acc" else 0.0


def seed_scores(cell: Cell, metric: str) -> dict[int, float | None]:
    """Of each seed, None for one that failed; of a constant method the first alone."""
    scores = {seed: cell.rows[seed][metric] for seed in sorted(cell.rows)}
    return dict(list(scores.items())[:1]) if cell.constant else scores


def asked_scores(cell: Cell, metric: str) -> dict[int, float | None]:
    """``seed_scores``, with None for the seeds that were asked for and have no row too."""
    return dict(sorted((dict.fromkeys(cell.missing) | seed_scores(cell, metric)).items()))


def worst_scores(cell: Cell, metric: str, lowest: float) -> dict[int, float]:
    """Scores with failed and missing seeds as chance; never above ``lowest``, so that a failure betters no mean."""
    least = min(chance(metric, next(iter(cell.rows.values()))["clusters"]), lowest)
    return {
        seed: least if score is None else score
        for seed, score in asked_scores(cell, metric).items()
    }


def number(value: float) -> float | None:
    """None for nan; infinite ends, which JSON lacks, as None too."""
    return float(value) if np.isfinite(value) else None


class _Tested(NamedTuple):
    """What the verdict on a pair needs beside its row.

    Attributes:
      a: the scores tested.
      b: the other's.
      direction: above 0 where the test speaks for a.
      sound: mean of all of a's seeds that did not fail less that of b's.
      worst: the same with failed and missing seeds as chance; where there are none the tested difference.
    """

    a: list[float]
    b: list[float]
    direction: float
    sound: float
    worst: float


def pair(
    one: Cell, other: Cell, options: "Options", lowest: float, resamples: int
) -> dict[str, Any]:
    """A difference and its test, uncorrected.

    Args:
      one: a cell.
      other: another on the same data set.
      options: of the comparison.
      lowest: score of the data set, as of ``worst_scores``.
      resamples: of permutation tests that are not exact.

    Returns:
      The pair's row; where it is tested, with what ``correct`` needs, and takes out, under "tested".
    """
    scores = [asked_scores(cell, options.metric) for cell in (one, other)]
    a, b, kind = _sides(scores, one, other, options.test)
    row: dict[str, Any] = {"a": one.method, "b": other.method, "test": kind, "n": [len(a), len(b)]}
    names = ("difference", "low", "high", "superiority", "superiority_low", "superiority_high")
    names += (
        "p",
        "p_holm",
        "p_worst",
        "p_worst_holm",
        "smallest_p",
        "smallest_holm",
        "seeds_needed",
        "hint",
    )
    row |= dict.fromkeys(names) | {"verdict": "not tested"}
    if not a or not b:
        return row
    paired = kind not in ("unpaired", "none")
    gap = two_methods.difference(a, b, paired, 1 - options.alpha)
    row |= dict(zip(names[:3], map(number, gap), strict=True))
    if kind == "none":
        return row
    row |= dict(
        zip(names[3:6], map(number, two_methods.superiority(a, b, 1 - options.alpha)), strict=True)
    )
    row["p"] = row["p_worst"] = _p(kind, a, b, resamples)
    row["difference_worst"] = all_worst = row["difference"]
    row["smallest_p"] = two_methods.smallest_p(
        len(a), None if paired else len(b), kind == "wilcoxon", resamples
    )
    if any(cell.failed or cell.missing for cell in (one, other)):
        worst = [worst_scores(cell, options.metric, lowest) for cell in (one, other)]
        a_worst, b_worst, _ = _sides(worst, one, other, options.test)
        row["p_worst"] = _p(kind, a_worst, b_worst, resamples)
        row["difference_worst"] = float(np.mean(a_worst) - np.mean(b_worst))
        all_worst = _gap(_sound(worst))
    sound = _sound(scores)
    direction = (
        float(two_methods.signed_ranks(a, b).sum()) if kind == "wilcoxon" else row["difference"]
    )
    row["tested"] = _Tested(a, b, direction, _gap(sound), all_worst)
    return row


def _gap(sides: list[list[float]]) -> float:
    return float(np.mean(sides[0]) - np.mean(sides[1]))


def _sound(scores: list[dict[int, Any]]) -> list[list[float]]:
    """Of each side the seeds that did not fail."""
    return [[score for score in side.values() if score is not None] for side in scores]


def _sides(
    scores: list[dict[int, Any]], one: Cell, other: Cell, test: str
) -> tuple[list[float], list[float], str]:
    """The scores to test, and how: pairs of shared seeds, or one constant set against the other's seeds."""
    a, b = _sound(scores)
    if not a or not b or (one.constant and other.constant):
        return a, b, "none"
    if one.constant != other.constant:
        # A known number: each seed's distance from it.
        n = max(len(a), len(b))
        a, b = (side * n if cell.constant else side for side, cell in ((a, one), (b, other)))
        return a, b, "none" if n == 1 else "wilcoxon" if test == "wilcoxon" else CONSTANT
    # A few shared seeds among many others are not worth leaving those out for.
    if 2 * len(scores[0].keys() & scores[1].keys()) >= max(map(len, scores)) and test != "unpaired":
        both = [
            seed
            for seed in scores[0]
            if scores[0][seed] is not None and scores[1].get(seed) is not None
        ]
        if len(both) > 1:
            pairs = [[side[seed] for seed in both] for side in scores]
            return *pairs, "wilcoxon" if test == "wilcoxon" else "paired permutation"
        return a, b, "none"
    return a, b, "unpaired" if min(len(a), len(b)) > 1 else "none"


def _p(kind: str, a: list[float], b: list[float], resamples: int) -> float:
    if kind == "wilcoxon":
        return two_methods.wilcoxon(a, b)
    test = two_methods.unpaired if kind == "unpaired" else two_methods.paired_permutation
    return test(a, b, resamples=resamples)


def family_size(pairs: list[dict[str, Any]], options: "Options") -> int:
    """How many comparisons are corrected for."""
    return max(len(pairs), options.planned)


def correct(pairs: list[dict[str, Any]], options: "Options", resamples: int) -> None:
    """Holm over the family, what can and cannot be claimed, and the seeds needed."""
    size = family_size(pairs, options)
    for name, corrected in (
        ("p", "p_holm"),
        ("p_worst", "p_worst_holm"),
        ("smallest_p", "smallest_holm"),
    ):
        # Those planned but not made yet count as p = 1, wherever they will end.
        every = [pair[name] for pair in pairs] + [1.0] * (size - len(pairs))
        for pair, p in zip(pairs, two_methods.holm(every)[: len(pairs)], strict=True):
            pair[corrected] = float(p)
    for pair in pairs:
        tested, gap = pair.pop("tested"), pair["difference"]
        winner, loser = (pair["a"], pair["b"]) if gap > 0 else (pair["b"], pair["a"])
        if pair["smallest_holm"] > options.alpha:
            pair["verdict"] = "cannot be shown"
            pair["hint"] = _hint(pair, size, options, resamples)
        elif pair["p_holm"] > options.alpha:
            pair["verdict"] = "not shown"
        elif tested.direction * gap <= 0:
            pair["verdict"] = "not claimed: ranks and means point apart"
        elif (
            pair["p_worst_holm"] > options.alpha
            or min(pair["difference_worst"] * gap, tested.worst * gap) <= 0
        ):
            pair["verdict"] = "not claimed: it hangs on failed or missing seeds"
        elif tested.sound * gap <= 0:
            pair["verdict"] = "not claimed: it hangs on seeds that only one has"
        else:
            pair["verdict"] = f"{winner} beats {loser}"
        paired, alpha = pair["test"] != "unpaired", options.alpha / size
        needed = two_methods.seeds_needed(
            tested.a, tested.b, options.difference, paired, alpha=alpha
        )
        # What the t test sees, the test made here must be able to say.
        least = two_methods.least_seeds(alpha, paired, pair["test"] == "wilcoxon", resamples)
        pair["seeds_needed"] = [max(least, n) for n in needed]


def _hint(pair: dict[str, Any], family: int, options: "Options", resamples: int) -> str:
    paired = pair["test"] != "unpaired"
    count = two_methods.least_seeds(
        options.alpha / family, paired, pair["test"] == "wilcoxon", resamples
    )
    kind = {"unpaired": "seeds a method", CONSTANT: "seeds"}.get(pair["test"], "shared seeds")
    rule = f"a p below {options.alpha:g} after correction"
    return f"alone in a family of {family} a difference needs at least {count} {kind} for {rule}"
