"""Folders of several runs: the cells of a sweep, and one run for each number of clusters."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxclust.errors import UsageError, reading
from jaxclust.runs.files import json_lines, read_json_lines, write_file
from jaxclust.runs.kinds import wrong_kinds

SWEEP = "cells.jsonl"
"""File in a folder of several runs, with a row for each method and data set."""
CLUSTERS = "clusters.json"
"""File in a folder of one run for each number of clusters."""
STABILITY = "stability"
"""The criterion of the number of clusters that has a run for each number."""
UNFINISHED = ("stopped", "waiting")
"""Ways in which a cell is when time was too short for it."""


@dataclasses.dataclass(frozen=True)
class SweepCell:
    """A method on a data set in a sweep, and how its run ended.

    Attributes:
      data: the data set's name.
      method: the method's name.
      folder: the run's folder, relative to the sweep's.
      status: "waiting", "stopped", "finished" or "failed".
      reason: why it failed, or None; a cell in which every seed failed has results nevertheless.
      seconds: how long its process took.
      log: the last words of a process that failed, or None.
      arguments: options of ``jaxclust fit METHOD`` for the run, without --out.
      shares: what cells must agree in to share a pretraining; None where they cannot.
    """

    data: str
    method: str
    folder: str
    arguments: list[str]
    shares: str | None = None
    status: str = "waiting"
    reason: str | None = None
    seconds: float = 0.0
    log: str | None = None


_CELL_KINDS = {
    "data": str,
    "method": str,
    "folder": str,
    "status": str,
    "arguments": list,
    "reason": str | None,
    "shares": str | None,
}


def write_sweep(path: Path, cells: Sequence[SweepCell]) -> None:
    """Writes ``cells.jsonl``."""
    write_file(path, json_lines(dataclasses.asdict(cell) for cell in cells))


def read_sweep(path: Path) -> list[SweepCell]:
    """The cells of ``cells.jsonl``, none where there is no such file.

    Raises:
      UsageError: the file is damaged.
    """
    cells = []
    names = [field.name for field in dataclasses.fields(SweepCell)]
    for number, row in enumerate(read_json_lines(path) if path.exists() else [], 1):
        wrong = wrong_kinds(row, _CELL_KINDS)
        if wrong:
            rule = f"out: {path} line {number} must be a cell"
            raise UsageError(f"{rule}, lacks a sound {', '.join(wrong)}")
        kept: Mapping[str, Any] = {name: row[name] for name in names if name in row}
        cells.append(SweepCell(**kept))
    return cells


@dataclasses.dataclass(frozen=True)
class Stability:
    """How well the seeds agree at one number of clusters.

    Attributes:
      clusters: number of clusters.
      stability: mean adjusted Rand index between seeds; None where there are not two of them.
      reason: why the run has no result, or None.
      left_out: why the number cannot be chosen, or None.
    """

    clusters: int
    stability: float | None
    reason: str | None
    left_out: str | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """The numbers of clusters that were tried, and which was chosen.

    Attributes:
      chosen: the chosen number, or None.
      rows: each number, in ascending order, where each had a run; else none.
      arguments: options that all runs share; none in old files.
      criterion: "stability", or the criterion of ``jaxclust.runs.number`` that looked once.
      values: what such a criterion says of each number, by the number as text.
      sentences: how sure such a criterion is.
    """

    chosen: int | None
    rows: tuple[Stability, ...]
    arguments: tuple[str, ...] | None = None
    criterion: str = STABILITY
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    sentences: tuple[str, ...] = ()


_CHOICE_KINDS = {
    "chosen": int | None,
    "arguments": list | None,
    "rows": list,
    "criterion": str,
    "values": dict,
    "sentences": list,
}
_NOT_IN_OLD_CHOICES = {"arguments": None, "criterion": STABILITY, "values": {}, "sentences": []}
_NUMBER_KINDS = {
    "clusters": int,
    "stability": int | float | None,
    "reason": str | None,
    "left_out": str | None,
}


def write_choice(folder: Path, choice: Choice) -> None:
    """Writes ``clusters.json``."""
    write_file(folder / CLUSTERS, json.dumps(dataclasses.asdict(choice), indent=2) + "\n")


def read_choice(folder: Path) -> Choice | None:
    """What ``clusters.json`` of a folder says; None where there is no such file.

    Raises:
      UsageError: the file is damaged.
    """
    path = folder / CLUSTERS
    if not path.exists():
        return None
    with reading(f"run: {path} must be JSON, is damaged", path):
        values = json.loads(path.read_text("utf-8"))
    rule = f"run: {path} must hold the stability of numbers of clusters, got something else"
    if not isinstance(values, dict):
        raise UsageError(rule)
    values = _NOT_IN_OLD_CHOICES | values
    if wrong_kinds(values, _CHOICE_KINDS):
        raise UsageError(rule)
    # Old files have no "left_out" either.
    rows = [{"left_out": None} | row if isinstance(row, dict) else {} for row in values["rows"]]
    if any(wrong_kinds(row, _NUMBER_KINDS) for row in rows):
        raise UsageError(rule)
    kept: list[Any] = [{name: row[name] for name in _NUMBER_KINDS} for row in rows]
    arguments = values["arguments"]
    return Choice(
        chosen=values["chosen"],
        rows=tuple(Stability(**row) for row in kept),
        arguments=None if arguments is None else tuple(map(str, arguments)),
        criterion=values["criterion"],
        values=values["values"],
        sentences=tuple(map(str, values["sentences"])),
    )
