"""Files of results: one JSON object a line, in ``experiments/results``."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxclust.runs.files import json_lines, read_json_lines, write_file
from jaxclust.runs.rows import Row, read_rows
from jaxclust.types import Json

RESULTS = Path(__file__).parent / "results"

Columns = Mapping[str, Any]
"""Values by name, such as columns of a row or settings of a method."""
Line = dict[str, Any]
"""A line of a file as it is: the row of a seed, a curve, or a choice."""


def read(path: Path) -> list[Row]:
    """The rows of seeds in a file; none where there is no such file."""
    if not path.exists():
        return []
    status = path.stat()
    return list(_read(path, status.st_mtime_ns, status.st_size))


@functools.lru_cache(maxsize=32)
def _read(path: Path, changed: int, size: int) -> tuple[Row, ...]:
    """The rows of a file as it was then: tables ask for the same rows again and again."""
    del changed, size
    return tuple(read_rows(path))


def read_lines(path: Path) -> list[Line]:
    """The lines of a file; none where there is no such file."""
    return read_json_lines(path) if path.exists() else []


def append(path: Path, lines: Iterable[Mapping[str, Json]]) -> None:
    """Adds lines to a file."""
    with path.open("a") as file:
        file.write(json_lines(lines))


def put(path: Path, lines: Iterable[Line]) -> None:
    """Puts lines into a file, in place of those of the same data and method."""
    kept = {(line["data"], line["method"]): line for line in (*read_lines(path), *lines)}
    write_file(path, json_lines(kept.values()))


def add(path: Path, rows: Iterable[Row]) -> None:
    """Adds the rows of seeds to a file."""
    append(path, [row.to_json() for row in rows])


def with_columns(row: Row, columns: Columns) -> Row:
    """The row with further columns; ``variant`` and ``input`` are fields of a row."""
    own = {name: columns[name] for name in ("variant", "input") if name in columns}
    more = {name: value for name, value in columns.items() if name not in own}
    return dataclasses.replace(row, extra=dict(row.extra) | more, **own)


def of_cell(rows: Iterable[Row], data: str, method: str) -> list[Row]:
    """The rows of a method on a data set."""
    return [row for row in rows if (row.data, row.method) == (data, method)]


def sound(rows: Sequence[Row]) -> dict[int, Row]:
    """The rows of the seeds that did not fail, by seed."""
    return {row.seed: row for row in rows if row.failed is None}
