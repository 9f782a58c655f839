"""Methods compared over their seeds: scores with intervals, and which differences can be shown."""

import dataclasses
import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxclust.comparison import pairs
from jaxclust.comparison.aggregates import aggregates
from jaxclust.comparison.notes import data_notes
from jaxclust.comparison.options import MOST_RESAMPLES, Options, check_options
from jaxclust.comparison.pairs import Tested
from jaxclust.comparison.ranks import ranks
from jaxclust.comparison.types import Comparison, DataSetComparison, MethodSummary
from jaxclust.errors import UsageError, did_you_mean
from jaxclust.evaluation import stats
from jaxclust.runs.cells import Cell, check_same_images
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import row_name
from jaxclust.runs.run import Run
from jaxclust.runs.scores import unscored_notes
from jaxclust.runs.settings import deciding, is_deterministic

UNSCORED = "without true labels there are no scores to compare: {}"
"""Note on runs without scores."""


def compare(
    runs: Mapping[str, Run | str | os.PathLike], labels: np.ndarray | None = None, **options: Any
) -> Comparison:
    """Compares runs over their seeds: which differences between methods can these seeds show?

    Args:
      runs: by the name under which each stands in the tables: a run, or the path of its folder. A
        run with several labelings stands there once for each, under "NAME-LABELING".
      labels: true classes of the images that all runs share, integers (n,). None to use the scores
        that the runs have, which may then be of several data sets.
      **options: the fields of ``jaxclust.comparison.options.Options``, by name. ``metric`` is
        "acc", "nmi", "nmi_sqrt", "nmi_max" or "ari". ``baseline`` compares all with one method.
        ``interval`` is "t" or "bootstrap-t". ``test`` is "auto" (paired by shared seeds, else
        unpaired), "unpaired" or "wilcoxon". ``difference`` is the one for which the seeds needed
        are computed. ``equal_within`` also tests whether two methods are equal within such a
        difference. ``alpha`` is the level of a family. ``family`` is "all" or "data": what is
        corrected together. ``planned`` corrects for at least so many comparisons.

    Returns:
      The comparison; it prints as tables, and its numbers are attributes.

    Raises:
      UsageError: an option breaks its rule, a run is not finished, the labels are not one for each
        image, or there is nothing to compare.
    """
    known = [field.name for field in dataclasses.fields(Options)]
    for name in options:
        if name not in known:
            raise UsageError(f"options: must be among {', '.join(known)}, got {name!r}")
    chosen = Options(**options)
    check_options(chosen)
    if not isinstance(runs, Mapping):
        raise UsageError(f"runs: must map names to runs, got {type(runs).__name__}")
    if not runs:
        raise UsageError("runs: must be at least one, got none")
    if labels is not None:
        labels = np.asarray(labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            rule = "labels: must be integers of shape (n,)"
            raise UsageError(f"{rule}, got {labels.dtype} {labels.shape}")
    opened = {str(name): _finished(str(name), run) for name, run in runs.items()}
    cells = [cell for name, run in opened.items() for cell in _cells(name, run, labels)]
    notes = [f"{name}: {note}" for name, run in opened.items() for note in run.notes]
    check_same_images(cells)
    if labels is not None:
        # The labels belong to one set of images, under whatever names the runs know it.
        cells = [cell._replace(data=cells[0].data) for cell in cells]
    elif not with_scores(cells, chosen.metric)[0]:
        raise UsageError("labels: must be given, as the runs have no scores, got none")
    return comparison(cells, chosen, notes)


def _finished(name: str, run: Run | str | os.PathLike) -> Run:
    """A run that has ended, opened where its folder was given."""
    if not isinstance(run, Run):
        if not isinstance(run, str | os.PathLike):
            rule = f"runs: {name} must be a run or the path of its folder"
            raise UsageError(f"{rule}, got {type(run).__name__}")
        run = open_run(run)
    if not run.finished:
        raise UsageError(f"runs: {name} must be finished, was stopped before its end")
    return run


def _cells(name: str, run: Run, labels: np.ndarray | None) -> list[Cell]:
    """The cells of a run, one for each of its labelings."""
    cells = []
    count = len(run.seeds)
    for number, (labeling, clusters) in enumerate(run.labelings.items()):
        rows = run.rows[number * count : (number + 1) * count]
        if labels is not None:
            part = dataclasses.replace(run, rows=rows, labelings={labeling: clusters})
            rows = part.scores(labels).rows
        cell = Cell(
            data=run.settings.data.name,
            method=row_name(name, labeling),
            rows={row.seed: row for row in rows},
            settings=deciding(run.settings),
            deterministic=is_deterministic(run.settings),
        )
        cells.append(cell)
    return cells


def with_scores(cells: Sequence[Cell], metric: str) -> tuple[list[Cell], str]:
    """The cells that have scores or whose seeds all failed, and the names of the other cells."""
    unscored = []
    for cell in cells:
        scores = [row.score(metric) for row in cell.rows.values() if row.failed is None]
        if scores and all(score is None for score in scores):
            unscored.append(cell)
    names = ", ".join(cell.where for cell in unscored)
    return [cell for cell in cells if cell not in unscored], names


def comparison(cells: Sequence[Cell], options: Options, notes: Sequence[str] = ()) -> Comparison:
    """Compares methods on one data set or several.

    Args:
      cells: a cell for each method and data set, as ``collect.read`` gives them.
      options: what is compared, and how.
      notes: what was left out in reading.

    Raises:
      UsageError: no cell has scores, the baseline is not there, or the family is too large for its
        level.
    """
    scored, unscored = with_scores(cells, options.metric)
    if not scored:
        raise UsageError(
            f"metric: {options.metric} needs true labels, {unscored} had none; jaxclust report "
            "shows such runs: agreement between seeds, silhouette, final loss"
        )
    notes = [*notes]
    notes += unscored_notes([row for cell in scored for row in cell.rows.values()])
    if unscored:
        notes.append(UNSCORED.format(unscored))
    methods = list(dict.fromkeys(cell.method for cell in scored))
    if options.baseline is not None and options.baseline not in methods:
        rule = f"baseline: must be one of {', '.join(methods)}"
        hint = did_you_mean(options.baseline, methods)
        raise UsageError(f"{rule}, got {options.baseline!r}{hint}")
    groups: dict[str, list[Cell]] = {}
    for cell in scored:
        groups.setdefault(cell.data, []).append(cell)
    resamples = _resamples([len(_compared(group, options)) for group in groups.values()], options)
    tested = [_tested(name, group, options, resamples) for name, group in groups.items()]
    data: list[DataSetComparison] = []
    hints: list[str] = []
    for family in [tested] if options.family == "all" else [[group] for group in tested]:
        together = [pair for group in family for pair in group.pairs]
        size = pairs.family_size(together, options)
        corrected = pairs.correct(together, options, resamples)
        hints += [pair.hint for pair in corrected if pair.hint is not None][:1]
        rest = iter(corrected)
        for group in family:
            own = tuple(itertools.islice(rest, len(group.pairs)))
            data.append(DataSetComparison(group.name, group.n, group.methods, own, size))
    notes += [note for one in data for note in data_notes(one)] + list(dict.fromkeys(hints))
    ranked = ranks(data, options)
    if ranked is not None and ranked.left_out:
        names = ", ".join(ranked.left_out)
        notes.append(f"ranks leave out, as without a score on some data set: {names}")
    return Comparison(options, tuple(data), ranked, tuple(notes), aggregates(data, options))


def _compared(group: Sequence[Cell], options: Options) -> list[tuple[Cell, Cell]]:
    """The pairs of a data set's cells: all of them, or each cell with the baseline."""
    if options.baseline is None:
        return list(itertools.combinations(group, 2))
    return [
        (cell, other)
        for other in group
        if other.method == options.baseline
        for cell in group
        if cell.method != options.baseline
    ]


def _resamples(counts: Sequence[int], options: Options) -> int:
    """Draws of a permutation test, enough for a p that the largest family lets pass.

    Args:
      counts: number of pairs on each data set.
      options: of the comparison.

    Raises:
      UsageError: these are too many.
    """
    most = max(sum(counts) if options.family == "all" else max(counts), options.planned)
    resamples = max(stats.RESAMPLES, math.ceil(5 * most / options.alpha) - 1)
    if resamples > MOST_RESAMPLES:
        least = 5 * most / MOST_RESAMPLES
        raise UsageError(
            f"alpha: must be at least {least:g} for {most} comparisons, got {options.alpha}"
        )
    return resamples


class _Group(NamedTuple):
    """A data set before the correction.

    Attributes:
      name: its name.
      n: number of images.
      methods: a summary of each method.
      pairs: the pairs that are compared.
    """

    name: str
    n: int
    methods: tuple[MethodSummary, ...]
    pairs: list[Tested]


def _tested(name: str, group: Sequence[Cell], options: Options, resamples: int) -> _Group:
    """Summaries and uncorrected tests of a data set's cells."""
    scores = [
        score
        for cell in group
        for score in pairs.seed_scores(cell, options.metric).values()
        if score is not None
    ]
    lowest = min(scores, default=math.inf)
    methods = tuple(_summary(cell, options, lowest) for cell in group)
    tests = [
        pairs.compare_pair(first, second, options, lowest, resamples)
        for first, second in _compared(group, options)
    ]
    return _Group(name, group[0].first.n, methods, tests)


def _summary(cell: Cell, options: Options, lowest: float) -> MethodSummary:
    """The summary of a cell; ``lowest`` is the lowest score on its data set."""
    scores = pairs.seed_scores(cell, options.metric)
    worst = list(pairs.worst_scores(cell, options.metric, lowest).values())
    values = [score for score in scores.values() if score is not None]
    summary = MethodSummary(
        method=cell.method,
        clusters=cell.first.clusters,
        seeds=scores,
        n=len(values),
        constant=cell.constant,
        failed=cell.failed,
        missing=tuple(cell.missing),
        worst_mean=float(np.mean(worst)),
    )
    if not values:
        return summary
    confidence = 1 - options.alpha
    bounds = stats.SCORE_BOUNDS[options.metric]
    n, mean, sd, low, high = stats.summary(values, confidence, bounds)
    if options.interval == "bootstrap-t" and n > 1:
        # A small alpha needs more draws, since the interval's ends are further out.
        draws = max(stats.RESAMPLES, math.ceil(10 / options.alpha) - 1)
        low, high = stats.bootstrap_t(values, confidence, draws)
        low, high = stats.inside(mean, low, high, bounds, stats.run_distance(n, sd, confidence))
    run_low, run_high = stats.prediction_interval(values, 1, confidence, bounds)
    return dataclasses.replace(
        summary,
        mean=pairs.number(mean),
        sd=pairs.number(sd),
        low=pairs.number(low),
        high=pairs.number(high),
        run_low=pairs.number(run_low),
        run_high=pairs.number(run_high),
        median=pairs.number(stats.median(values)),
        iqm=pairs.number(stats.interquartile_mean(values)),
    )
