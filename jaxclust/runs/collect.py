"""Finished runs read back: a cell for each method and data set, with the seeds of all its runs."""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from jaxclust.errors import UsageError
from jaxclust.runs.cells import (
    Cell,
    add,
    check_same_images,
    join,
    join_baselines,
    with_missing,
    without_blank,
)
from jaxclust.runs.files import read_lines
from jaxclust.runs.folder import is_finished
from jaxclust.runs.kinds import wrong_kinds
from jaxclust.runs.notes import read_notes
from jaxclust.runs.rows import COMPARED, SCORES, Row, labeling_files, row_name, wrong_fields
from jaxclust.runs.settings import (
    Settings,
    deciding,
    is_deterministic,
    read_settings,
)
from jaxclust.runs.sweeps import CLUSTERS, SWEEP, read_choice
from jaxclust.runs.whole import check_hashes

RUNS = (
    "a run's folder, one that fit --methods or --clusters auto wrote, or a .jsonl of rows; "
    "or NAME=RUN"
)
"""What ``read`` takes, for the help of commands."""


def read(runs: Sequence[str]) -> tuple[list[Cell], list[str]]:
    """The cells of several runs, in the order given, and notes on what had to be left out.

    Args:
      runs: each a run's folder, one that ``jaxclust fit --methods`` or ``--clusters auto`` wrote,
        or a .jsonl file of rows; or NAME=RUN, to tell settings of one method apart. k-means on the
        pixels, which a run keeps beside itself, is a cell of its own unless one is given.

    Raises:
      UsageError: there is nothing to read, or the runs must not stand in one table. They are of
        one data set's name but of other images, or of one method with other settings, or of one
        method twice with other scores.
    """
    cells: list[Cell] = []
    baselines: list[Cell] = []
    notes: list[str] = []
    seen = set()
    for run in runs:
        name, path = _named(run)
        if path.suffix == ".jsonl" and path.is_file():
            cells += _from_file(path, name, notes)
            continue
        folders = _folders(path, notes)
        if name is not None and len(folders) > 1:
            raise UsageError(f"runs: {run} must name one run, {path} holds {len(folders)}")
        for folder in folders:
            if (name, folder.resolve()) in seen:
                notes.append(f"{folder} is given twice, and counts once")
                continue
            seen.add((name, folder.resolve()))
            settings = read_settings(folder)
            own = _from_folder(folder, settings, name, notes)
            cells += own
            if own:
                baselines += _baseline(folder, settings, notes)
    given = {(cell.data, cell.method) for cell in cells}
    others = [cell for cell in baselines if (cell.data, cell.method) not in given]
    joined: dict[tuple[str, str], Cell] = {}
    for cell in [*cells, *join_baselines(others, notes)]:
        key = (cell.data, cell.method)
        joined[key] = join(joined[key], cell, notes) if key in joined else cell
    if not joined:
        reasons = "; ".join(notes) or "no rows"
        raise UsageError(f"runs: at least one must have results, got none ({reasons})")
    whole = [without_blank(cell, notes) for cell in joined.values()]
    check_same_images(whole)
    return whole, notes


def _named(run: str) -> tuple[str | None, Path]:
    """The name and the path of RUN or NAME=RUN."""
    name, equals, rest = run.partition("=")
    if equals and not Path(run).exists():
        if not name.isprintable() or not name.strip() or not rest:
            raise UsageError(f"runs: must be RUN or NAME=RUN, got {run!r}")
        return name, Path(rest)
    return None, Path(run)


def _folders(path: Path, notes: list[str]) -> list[Path]:
    """The folders of the runs in a folder."""
    if not path.is_dir():
        raise UsageError(f"runs: must be a run's folder or a .jsonl file of rows, got {path}")
    choice = read_choice(path)
    if choice is not None:
        if choice.chosen is None:
            notes.append(f"{path} has no number of clusters chosen yet, and is left out")
            return []
        return [path / f"k-{choice.chosen}"]
    if (path / "config.json").exists():
        return [path]
    if not (path / SWEEP).exists():
        rule = f"runs: {path} must hold a run or several"
        raise UsageError(f"{rule}, has no config.json, {SWEEP} or {CLUSTERS}")
    folders = []
    required = {"method", "data", "folder", "status", "reason"}
    for row in _whole_lines(path / SWEEP, required, notes, _wrong_cell)[0]:
        where = f"{row['method']} on {row['data']}"
        folder = path / row["folder"]
        if row["status"] == "failed" and not is_finished(folder):
            notes.append(f"{where} crashed and has no row: {row['reason']}")
            continue
        if not (folder / "config.json").exists():
            notes.append(f"{where} has not begun and is left out")
            continue
        if row["status"] == "failed":
            notes.append(f"{where} failed when it had its results, which count: {row['reason']}")
        folders.append(folder)
    return folders


