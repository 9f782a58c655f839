"""``jaxclust compare RUN...``: scores of methods with their intervals, and which differences the seeds can carry."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxclust.comparison import pairs
from jaxclust.comparison.options import MOST_RESAMPLES, Options
from jaxclust.errors import UsageError
from jaxclust.evaluation import stats
from jaxclust.evaluation.stats import many_methods, two_methods
from jaxclust.runs.collect import Cell

UNSCORED = "without true labels there are no scores to compare: {}"
"""Note on runs."""


def with_scores(found: Sequence[Cell], metric: str) -> tuple[list[Cell], str]:
    """The cells that have scores or whose seeds all failed, and the names of those without true labels."""
    sound = [[row for row in cell.rows.values() if row["failed"] is None] for cell in found]
    unscored = [
        cell
        for cell, rows in zip(found, sound, strict=True)
        if rows and all(row[metric] is None for row in rows)
    ]
    names = ", ".join(f"{cell.method} on {cell.data}" for cell in unscored)
    return [cell for cell in found if cell not in unscored], names


def comparison(
    found: Sequence[Cell], options: Options, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything the tables show, as JSON can hold it (None where there is no number).

    Args:
      found: cells as ``cells.read`` gives them.
      options: what is compared.
      notes: what was left out in reading.

    Returns:
      "data": for each data set its methods' summaries and pairwise differences, and how many comparisons these were
      corrected with, "family"; "ranks": over data sets, None for one; "notes".

    Raises:
      ValueError: no labels, or a baseline that is not there.
    """
    notes = list(notes)
    found, unscored = with_scores(found, options.metric)
    if not found:
        raise UsageError(
            f"metric: {options.metric} needs true labels, {unscored} had none; jaxclust report shows such runs: "
            "agreement between seeds, silhouette, final loss"
        )
    if unscored:
        notes.append(UNSCORED.format(unscored))
    methods = list(dict.fromkeys(cell.method for cell in found))
    if options.baseline is not None and options.baseline not in methods:
        raise UsageError(f"baseline: must be one of {', '.join(methods)}, got {options.baseline!r}")
    groups = _by_data(found)
    counts = [len(_pairs(group, options)) for _, group in groups]
    # Enough draws for a p that a family of this size lets pass.
    most = max(sum(counts) if options.family == "all" else max(counts), options.planned)
    resamples = max(stats.RESAMPLES, math.ceil(5 * most / options.alpha) - 1)
    if resamples > MOST_RESAMPLES:
        least = 5 * most / MOST_RESAMPLES
        raise UsageError(
            f"alpha: must be at least {least:g} for {most} comparisons, got {options.alpha}"
        )
    data = [_data_set(name, group, options, resamples) for name, group in groups]
    hints = []
    for family in [data] if options.family == "all" else [[one] for one in data]:
        pairs = [pair for one in family for pair in one["pairs"] if pair["p"] is not None]
        pairs.correct(pairs, options, resamples)
        hints += [pair["hint"] for pair in pairs if pair["hint"]][:1]
        for one in family:
            one["family"] = pairs.family_size(pairs, options)
    notes += [note for one in data for note in _data_notes(one)] + list(dict.fromkeys(hints))
    ranks = _ranks(data, options)
    if ranks and ranks["left_out"]:
        notes.append(
            f"ranks leave out, as without a score on some data set: {', '.join(ranks['left_out'])}"
        )
    return {
        "metric": options.metric,
        "alpha": options.alpha,
        "interval": options.interval,
        "test": options.test,
        "difference": options.difference,
        "baseline": options.baseline,
        "family": options.family,
        "data": data,
        "ranks": ranks,
        "notes": notes,
    }


