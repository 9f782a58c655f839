"""Corrections that a person made to groups of pictures, in a CSV file."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.data.csv_cells import from_cell
from jaxclust.errors import UsageError, did_you_mean, reading

REQUIRED = ("file", "group", "name")
"""Columns that a file must have; ``into`` is needed for merges alone."""


class _Row(NamedTuple):
    """A row of the file; ``where`` names its line for messages."""

    where: str
    file: str
    group: str
    name: str
    into: str


class Edits(NamedTuple):
    """The corrections of a file.

    Attributes:
      content: the file's bytes.
      rows: its rows, in their order.
    """

    content: bytes
    rows: tuple[_Row, ...]

    @property
    def moved_files(self) -> set[str]:
        """The files that are moved one by one, not with their whole group."""
        return {row.file for row in self.rows if row.file}


def read_edits(path: Path) -> Edits:
    """Reads a file of corrections that the gallery's "Save corrections" wrote.

    The file is a CSV in UTF-8 with the columns ``file,group,name,into``, in any order. ``into`` may
    be left out where no groups are merged. A row is one of three:

    - ``file`` and ``group`` are filled: the picture of this name belongs to this group, or fits no
      group where it is -1.
    - ``group`` is filled, ``into`` too: all pictures of the first group go to the second.
    - ``group`` is filled, ``file`` and ``into`` are empty: the group has this name, or none where
      ``name`` is empty.

    Groups are numbered as they were before the corrections, 0..k-1; k, k+1, ... are new groups. The
    order of the rows is of no account: groups are merged first (a chain of merges leads to its
    end), and a picture's row counts more than the merge of its group. A file's name that is no
    UTF-8 stands as its own bytes.

    For example, with two groups: the first is named, a picture goes to a new group, and another
    fits no group::

        file,group,name,into
        ,0,Cats,
        ,2,Dogs,
        holiday/1.jpg,2,,
        holiday/2.jpg,-1,,

    Args:
      path: the .csv file.

    Raises:
      UsageError: the file cannot be read, lacks a column, or has a row that is none of the three.
    """
    rows = []
    with reading(f"edits: {path} must be a CSV file that can be read", path):
        content = path.read_bytes()
        text = content.decode("utf-8-sig", "surrogateescape")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        for column in REQUIRED:
            if column not in header:
                raise UsageError(
                    f"edits: {path} must have the columns file, group and name, "
                    f"got {', '.join(header) or 'an empty file'}"
                )
        for cells in reader:
            if any(cells):
                rows.append(_row(f"edits: {path} line {reader.line_num}", header, cells))
    return Edits(content, tuple(rows))


def apply_edits(
    edits: Edits, names: Sequence[str], groups: np.ndarray, group_names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Applies corrections.

    Args:
      edits: as ``read_edits`` gives them.
      names: file names of the n pictures, as the gallery shows them.
      groups: group of each picture before, int32 (n,), 0..k-1 or -1.
      group_names: names of the k groups before, "" where a group has none.

    Returns:
      The group of each picture, int32 (n,), and the names of all groups. Numbers stay as they
      were, so that a group that was merged or emptied has no pictures.

    Raises:
      UsageError: a picture or a group is unknown, has two rows that contradict each other, or is
        merged and used at once.
    """
    rows = edits.rows
    k = len(group_names)
    total = _total(rows, k)
    into = _merges([row for row in rows if row.into], k, total)
    groups = np.asarray(groups)
    settled = np.array([*(_end(group, into) for group in range(total)), -1], np.int32)
    edited = settled[groups]  # -1 is the last entry.
    places = {name: place for place, name in enumerate(names)}
    new_names = [*group_names, *[""] * (total - k)]
    told: dict[str | int, str] = {}
    for row in rows:
        if row.into:
            continue
        number = _number(row, row.group, -1 if row.file else 0, total)
        if number in into:
            raise UsageError(
                f"{row.where}: group must not be merged by another row, got {row.group}"
            )
        if told.setdefault(row.file or number, row.where) != row.where:
            thing = f"file {row.file!r}" if row.file else f"name of group {number}"
            raise UsageError(f"{row.where}: must not give the {thing} a second time")
        if not row.file:
            new_names[number] = row.name
        elif row.file in places:
            edited[places[row.file]] = number
        else:
            hint = did_you_mean(row.file, names)
            raise UsageError(
                f"{row.where}: file must be one of the {len(names):,} pictures, got "
                f"{row.file!r}{hint}"
            )
    return edited, new_names


def _row(where: str, header: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(header):
        raise UsageError(f"{where}: must have {len(header)} cells, got {len(cells)}")
    cell = dict(zip(header, cells, strict=True))
    file = from_cell(cell["file"])
    name = from_cell(cell["name"])
    row = _Row(where, file, cell["group"], name, cell.get("into", "").strip())
    if (row.file and (row.name or row.into)) or (row.name and row.into):
        raise UsageError(f"{where}: must fill one of file, name and into, got {','.join(cells)}")
    return row


def _number(row: _Row, cell: str, low: int, total: int) -> int:
    """A cell's group, low..total-1."""
    try:
        number = int(cell)
    except ValueError:
        number = low - 1
    if not low <= number < total:
        raise UsageError(f"{row.where}: group must be {low} to {total - 1}, got {cell!r}")
    return number


def _total(rows: Sequence[_Row], k: int) -> int:
    """How many groups there are with the new ones, whose numbers go on from k without a gap."""
    cells = {cell for row in rows for cell in (row.group, row.into)}
    used = {int(cell) for cell in cells if cell.strip().isdecimal()}
    total = k
    while total in used:
        total += 1
    return total


def _merges(rows: Sequence[_Row], k: int, total: int) -> dict[int, int]:
    """The group that each merged group goes to."""
    into: dict[int, int] = {}
    for row in rows:
        number = _number(row, row.group, 0, k)
        other = _number(row, row.into, 0, total)
        if into.setdefault(number, other) != other:
            raise UsageError(f"{row.where}: must not merge group {number} into two groups")
        if _end(number, into) == -1:
            raise UsageError(f"{row.where}: must not merge group {number} into itself")
    return into


def _end(group: int, into: dict[int, int]) -> int:
    """The end of a chain of merges; -1 where it has none."""
    for _ in range(len(into) + 1):
        if group not in into:
            return group
        group = into[group]
    return -1
