"""``jaxclust fit METHOD --clusters auto --criterion stability``: a run for each number of clusters.

The number is taken on which the seeds agree best.

No true label is looked at. Each number has a run of its own; its stability is the mean adjusted
Rand index between the run's seeds. Few clusters agree easily: of all numbers within 0.01 of the
best the largest is taken. A number is left out where a seed failed or left clusters empty, since
seeds that put all images into one cluster agree wholly. A method that errs in the same way with
each seed is stable and wrong, so that the curve is kept for people to judge.
"""

import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxclust.cli import cells, sweep
from jaxclust.cli.options import RUNS, Clusters, Request, check_data
from jaxclust.cli.parse import Switch, parse_known
from jaxclust.errors import UsageError
from jaxclust.evaluation import agreement
from jaxclust.runs.files import read_labels
from jaxclust.runs.folder import check_out, delete_runs, is_finished
from jaxclust.runs.notes import LOW_AGREEMENT, unsupported
from jaxclust.runs.sweeps import (
    CLUSTERS,
    STABILITY,
    UNFINISHED,
    Choice,
    Stability,
    SweepCell,
    read_choice,
    write_choice,
)

RANGE = "2,20"
"""Numbers of clusters that are tried unless others are given."""


@dataclasses.dataclass(frozen=True)
class Own:
    """The options of ``jaxclust fit METHOD`` that a run is not given as they were typed."""

    data: str
    seeds: str = "5"
    clusters: Clusters = None
    cluster_range: str | None = None
    criterion: str | None = None
    out: Path | None = None
    max_seconds: float | None = None
    resume: Switch = False
    overwrite: Switch = False
    quiet: Switch = False


def command(request: Request, words: list[str]) -> int:
    """Runs each number of clusters that is not finished, and names the most stable one.

    Args:
      request: what ``words`` ask for.
      words: the options after ``jaxclust fit METHOD``; the runs get those that are not ``Own``.

    Returns:
      The exit status: 0, or 1 if a run failed.

    Raises:
      UsageError: the options cannot be carried out.
    """
    given, method, plan = request
    if method.algorithm.deterministic:
        rule = f"clusters: auto compares seeds, which {method.name} does not have"
        raise UsageError(f"{rule}: it draws no random number")
    numbers = number_range(given.cluster_range)
    if len(plan.seeds) < 2:
        rule = "seeds: must be at least 2, whose agreement is the measure"
        raise UsageError(f"{rule}, got {given.seeds!r}")
    check_data(given)
    _, rest = parse_known(Own, words, "jaxclust fit", add_help=False)
    common = ["--data", given.data, "--seeds", given.seeds, "--no-baseline", *rest]
    out = folder_of(request, STABILITY, common)
    if given.overwrite:
        delete_choice(out)
    known = read_choice(out) or Choice(None, ())
    check_same(known, STABILITY, common, out)
    start = cells.Start.within(given.max_seconds, given.quiet)
    # Numbers that are known from another range stay.
    rows = {row.clusters: row for row in known.rows}
    crashed = False
    for clusters in numbers:
        cell = SweepCell(
            data=f"{given.data}, {clusters} clusters",
            method=method.name,
            folder=f"k-{clusters}",
            arguments=[*common, "--clusters", str(clusters)],
        )
        cell = cells.run_cell(cell, out / cell.folder, start)
        crashed |= cell.status == "failed"
        rows[clusters] = _row(cell, out / cell.folder, clusters)
        if out.is_dir():
            ordered = _ordered(rows)
            write_choice(out, choice_of(ordered, common))
    ordered = _ordered(rows)
    _print(choice_of(ordered, common), out, given.quiet)
    if any(row.reason in UNFINISHED for row in ordered):
        goes_on = sweep.goes_on(given.overwrite)
        print(f"no number of clusters is chosen yet; {goes_on}")
    lost = any(row.reason is not None and row.reason not in UNFINISHED for row in ordered)
    return 1 if crashed or lost else 0


def folder_of(request: Request, criterion: str, arguments: list[str]) -> Path:
    """The folder for a number of clusters and its runs.

    It is the one that was named, or the first that is free or has the same choice.

    Args:
      request: of the command.
      criterion: what the number is chosen by.
      arguments: the options that decide it.

    Raises:
      UsageError: the folder must not be written to.
    """
    given = request.options
    out = given.out
    resume = given.resume
    if out is None:
        name = f"{request.method.name}-{sweep.data_name(given.data)}-clusters"
        same = functools.partial(_same_options, criterion, arguments)
        out = sweep.free_folder(RUNS / name, same)
        resume = resume or (out.exists() and not given.overwrite)
    check_out(out, resume, given.overwrite)
    return out


def delete_choice(out: Path) -> None:
    """Deletes a number of clusters and its runs from a folder."""
    delete_runs(list(out.glob("k-[0-9]*")))
    (out / CLUSTERS).unlink(missing_ok=True)


