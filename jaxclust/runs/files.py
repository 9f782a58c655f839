"""Files of rows and labels, written whole or not at all."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from jaxclust.data.csv_cells import from_cell, to_rows
from jaxclust.errors import UsageError, reading
from jaxclust.types import Json
from jaxclust.whole_files import whole


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a file whole or not at all."""
    with whole(path) as beside:
        # A file's name that is no UTF-8 is written as its own bytes.
        text = isinstance(content, str)
        beside.write_bytes(content.encode(errors="surrogateescape") if text else content)


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Writes a table line by line, and the file whole or not at all.

    Text that a spreadsheet would run as a formula is written by the rule of ``csv_cells``.

    Args:
      path: the .csv file.
      header: the columns' names.
      lines: a value for each column. A file's name that is no UTF-8 is written as its own bytes.
    """
    options: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    with whole(path) as beside, beside.open("w", **options) as file:
        # With this end of lines the writer quotes a "\r" in a name, too.
        writer = csv.writer(_Lines(file), lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(to_rows(lines))


def read_csv(path: Path) -> list[dict[str, str]]:
    """The lines of a table of ``write_csv``, by column.

    Raises:
      UsageError: it cannot be read, is no table, or a line has more cells than the first.
    """
    rule = f"table: {path} must be as it was written"
    with (
        reading(rule, path),
        path.open(encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        lines = list(csv.DictReader(file))
    if any(None in line for line in lines):
        raise UsageError(f"{rule}, has a line with more cells than the first")
    return [{name: from_cell(cell or "") for name, cell in line.items()} for line in lines]


class _Lines:
    """A file that is given lines ending in "\r\n", and writes them ending in "\n"."""

    def __init__(self, file: TextIO):
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write(f"{line[:-2]}\n")


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as JSON, one a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file; bytes that are no UTF-8 are replaced.

    Raises:
      UsageError: the file cannot be read.
    """
    with reading(f"rows: {path} must be a file that can be read", path):
        return path.read_text("utf-8", errors="replace").splitlines()


def read_json_lines(path: Path) -> list[dict[str, Json]]:
    """The JSON objects of a file of ``json_lines``.

    Raises:
      UsageError: a line is no JSON object; the first one is named.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        with reading(f"rows: {path} line {number} must be a row of results, is damaged"):
            row = json.loads(line)
        if not isinstance(row, dict):
            where = f"rows: {path} line {number} must be a row of results"
            raise UsageError(f"{where}, got {line[:40]}")
        rows.append(row)
    return rows


def write_labels(path: Path, labels: np.ndarray) -> None:
    """Writes an .npy file, int32 (seeds, n)."""
    content = io.BytesIO()
    np.save(content, labels.astype(np.int32), allow_pickle=False)
    write_file(path, content.getvalue())


def read_labels(path: Path) -> np.ndarray:
    """The labels of an .npy file, mapped from it: int (seeds, n).

    Raises:
      UsageError: the file is not there or is damaged.
    """
    rule = f"run: {path} must hold the run's labels"
    with reading(rule, path):
        labels = np.load(path, allow_pickle=False, mmap_mode="r")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise UsageError(f"{rule}, integers, got {getattr(labels, 'dtype', 'an archive')}")
    return labels
