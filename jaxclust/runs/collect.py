"""Finished runs read back: one cell for each method and data set, with the seeds of all its runs."""

import json
import math
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from jaxclust.engine.checkpoint import differences
from jaxclust.runs.rows import COMPARED, SCORES, labelings, outcome, row_name
from jaxclust.runs.settings import deciding, read_settings, wrong_kinds

SWEEP = "cells.jsonl"
"""In a folder of several runs: a row for each method and data set, with its folder and how it ended."""
CLUSTERS = "clusters.json"
"""In a folder of one run for each number of clusters: how stable each was, and which was chosen."""
CHOICE = {"chosen": int | None, "arguments": list}
NUMBER = {
    "clusters": int,
    "stability": int | float | None,
    "reason": str | None,
    "left_out": str | None,
}
"""What is in it, and in each of its rows."""
RUNS = "a run's folder, one that fit --methods or --clusters auto wrote, or a .jsonl of rows; or NAME=RUN"
"""What ``read`` takes, for the help of commands."""
DETERMINISTIC = "ac-"
"""Methods of this prefix (agglomerative clustering) draw no random number: one run is all there is to see."""


class Cell(NamedTuple):
    """All seeds of one method on one data set.

    Attributes:
      data: the data set's name.
      method: its name, or the one given to the run.
      rows: results as in ``record.rows``, by seed.
      missing: seeds that were asked for and have no row; none of a constant method, where one is all there is.
      folders: of the runs; none where rows came from a file.
      settings: what decides the numbers, as in ``record.settings`` without seeds; None where rows came from a file.
      labels: the file of the clusters in each folder.
    """

    data: str
    method: str
    rows: dict[int, dict[str, Any]]
    missing: tuple[int, ...]
    folders: tuple[Path, ...]
    settings: dict[str, Any] | None
    labels: str = "labels.npy"

    @property
    def constant(self) -> bool:
        """Whether the method draws no random numbers, so that seeds are one run."""
        return next(iter(self.rows.values()))["method"].startswith(DETERMINISTIC)

    @property
    def failed(self) -> dict[int, str]:
        """Where each failed seed met its NaN or inf."""
        return {
            seed: f"{row['failed_phase']} step {row['failed']}"
            for seed, row in self.rows.items()
            if row["failed"] is not None
        }


def read(runs: Sequence[str]) -> tuple[list[Cell], list[str]]:
    """The cells of several runs, in the order given, and what had to be left out.

    Args:
      runs: each a run's folder, one that ``jaxclust fit --methods`` or ``--clusters auto`` wrote, or a .jsonl file of
        rows; or NAME=RUN, to tell settings of one method apart. k-means on the pixels, which a run keeps beside itself,
        is a cell of its own unless one is given.

    Raises:
      ValueError: nothing to read, or runs that must not stand in one table: of one data set's name but other images,
        or of one method with other settings or twice with other scores.
    """
    found: list[Cell] = []
    baselines: list[Cell] = []
    notes: list[str] = []
    seen = set()
    for run in runs:
        name, path = _named(run)
        if path.suffix == ".jsonl" and path.is_file():
            found += _from_file(path, name, notes)
            continue
        folders = _folders(path, notes)
        if name is not None and len(folders) > 1:
            raise ValueError(f"runs: {run} must name one run, {path} holds {len(folders)}")
        for folder in folders:
            if (name, folder.resolve()) in seen:
                notes.append(f"{folder} is given twice, and counts once")
                continue
            seen.add((name, folder.resolve()))
            settings = read_settings(folder)
            mine = _from_folder(folder, settings, name, notes)
            found += mine
            if mine:
                baselines += _baseline(folder, settings, notes)
    given = {(cell.data, cell.method) for cell in found}
    found += _together([cell for cell in baselines if (cell.data, cell.method) not in given], notes)
    joined: dict[tuple[str, str], Cell] = {}
    for cell in found:
        key = (cell.data, cell.method)
        joined[key] = _join(joined[key], cell, notes) if key in joined else cell
    if not joined:
        raise ValueError(
            f"runs: at least one must have results, got none ({'; '.join(notes) or 'no rows'})"
        )
    cells = [_without_blank(cell, notes) for cell in joined.values()]
    _same_images(cells)
    return cells, notes