def _same_options(criterion: str, arguments: list[str], folder: Path) -> bool:
    """Whether a folder holds a number that a criterion chose, with the same options."""
    choice = read_choice(folder) if folder.is_dir() else None
    if choice is None or choice.arguments is None or choice.criterion != criterion:
        return False
    return list(choice.arguments) == arguments


def check_same(known: Choice, criterion: str, arguments: list[str], out: Path) -> None:
    """Refuses to go on with a choice by another criterion or with other options: UsageError."""
    rule = f"resume: {out} must hold the same runs"
    if known.arguments is None:
        return
    if known.criterion != criterion:
        raise UsageError(f"{rule}, has those of the criterion {known.criterion}")
    if list(known.arguments) != arguments:
        raise UsageError(f"{rule}, has those of {' '.join(known.arguments)}")


def _ordered(rows: dict[int, Stability]) -> tuple[Stability, ...]:
    return tuple(rows[clusters] for clusters in sorted(rows))


def _row(cell: SweepCell, folder: Path, clusters: int) -> Stability:
    """What is known of a number of clusters once its run has ended or stopped."""
    if not is_finished(folder):
        return Stability(clusters, None, cell.reason or cell.status)
    # Also where the run crashed after its results, as while it drew figures.
    value, flaw = stability(folder, clusters)
    return Stability(clusters, value, None, flaw)


def stability(folder: Path, clusters: int) -> tuple[float | None, str | None]:
    """How well the seeds of a finished run agree.

    Args:
      folder: of the run.
      clusters: how many there should be.

    Returns:
      The mean adjusted Rand index between two seeds, None with fewer than two that did not fail;
      and why the number does not count, or None.
    """
    labels = read_labels(folder / "labels.npy")
    kept = labels[(labels >= 0).any(axis=1)]
    if len(kept) < 2:
        return None, "fewer than two seeds"
    known = kept[:, agreement.readable(kept)]
    failed = len(labels) - len(kept)
    empty = sum(len(np.unique(seed_labels)) < clusters for seed_labels in known)
    flaws = [
        f"{count} of {len(labels)} seeds {what}"
        for count, what in ((failed, "failed"), (empty, "left clusters empty"))
        if count
    ]
    matrix = agreement.agreement(known)
    return float(agreement.stability(matrix).mean()), "; ".join(flaws) or None


def choose(rows: Sequence[Stability]) -> int | None:
    """The most stable number of clusters; None where there is none or a run is still missing."""
    if any(row.reason in UNFINISHED for row in rows):
        return None
    known = {
        row.clusters: row.stability
        for row in rows
        if row.stability is not None and row.reason is None and row.left_out is None
    }
    return agreement.best_clusters(known) if known else None


def choice_of(rows: tuple[Stability, ...], arguments: Sequence[str]) -> Choice:
    """The choice among numbers of clusters, and a sentence where the seeds agree on none.

    Args:
      rows: each number, in ascending order.
      arguments: options that all runs share.
    """
    chosen = choose(rows)
    best = next((row.stability for row in rows if row.clusters == chosen), None)
    sentences: tuple[str, ...] = ()
    if chosen is not None and best is not None and best < LOW_AGREEMENT:
        sentences = (unsupported(chosen, best),)
    return Choice(chosen, rows, tuple(arguments), sentences=sentences)


def number_range(text: str | None) -> range:
    """The numbers of ``--cluster-range``; those of ``RANGE`` where it was not given.

    Raises:
      UsageError: the text is no such range.
    """
    text = RANGE if text is None else text
    low, comma, high = text.partition(",")
    if not (comma and low.isdecimal() and high.isdecimal() and 2 <= int(low) < int(high)):
        raise UsageError(f"cluster-range: must be LOW,HIGH with 2 <= LOW < HIGH, got {text!r}")
    return range(int(low), int(high) + 1)


def _print(choice: Choice, out: Path, quiet: bool) -> None:
    """Prints the stability of each number, unless quiet, and where the chosen run is."""
    if not quiet:
        print("clusters  agreement between seeds (mean ARI)")
        for row in choice.rows:
            value = row.reason or "-" if row.stability is None else f"{row.stability:.4f}"
            flaw = f"  left out: {row.left_out}" if row.left_out else ""
            mark = "  <- chosen" if row.clusters == choice.chosen else ""
            print(f"{row.clusters:8}  {value}{flaw}{mark}")
    for sentence in choice.sentences:
        print(f"jaxclust: note: {sentence}", file=sys.stderr)
    if choice.chosen is not None:
        print(f"files: {out / f'k-{choice.chosen}'}")
    elif not any(row.reason in UNFINISHED for row in choice.rows):
        print("no number of clusters can be chosen: each is left out")
