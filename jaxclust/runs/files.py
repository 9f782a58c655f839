"""TODO"""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a file whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(beside, path)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    write_file(path, json_lines(rows))


def json_lines(rows: list[dict[str, Any]]) -> str:
    """Rows as JSON, one a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What ``write_rows`` wrote; ValueError names the first line that is no row."""
    found = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"rows: {path} line {number} must be a row of results, is damaged ({error})"
            ) from error
        if not isinstance(row, dict):
            raise ValueError(
                f"rows: {path} line {number} must be a row of results, got {line[:40]}"
            )
        found.append(row)
    return found


def write_labels(path: Path, labels: np.ndarray) -> None:
    """An .npy file, int32 (seeds, n)."""
    content = io.BytesIO()
    np.save(content, labels.astype(np.int32), allow_pickle=False)
    write_file(path, content.getvalue())