def _without_blank(cell: Cell, notes: list[str]) -> Cell:
    """Where true labels are known, a row that has neither scores nor a failure tells nothing: its seed is missing."""
    blank = [
        seed for seed, row in cell.rows.items() if row["failed"] is None and row[SCORES[0]] is None
    ]
    if not blank or all(row[SCORES[0]] is None for row in cell.rows.values()):
        return cell
    seeds = ", ".join(map(str, blank))
    notes.append(
        f"{cell.method} on {cell.data}: seeds {seeds} have neither scores nor a failure, and are left out"
    )
    rows = {seed: row for seed, row in cell.rows.items() if seed not in blank}
    return cell._replace(
        rows=rows, missing=() if cell.constant else tuple(sorted({*cell.missing, *blank}))
    )


def _together(baselines: list[Cell], notes: list[str]) -> list[Cell]:
    """Those of one data set as one cell: runs of other seeds keep other seeds of it beside them."""
    joined: dict[tuple[str, str], Cell] = {}
    for cell in baselines:
        first = joined.setdefault((cell.data, cell.method), cell)
        counts = [next(iter(one.rows.values()))["clusters"] for one in (first, cell)]
        where = f"{cell.method} on {cell.data}"
        if counts[0] != counts[1]:
            notes.append(f"{where} with {counts[1]} clusters is left out, beside {counts[0]}")
            continue
        for seed in _twice(first, cell):
            notes.append(
                f"seed {seed} of {where} has other scores beside another run, and counts as it is first"
            )
        rows = cell.rows | first.rows
        missing = tuple(sorted({*first.missing, *cell.missing} - rows.keys()))
        joined[cell.data, cell.method] = first._replace(rows=rows, missing=missing)
    return list(joined.values())


def _named(run: str) -> tuple[str | None, Path]:
    name, equals, rest = run.partition("=")
    if equals and not Path(run).exists():
        if not name.isprintable() or not name.strip() or not rest:
            raise ValueError(f"runs: must be RUN or NAME=RUN, got {run!r}")
        return name, Path(rest)
    return None, Path(run)


def _folders(path: Path, notes: list[str]) -> list[Path]:
    if not path.is_dir():
        raise ValueError(f"runs: must be a run's folder or a .jsonl file of rows, got {path}")
    chosen = read_clusters(path)
    if chosen is not None:
        if chosen["chosen"] is None:
            notes.append(f"{path} has no number of clusters chosen yet, and is left out")
            return []
        return [path / f"k-{chosen['chosen']}"]
    if (path / "config.json").exists():
        return [path]
    if not (path / SWEEP).exists():
        raise ValueError(
            f"runs: {path} must hold a run or several, has no config.json, {SWEEP} or {CLUSTERS}"
        )
    folders = []
    for row in _whole(path / SWEEP, {"method", "data", "folder", "status", "reason"}, notes)[0]:
        where, folder = f"{row['method']} on {row['data']}", path / row["folder"]
        if row["status"] == "failed" and not (folder / "results.jsonl").exists():
            notes.append(f"{where} crashed and has no row: {row['reason']}")
            continue
        if not (folder / "config.json").exists():
            notes.append(f"{where} has not begun and is left out")
            continue
        if row["status"] == "failed":
            notes.append(f"{where} crashed when it had its results, which count: {row['reason']}")
        folders.append(folder)
    return folders


