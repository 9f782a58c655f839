"""Features that a user brings in a file; nothing is ever unpickled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.errors import UsageError, reading

FILE_COLUMNS = ("file", "path")
"""The column with the files' names in a table, by either name."""
LIST_COLUMN = "features"
"""A column that holds all features of a file as a list."""


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
      UsageError: the file cannot be read, or holds something else.
    """
    rule = f"features: {path} must be a readable .npy file of plain numbers"
    with reading(rule, path), path.open("rb") as file:
        features = np.load(file, allow_pickle=False)
    if not isinstance(features, np.ndarray):
        raise UsageError(f"{rule}, got an archive")
    return features


def read_parquet(path: Path, files: Sequence[str] | None) -> np.ndarray:
    """Features from a .parquet file, matched to files by their names.

    The table has a column "file" (or "path") with names as relative to the pictures' folder, and
    either a column "features" of lists of one length or columns of numbers, whose order counts.
    Rows of other files are passed over.

    Args:
      path: the table.
      files: the pictures' names, or None where they were not read from a folder.

    Returns:
      float64, (n, d), in the files' order.

    Raises:
      UsageError: the table cannot be read, has other columns, or lacks a file or has it twice.
    """
    if files is None:
        rule = "features: a .parquet file names pictures and needs a folder of them"
        raise UsageError(f"{rule}, got {path} for images that are no files")
    with reading(f"features: {path} must be a readable .parquet file", path):
        return _features_of(path, files)


def _features_of(path: Path, files: Sequence[str]) -> np.ndarray:
    """Features of files, float64 (n, d), from a table that is there."""
    table = _table(path)
    names = table.column_names
    called = [name for name in FILE_COLUMNS if name in names]
    if not called:
        raise UsageError(f"features: {path} must have a column file or path, has {_listed(names)}")
    places: dict[Any, int] = {}
    for row, name in enumerate(table.column(called[0]).to_pylist()):
        if name in places:
            raise UsageError(f"features: {path} must have each file once, has {name} twice")
        places[name] = row
    missing = [name for name in files if name not in places]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"features: {path} must have every file, misses {missing[0]}{more}")
    return _numbers(path, table)[[places[name] for name in files]]


def _table(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"features: {path} needs pyarrow: pip install pyarrow") from None
    return pyarrow.parquet.read_table(path)


def _numbers(path: Path, table: Any) -> np.ndarray:
    """The features of all rows, float64 (rows, d)."""
    import pyarrow

    types = pyarrow.types
    schema = {field.name: field.type for field in table.schema}
    kind = schema.get(LIST_COLUMN)
    if kind is not None and _is_list(kind):
        lists = table.column(LIST_COLUMN).combine_chunks()
        flat = lists.flatten()
        d = len(flat) // max(len(lists), 1)
        lengths = np.array(lists.value_lengths()) if not types.is_fixed_size_list(kind) else d
        if lists.null_count or not np.all(lengths == d):
            rule = f"features: {path} must have lists of one length in the column {LIST_COLUMN}"
            raise UsageError(f"{rule}, got others")
        return _floats(path, flat).reshape(len(lists), d)
    numeric = [
        name
        for name, column in schema.items()
        if types.is_integer(column) or types.is_floating(column)
    ]
    if not numeric:
        rule = f"features: {path} must have columns of numbers or a column {LIST_COLUMN} of lists"
        raise UsageError(f"{rule}, has {_listed(schema)}")
    return np.stack([_floats(path, table.column(name)) for name in numeric], axis=1)


def _is_list(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _floats(path: Path, column: Any) -> np.ndarray:
    """A column's numbers as float64; missing ones are refused."""
    import pyarrow

    if column.null_count:
        raise UsageError(f"features: {path} must have all numbers, misses {column.null_count}")
    with reading(f"features: {path} must hold numbers"):
        return np.asarray(column.cast(pyarrow.float64()))


def _listed(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")
