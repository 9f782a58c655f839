"""Methods over several data sets: centers with intervals, and performance profiles."""

import math
from collections.abc import Sequence

import numpy as np

from jaxclust.comparison.options import Options
from jaxclust.comparison.types import Aggregate, Aggregates, DataSetComparison, MethodSummary
from jaxclust.evaluation.stats import many_sets

STEP = 0.02
"""Distance of the scores at which profiles are computed."""
DRAWS = 1_999
"""Resamples of a profile's band, which is computed at many scores."""


def aggregates(data: Sequence[DataSetComparison], options: Options) -> Aggregates | None:
    """The methods that have a score on each data set, over all data sets.

    Seeds that failed have no score and are left out; ``Aggregate.worst_mean`` counts them.

    Returns:
      The aggregates; None for one data set, or where no method has a score on each.
    """
    summaries = [
        {summary.method: summary for summary in one.methods if summary.mean is not None}
        for one in data
    ]
    methods = [name for name in summaries[0] if all(name in one for one in summaries)]
    if len(data) < 2 or not methods:
        return None
    own = {name: [one[name] for one in summaries] for name in methods}
    scores = {name: [_scores(summary) for summary in cells] for name, cells in own.items()}
    every = np.concatenate([one for cells in scores.values() for one in cells])
    first = math.floor(every.min() / STEP)
    last = math.ceil(every.max() / STEP)
    levels = np.round(np.arange(first, last + 1) * STEP, 10)
    rows = [_aggregate(name, own[name], scores[name], levels, options) for name in methods]
    return Aggregates(
        data=tuple(one.name for one in data),
        levels=tuple(levels.tolist()),
        methods=tuple(sorted(rows, key=lambda row: -row.iqm)),
        failed=any(cell.failed or cell.missing for cells in own.values() for cell in cells),
    )


def _scores(summary: MethodSummary) -> np.ndarray:
    """The scores of the seeds that did not fail, float64 (seeds,)."""
    return np.array([score for score in summary.seeds.values() if score is not None])


def _aggregate(
    name: str,
    cells: Sequence[MethodSummary],
    scores: Sequence[np.ndarray],
    levels: np.ndarray,
    options: Options,
) -> Aggregate:
    confidence = 1 - options.alpha
    resamples = max(many_sets.RESAMPLES, math.ceil(10 / options.alpha) - 1)
    mean, median, iqm = many_sets.centers(scores, confidence, resamples)
    shares, low, high = many_sets.profile(scores, levels, confidence, DRAWS)
    known = bool(np.isfinite(low).all())
    return Aggregate(
        method=name,
        n=sum(one.size for one in scores),
        iqm=iqm.value,
        iqm_low=_end(iqm.low),
        iqm_high=_end(iqm.high),
        mean=mean.value,
        mean_low=_end(mean.low),
        mean_high=_end(mean.high),
        median=median.value,
        median_low=_end(median.low),
        median_high=_end(median.high),
        worst_mean=float(np.mean([cell.worst_mean for cell in cells])),
        shares=tuple(shares.tolist()),
        shares_low=tuple(low.tolist()) if known else None,
        shares_high=tuple(high.tolist()) if known else None,
    )


def _end(value: float) -> float | None:
    """None for nan, which JSON lacks."""
    return float(value) if np.isfinite(value) else None