def read_clusters(path: Path) -> dict[str, Any] | None:
    """``clusters.json`` of a folder: "chosen", "arguments" and "rows", a number of clusters each, with its "stability",
    "reason" and "left_out"; None where there is none, ValueError if it is damaged.
    """
    path = path / CLUSTERS
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"run: {path} must be JSON, is damaged ({error})") from error
    rows = found.get("rows") if isinstance(found, dict) else None
    sound = isinstance(rows, list) and not wrong_kinds({"arguments": []} | found, CHOICE)
    # Files of before have no "left_out".
    rows = (
        [{"left_out": None} | row if isinstance(row, dict) else {} for row in rows] if sound else []
    )
    if not sound or any(wrong_kinds(row, NUMBER) for row in rows):
        raise ValueError(
            f"run: {path} must hold the stability of numbers of clusters, got something else"
        )
    return found | {"rows": rows}


def _from_folder(
    folder: Path, settings: dict[str, Any], name: str | None, notes: list[str]
) -> list[Cell]:
    """A run's cell; several where its method gives several labelings, each named in its rows."""
    path = folder / "results.jsonl"
    if not path.exists():
        notes.append(
            f"{folder} is still going or was stopped: it has no results yet and is left out"
        )
        return []
    kept, method = deciding(settings), settings["method"]
    labelings = labelings(method)
    names = [row_name(method, labeling) for labeling in labelings]
    found, (rows, _) = [], _whole(path, COMPARED, notes)
    strange = {row["method"] for row in rows} - set(names)
    if strange:
        raise ValueError(
            f"runs: {path} must hold rows of {' and '.join(names)}, got of {', '.join(sorted(strange))}"
        )
    for (labeling, labels), row_name in zip(labelings.items(), names, strict=True):
        mine = row_name(name or method, labeling)
        cell = Cell(settings["data"]["name"], mine, {}, (), (folder,), kept, labels)
        for row in rows:
            if row["method"] == row_name:
                _add(cell, row, path)
        if cell.rows:
            found.append(_asked(cell, settings["seeds"], path, notes))
        else:
            notes.append(f"{path} has no whole row of {mine}, which is left out")
    return found


def _asked(cell: Cell, seeds: Sequence[int], path: Path, notes: list[str]) -> Cell:
    """A cell with the seeds that were asked for and have no row, which are named; one is all of a constant method."""
    missing = () if cell.constant else tuple(seed for seed in seeds if seed not in cell.rows)
    if missing:
        notes.append(
            f"{path} lacks seeds {', '.join(map(str, missing))} of {cell.method}, which are left out"
        )
    return cell._replace(missing=missing)


def _baseline(folder: Path, settings: dict[str, Any], notes: list[str]) -> list[Cell]:
    path = folder / "baseline.jsonl"
    if not path.exists():
        return []
    rows, _ = _whole(path, COMPARED, notes)
    if not rows:
        return []
    found = Cell(
        settings["data"]["name"], rows[0]["method"], {}, (), (), {"data": settings["data"]}
    )
    for row in rows:
        _add(found, row, path)
    return [_asked(found, settings["seeds"], path, notes)]


def _from_file(path: Path, name: str | None, notes: list[str]) -> list[Cell]:
    cells: dict[tuple[str, str], Cell] = {}
    hashes: dict[tuple[str, str], str] = {}
    rows, lost = _whole(path, COMPARED | {"config_hash"}, notes)
    for row in rows:
        key = (row["data"], name or row["method"])
        if hashes.setdefault(key, row["config_hash"]) != row["config_hash"]:
            raise ValueError(
                f"runs: {path} must hold one run of {row['method']} on {row['data']}, got two settings"
            )
        _add(cells.setdefault(key, Cell(*key, {}, (), (), None)), row, path)
    # Some of what is lost says whose seed it was; the rest may be of any seed that another method has there.
    named = [row for row in lost if not wrong_kinds(row, {"data": str, "method": str, "seed": int})]
    found = []
    for key, cell in cells.items():
        seeds = {row["seed"] for row in named if (row["data"], name or row["method"]) == key}
        if len(named) < len(lost):
            seeds |= {
                seed for other in cells.values() if other.data == cell.data for seed in other.rows
            }
        found.append(_asked(cell, sorted(seeds), path, notes))
    return found