def _by_data(found: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    names = dict.fromkeys(cell.data for cell in found)
    return [(name, [cell for cell in found if cell.data == name]) for name in names]


def _pairs(group: list[Cell], options: Options) -> list[tuple[Cell, Cell]]:
    """The cells of a data set that are compared: all with all, or each with the baseline."""
    if options.baseline is None:
        return list(itertools.combinations(group, 2))
    return [
        (cell, other)
        for other in group
        if other.method == options.baseline
        for cell in group
        if cell.method != options.baseline
    ]


def _data_set(name: str, group: list[Cell], options: Options, resamples: int) -> dict[str, Any]:
    first = next(iter(group[0].rows.values()))
    every = [score for cell in group for score in pairs.seed_scores(cell, options.metric).values()]
    lowest = min((score for score in every if score is not None), default=math.inf)
    return {
        "name": name,
        "n": first["n"],
        "methods": [_method(cell, options, lowest) for cell in group],
        "pairs": [
            pairs.pair(one, other, options, lowest, resamples)
            for one, other in _pairs(group, options)
        ],
    }


def _method(cell: Cell, options: Options, lowest: float) -> dict[str, Any]:
    scores = pairs.seed_scores(cell, options.metric)
    worst = list(pairs.worst_scores(cell, options.metric, lowest).values())
    values = [score for score in scores.values() if score is not None]
    confidence = 1 - options.alpha
    row = {
        "method": cell.method,
        "clusters": next(iter(cell.rows.values()))["clusters"],
        "seeds": {str(seed): score for seed, score in scores.items()},
        "n": len(values),
        "constant": cell.constant,
        "failed": {str(seed): place for seed, place in cell.failed.items()},
        "missing": list(cell.missing),
        "worst_mean": float(np.mean(worst)),
    }
    names = ("mean", "sd", "low", "high", "run_low", "run_high", "median", "iqm")
    if not values:
        return row | dict.fromkeys(names)
    n, mean, sd, low, high = stats.summary(values, confidence)
    if options.interval == "bootstrap-t" and n > 1:
        # Enough draws for ends so far out.
        draws = max(stats.RESAMPLES, math.ceil(10 / options.alpha) - 1)
        low, high = stats.bootstrap_t(values, confidence, draws)
    one_more = stats.prediction_interval(values, confidence=confidence)
    numbers = (
        mean,
        sd,
        low,
        high,
        *one_more,
        stats.median(values),
        stats.interquartile_mean(values),
    )
    return row | {name: pairs.number(value) for name, value in zip(names, numbers, strict=True)}


def _data_notes(data: dict[str, Any]) -> list[str]:
    notes = []
    for row in data["methods"]:
        where = f"{row['method']} on {data['name']}"
        if row["failed"]:
            seeds = ", ".join(f"seed {seed} ({place})" for seed, place in row["failed"].items())
            mean = "none" if row["mean"] is None else f"{row['mean']:.4f}"
            notes.append(
                f"{where}: failed {seeds}; mean without them {mean}, as chance {row['worst_mean']:.4f}"
            )
        elif row["missing"]:
            seeds = ", ".join(map(str, row["missing"]))
            notes.append(
                f"{where}: no row of seeds {seeds}; mean with them as chance {row['worst_mean']:.4f}"
            )
        if row["constant"]:
            notes.append(f"{where} draws no random number: one value, no interval")
        elif row["n"] == 1:
            notes.append(f"{where}: one seed has no interval and cannot be compared")
    seeds = {row["method"]: row["seeds"].keys() for row in data["methods"] if not row["constant"]}
    for pair in data["pairs"]:
        a, b = (seeds.get(pair[side], set()) for side in "ab")
        if a and b and a != b and pair["test"] not in ("unpaired", "none"):
            counts = f"{pair['n'][0]} sound seeds that they share, of {len(a)} and {len(b)}"
            notes.append(
                f"{pair['a']} and {pair['b']} on {data['name']}: difference and test are of the {counts}"
            )
    clusters = {row["method"]: row["clusters"] for row in data["methods"]}
    if len(set(clusters.values())) > 1:
        each = ", ".join(f"{method} {count}" for method, count in clusters.items())
        notes.append(f"{data['name']}: the methods have different numbers of clusters ({each})")
    return notes


def _ranks(data: list[dict[str, Any]], options: Options) -> dict[str, Any] | None:
    """Methods over data sets, seeds pooled to their mean: ranks, Friedman, and which differ; the worst case beside."""
    values = [
        {row["method"]: row for row in one["methods"] if row["mean"] is not None} for one in data
    ]
    methods = [method for method in values[0] if all(method in one for one in values)]
    if len(data) < 2 or len(methods) < 2:
        return None
    scores, worst = (
        np.array([[one[method][name] for method in methods] for one in values])
        for name in ("mean", "worst_mean")
    )
    few = len(data) < many_methods.LEAST_DATA_SETS
    pairs = [
        pair
        for pair in itertools.combinations(range(len(methods)), 2)
        if options.baseline is None or options.baseline in (methods[pair[0]], methods[pair[1]])
    ]
    failed = any(
        one[method]["failed"] or one[method]["missing"] for one in values for method in methods
    )
    columns = [_rank_p(table, pairs, few) for table in ((scores, worst) if failed else (scores,))]
    return {
        "data": [one["name"] for one in data],
        "methods": methods,
        "left_out": sorted(
            {row["method"] for one in data for row in one["methods"]} - set(methods)
        ),
        "ranks": many_methods.ranks(scores).tolist(),
        # Failed and missing seeds counted as chance; None where there are none.
        "ranks_worst": many_methods.ranks(worst).tolist() if failed else None,
        "friedman": many_methods.friedman(scores) if len(methods) > 2 else None,
        "critical_difference": None
        if few
        else many_methods.critical_difference(len(methods), len(data), options.alpha),
        "smallest_p": min(1.0, two_methods.smallest_p(len(data)) * len(pairs))
        if few and pairs
        else None,
        "pairs": [
            {"a": methods[i], "b": methods[j], "p": p[0], "p_worst": p[-1]}
            for (i, j), p in zip(pairs, zip(*columns, strict=True), strict=True)
        ],
    }


def _rank_p(scores: np.ndarray, pairs: list[tuple[int, int]], few: bool) -> list[float]:
    """Corrected p of each pair of columns: Nemenyi, or where data sets are few, Wilcoxon with Holm."""
    if few:
        raw = [two_methods.wilcoxon(scores[:, i], scores[:, j]) for i, j in pairs]
        return [float(p) for p in two_methods.holm(raw)]
    p = many_methods.nemenyi(scores)
    return [float(p[pair]) for pair in pairs]
