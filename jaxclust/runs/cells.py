"""One method on one data set: the rows of all its runs, put together where they fit."""

from pathlib import Path
from typing import NamedTuple

from jaxclust.engine.checkpoint import differences
from jaxclust.errors import UsageError
from jaxclust.methods.registry import deterministic
from jaxclust.runs.rows import Row
from jaxclust.types import Json


class Cell(NamedTuple):
    """All seeds of one method on one data set.

    Attributes:
      data: the data set's name.
      method: the method's name, or the one given to the run.
      rows: results by seed.
      missing: seeds that were asked for and have no row; none of a constant method, of which one
        seed is all there is.
      folders: the runs' folders; none where the rows came from a file.
      settings: what decides the numbers, as ``settings.deciding`` gives it; None where the rows
        came from a file.
      labels: the file of the clusters in each folder.
      deterministic: whether the method draws no random number; None to know it by the method's name
        in the rows.
    """

    data: str
    method: str
    rows: dict[int, Row]
    missing: tuple[int, ...] = ()
    folders: tuple[Path, ...] = ()
    settings: dict[str, Json] | None = None
    labels: str = "labels.npy"
    deterministic: bool | None = None

    @property
    def first(self) -> Row:
        """The row of the first seed."""
        return next(iter(self.rows.values()))

    @property
    def constant(self) -> bool:
        """Whether the method draws no random number, so that all seeds are one run."""
        if self.deterministic is None:
            return deterministic(self.first.method)
        return self.deterministic

    @property
    def where(self) -> str:
        """The cell in words."""
        return f"{self.method} on {self.data}"

    @property
    def failed(self) -> dict[int, str]:
        """Where each failed seed met its NaN or inf."""
        return {
            seed: f"{row.failed_phase} step {row.failed}"
            for seed, row in self.rows.items()
            if row.failed is not None
        }


def add(cell: Cell, row: Row, path: Path) -> None:
    """Adds a seed's row to a cell.

    Raises:
      UsageError: the cell has the seed already, or the row is of another method, number of images
        or number of clusters.
    """
    if row.seed in cell.rows:
        rule = f"runs: {path} must hold a seed once"
        raise UsageError(f"{rule}, got seed {row.seed} of {cell.where} again")
    first = next(iter(cell.rows.values()), row)
    for name in ("method", "n", "clusters"):
        values = (getattr(first, name), getattr(row, name))
        if values[0] != values[1]:
            rule = f"runs: {path} must have one {name} of {cell.where}"
            raise UsageError(f"{rule}, got {values[0]} and {values[1]}")
    cell.rows[row.seed] = row


def with_missing(cell: Cell, seeds: list[int], path: Path, notes: list[str]) -> Cell:
    """A cell with those of the seeds asked for that have no row; ``notes`` gets their names."""
    if cell.constant:
        return cell._replace(missing=())
    missing = tuple(seed for seed in seeds if seed not in cell.rows)
    if missing:
        names = ", ".join(map(str, missing))
        notes.append(f"{path} lacks seeds {names} of {cell.method}, which are left out")
    return cell._replace(missing=missing)


def without_blank(cell: Cell, notes: list[str]) -> Cell:
    """A cell without rows that have neither scores nor a failure, where others have scores.

    Where true labels are known, such a row says nothing, and its seed is missing.
    """
    blank = [seed for seed, row in cell.rows.items() if row.failed is None and row.acc is None]
    if not blank or all(row.acc is None for row in cell.rows.values()):
        return cell
    seeds = ", ".join(map(str, blank))
    state = "have neither scores nor a failure, and are left out"
    notes.append(f"{cell.where}: seeds {seeds} {state}")
    rows = {seed: row for seed, row in cell.rows.items() if seed not in blank}
    missing = () if cell.constant else tuple(sorted({*cell.missing, *blank}))
    return cell._replace(rows=rows, missing=missing)


def join_baselines(baselines: list[Cell], notes: list[str]) -> list[Cell]:
    """The baselines of one data set as one cell.

    Runs of other seeds keep other seeds of the baseline beside them.
    """
    joined: dict[tuple[str, str], Cell] = {}
    for cell in baselines:
        first = joined.setdefault((cell.data, cell.method), cell)
        clusters = first.first.clusters
        if cell.first.clusters != clusters:
            state = f"with {cell.first.clusters} clusters is left out, beside {clusters}"
            notes.append(f"{cell.where} {state}")
            continue
        for seed in _contradicting(first, cell):
            state = "has other scores beside another run, and counts as it is first"
            notes.append(f"seed {seed} of {cell.where} {state}")
        rows = cell.rows | first.rows
        missing = tuple(sorted({*first.missing, *cell.missing} - rows.keys()))
        joined[cell.data, cell.method] = first._replace(rows=rows, missing=missing)
    return list(joined.values())


def join(one: Cell, other: Cell, notes: list[str]) -> Cell:
    """Two runs of one method on one data set as one cell.

    Raises:
      UsageError: they are not of one setting, or a seed has two scores.
    """
    where = one.where
    places = " and ".join(str(folder) for folder in (*one.folders, *other.folders))
    if one.settings is None or other.settings is None:
        raise UsageError(f"runs: {where} must come once where rows are read from a file")
    differing = differences(one.settings, other.settings)
    if differing:
        raise UsageError(
            f"runs: {where} must have one setting, differs in {'; '.join(differing)}, in {places}; "
            "NAME=RUN gives one of them another name"
        )
    for seed in _contradicting(one, other):
        rule = f"runs: seed {seed} of {where} must have one score"
        raise UsageError(f"{rule}, got two, in {places}")
    for seed in sorted(one.rows.keys() & other.rows.keys()):
        state = "is there twice, with the same scores, and counts once"
        notes.append(f"seed {seed} of {where} {state}")
    missing = {*one.missing, *other.missing} - one.rows.keys() - other.rows.keys()
    return one._replace(
        rows=one.rows | other.rows,
        missing=tuple(sorted(missing)),
        folders=one.folders + other.folders,
    )


def _contradicting(one: Cell, other: Cell) -> list[int]:
    """The seeds that both have, with other scores."""
    shared = sorted(one.rows.keys() & other.rows.keys())
    return [seed for seed in shared if one.rows[seed].outcome() != other.rows[seed].outcome()]


def check_same_images(cells: list[Cell]) -> None:
    """Refuses cells that call different images by one data set's name.

    Raises:
      UsageError: two cells of one name have other images, labels or numbers of images.
    """
    first: dict[str, Cell] = {}
    # Rows from a file have no fingerprint of the images: a cell that has one comes first.
    for cell in sorted(cells, key=lambda cell: cell.settings is None):
        known = first.setdefault(cell.data, cell)
        differing = []
        if known.settings is not None and cell.settings is not None:
            differing = differences(known.settings["data"], cell.settings["data"])
        if not differing and known.first.n != cell.first.n:
            differing = [f"n ({known.first.n} -> {cell.first.n})"]
        if differing:
            raise UsageError(
                f"runs: {cell.data} must be the same images and labels in all runs, differs in "
                f"{'; '.join(differing)}, in {known.method} and {cell.method}"
            )