def _add(cell: Cell, row: dict[str, Any], path: Path) -> None:
    if row["seed"] in cell.rows:
        where = f"seed {row['seed']} of {cell.method} on {cell.data}"
        raise ValueError(f"runs: {path} must hold a seed once, got {where} again")
    first = next(iter(cell.rows.values()), row)
    for name in ("method", "n", "clusters"):
        if row[name] != first[name]:
            where = f"{cell.method} on {cell.data}"
            raise ValueError(
                f"runs: {path} must have one {name} of {where}, got {first[name]} and {row[name]}"
            )
    cell.rows[row["seed"]] = row


def _whole(
    path: Path, wanted: Set[str], notes: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that are whole, and what is left of the others, {} where it is no row; those are named."""
    rows, lost, rest = [], [], []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and wanted <= row.keys() and _sound(row):
            rows.append(row)
        elif line.strip():
            lost.append(str(number))
            rest.append(row if isinstance(row, dict) else {})
    if len(lost) == 1:
        notes.append(f"{path} line {lost[0]} is cut off or no row, and is left out")
    elif lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        notes.append(
            f"{path} lines {', '.join(lost[:3])}{more} are cut off or no rows, and are left out"
        )
    return rows, rest


def _sound(row: dict[str, Any]) -> bool:
    """Whether what a row has is of its kind; without a failure it has numbers for scores."""
    kinds = {"seed": int, "n": int, "clusters": int, "method": str, "data": str, "folder": str}
    if any(type(row[name]) is not kind for name, kind in kinds.items() if name in row):
        return False
    if min(row.get("n", 1), row.get("clusters", 1)) < 1:
        return False
    scores = [row[name] for name in SCORES if name in row]
    if row.get("failed") is not None or not any(score is not None for score in scores):
        # Failed, or without labels: no scores at all.
        return all(score is None for score in scores)
    return all(type(score) in (int, float) and math.isfinite(score) for score in scores)


def _join(one: Cell, other: Cell, notes: list[str]) -> Cell:
    """Two runs of one method on one data set; refused unless they are of one piece."""
    where = f"{one.method} on {one.data}"
    places = " and ".join(str(folder) for folder in (*one.folders, *other.folders))
    if one.settings is None or other.settings is None:
        raise ValueError(f"runs: {where} must come once where rows are read from a file")
    differing = differences(one.settings, other.settings)
    if differing:
        raise ValueError(
            f"runs: {where} must have one setting, differs in {'; '.join(differing)}, in {places}; "
            "NAME=RUN gives one of them another name"
        )
    for seed in _twice(one, other):
        raise ValueError(f"runs: seed {seed} of {where} must have one score, got two, in {places}")
    for seed in sorted(one.rows.keys() & other.rows.keys()):
        notes.append(
            f"seed {seed} of {where} is there twice, with the same scores, and counts once"
        )
    return one._replace(
        rows=one.rows | other.rows,
        missing=tuple(sorted({*one.missing, *other.missing} - one.rows.keys() - other.rows.keys())),
        folders=one.folders + other.folders,
    )


def _twice(one: Cell, other: Cell) -> list[int]:
    """The seeds that both have, with other scores."""
    shared = sorted(one.rows.keys() & other.rows.keys())
    return [seed for seed in shared if outcome(one.rows[seed]) != outcome(other.rows[seed])]


def _same_images(cells: list[Cell]) -> None:
    first: dict[str, Cell] = {}
    # Rows from a file have no fingerprint of the images: what has one is what the others are held to.
    for cell in sorted(cells, key=lambda cell: cell.settings is None):
        known = first.setdefault(cell.data, cell)
        both = (known.settings, cell.settings)
        differing = differences(both[0]["data"], both[1]["data"]) if None not in both else []
        counts = [next(iter(one.rows.values()))["n"] for one in (known, cell)]
        if not differing and counts[0] != counts[1]:
            differing = [f"n ({counts[0]} -> {counts[1]})"]
        if differing:
            raise ValueError(
                f"runs: {cell.data} must be the same images and labels in all runs, differs in "
                f"{'; '.join(differing)}, in {known.method} and {cell.method}"
            )