def _from_folder(
    folder: Path, settings: Settings, name: str | None, notes: list[str]
) -> list[Cell]:
    """A run's cell; several where its method gives several labelings, each named in its rows."""
    path = folder / "results.jsonl"
    if not path.exists():
        state = "is still going or was stopped: it has no results yet and is left out"
        notes.append(f"{folder} {state}")
        return []
    files = labeling_files(settings)
    names = {row_name(settings.method, labeling): labeling for labeling in files}
    rows = _rows(path, COMPARED, notes)[0]
    check_hashes(folder, settings, [row.config_hash for row in rows])
    strange = {row.method for row in rows} - names.keys()
    if strange:
        rule = f"runs: {path} must hold rows of {' and '.join(names)}"
        raise UsageError(f"{rule}, got of {', '.join(sorted(strange))}")
    notes += [f"{name or settings.method} on {settings.data.name}: {n}" for n in read_notes(folder)]
    cells = []
    for called, labeling in names.items():
        cell = Cell(
            data=settings.data.name,
            method=row_name(name or settings.method, labeling),
            rows={},
            folders=(folder,),
            settings=deciding(settings),
            labels=files[labeling],
            deterministic=is_deterministic(settings),
        )
        for row in rows:
            if row.method == called:
                add(cell, row, path)
        if cell.rows:
            cells.append(with_missing(cell, list(settings.seeds), path, notes))
        else:
            notes.append(f"{path} has no whole row of {cell.method}, which is left out")
    return cells


def _baseline(folder: Path, settings: Settings, notes: list[str]) -> list[Cell]:
    """The cell of the baseline that a run keeps beside itself."""
    path = folder / "baseline.jsonl"
    if not path.exists():
        return []
    rows = _rows(path, COMPARED, notes)[0]
    if not rows:
        return []
    data = {"data": settings.to_json()["data"]}
    cell = Cell(settings.data.name, rows[0].method, {}, settings=data)
    for row in rows:
        add(cell, row, path)
    return [with_missing(cell, list(settings.seeds), path, notes)]


def _from_file(path: Path, name: str | None, notes: list[str]) -> list[Cell]:
    """The cells of a file of rows."""
    cells: dict[tuple[str, str], Cell] = {}
    hashes: dict[tuple[str, str], str | None] = {}
    rows, lost = _rows(path, COMPARED | {"config_hash"}, notes)
    for row in rows:
        key = (row.data, name or row.method)
        if hashes.setdefault(key, row.config_hash) != row.config_hash:
            rule = f"runs: {path} must hold one run of {row.method} on {row.data}"
            raise UsageError(f"{rule}, got two settings")
        add(cells.setdefault(key, Cell(*key, {})), row, path)
    # Some lost lines say whose seed they were of. The others may be of any seed that another
    # method has on the same data.
    kinds = {"data": str, "method": str, "seed": int}
    named = [line for line in lost if not wrong_kinds(line, kinds)]
    complete = []
    for key, cell in cells.items():
        seeds = {line["seed"] for line in named if (line["data"], name or line["method"]) == key}
        if len(named) < len(lost):
            beside = [other for other in cells.values() if other.data == cell.data]
            seeds |= {seed for other in beside for seed in other.rows}
        complete.append(with_missing(cell, sorted(seeds), path, notes))
    return complete


def _rows(path: Path, required: Set[str], notes: list[str]) -> tuple[list[Row], list[dict]]:
    """The rows of a file that are whole, and what is left of the other lines."""
    whole, lost = _whole_lines(path, required, notes, _wrong_row)
    return [Row.from_json(line) for line in whole], lost


def _wrong_row(row: Mapping[str, Any]) -> list[str]:
    """The names of a row's values that cannot be, alone or together.

    A seed that failed has no score; any other has all scores, or none where no class is known.
    """
    scores = {name: row[name] for name in SCORES if name in row}
    present = [name for name, score in scores.items() if score is not None]
    together = present if row.get("failed") is not None else []
    if present and len(present) < len(scores):
        together = present
    return wrong_fields(row) + together


def _wrong_cell(row: Mapping[str, Any]) -> list[str]:
    """The names of a sweep's cell whose values are of another kind."""
    kinds = {"method": str, "data": str, "folder": str, "status": str, "reason": str | None}
    return wrong_kinds(row, kinds)


def _whole_lines(
    path: Path, required: Set[str], notes: list[str], wrong: Callable[[dict], list[str]]
) -> tuple[list[dict], list[dict]]:
    """The lines of a file that are rows, and what is left of the others.

    Args:
      path: the file.
      required: what a row must have.
      notes: gets the numbers of the lines that are no rows.
      wrong: gives the names of a row's values that cannot be.

    Returns:
      The rows, and the JSON objects of the other lines, {} where a line is none.
    """
    whole: list[dict] = []
    lost: list[str] = []
    rest: list[dict] = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and required <= row.keys() and not wrong(row):
            whole.append(row)
        elif line.strip():
            lost.append(str(number))
            rest.append(row if isinstance(row, dict) else {})
    if len(lost) == 1:
        notes.append(f"{path} line {lost[0]} is cut off or no row, and is left out")
    elif lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        state = "are cut off or no rows, and are left out"
        notes.append(f"{path} lines {', '.join(lost[:3])}{more} {state}")
    return whole, rest
