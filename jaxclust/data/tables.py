"""Tables of picture files: .csv or .parquet, with a column of files and one of labels."""

import csv
from pathlib import Path
from typing import NamedTuple

from jaxclust.data.csv_cells import from_cell
from jaxclust.errors import UsageError, reading

ENDINGS = (".csv", ".parquet")
FILE_COLUMNS = ("file", "path", "image")
LABEL_COLUMN = "label"


class Table(NamedTuple):
    """The rows of a table.

    Attributes:
      files: paths as they are written, with blanks around them.
      labels: words in the order of ``files``, "" where one is missing; None without such a column.
    """

    files: list[str]
    labels: list[str] | None


def read_table(path: Path, what: str) -> Table:
    """Reads a table.

    Args:
      path: a .csv file in UTF-8 with commas, semicolons or tabs, with or without the apostrophes of
        ``csv_cells``; or a .parquet file.
      what: the name of the argument that an error begins with.

    Raises:
      UsageError: it is not there, cannot be read, or has no column of files.
    """
    if not path.exists():
        raise UsageError(f"{what}: {path} must be a file, and is not there")
    read = _parquet if path.suffix.lower() == ".parquet" else _csv
    with reading(f"{what}: {path} must be a readable table", path):
        columns = read(path, what)
    file_column = next((name for name in FILE_COLUMNS if name in columns), None)
    if file_column is None:
        rule = f"{what}: {path} must have a column {' or '.join(FILE_COLUMNS)}"
        raise UsageError(f"{rule}, got {', '.join(columns) or 'none'}")
    labels = columns.get(LABEL_COLUMN)
    for label in labels or ():
        if not label.isprintable():  # Also a byte that is no UTF-8.
            rule = f"{what}: {path} must have labels of printable text in UTF-8"
            raise UsageError(f"{rule}, got {label!a}")
    return Table(columns[file_column], labels)


def _csv(path: Path, _: str) -> dict[str, list[str]]:
    """The columns of a CSV file by their names in small letters."""
    # Bytes that are no UTF-8 are kept as Python keeps them in files' names.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        head = file.readline()
        file.seek(0)
        separator = next((mark for mark in ",;\t" if mark in head), ",")
        rows = list(csv.reader(file, delimiter=separator, strict=True))
    names = [name.strip().lower() for name in rows[0]] if rows else []
    filled = [row for row in rows[1:] if any(cell.strip() for cell in row)]
    return {
        name: [_cell(row[place], name) if place < len(row) else "" for row in filled]
        for place, name in enumerate(names)
    }


def _cell(cell: str, column: str) -> str:
    """The text of a cell; blanks around it may belong to the name of a file."""
    return from_cell(cell if column in FILE_COLUMNS else cell.strip())


def _parquet(path: Path, what: str) -> dict[str, list[str]]:
    """The columns of files and labels of a Parquet file by their names in small letters."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise UsageError(f"{what}: {path} needs pip install pyarrow") from error
    known = {name.lower(): name for name in parquet.read_schema(path).names}
    used = [name for name in (*FILE_COLUMNS, LABEL_COLUMN) if name in known]
    if not used:
        return {name: [] for name in known if name != LABEL_COLUMN}
    table = parquet.read_table(path, columns=[known[name] for name in used])
    columns: dict[str, list[str]] = {}
    for name in used:
        values = table[known[name]].to_pylist()
        if not all(value is None or isinstance(value, str | int) for value in values):
            rule = f"{what}: the column {known[name]} of {path} must hold text or whole numbers"
            raise UsageError(f"{rule}, got {table[known[name]].type}")
        columns[name] = ["" if value is None else str(value) for value in values]
    return columns
