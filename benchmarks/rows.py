"""The files of results that benchmarks append to, one JSON object a line."""

from collections.abc import Mapping
from pathlib import Path

from jaxclust.runs.files import json_lines, read_json_lines
from jaxclust.types import Json

RESULTS = Path(__file__).parents[1] / "experiments" / "results"


def read_rows(name: str) -> list[dict[str, Json]]:
    """The rows of ``NAME.jsonl``; none where there is no such file yet."""
    path = RESULTS / f"{name}.jsonl"
    return read_json_lines(path) if path.exists() else []


def append_row(name: str, row: Mapping[str, Json]) -> None:
    """Appends a row to ``NAME.jsonl``."""
    with (RESULTS / f"{name}.jsonl").open("a") as file:
        file.write(json_lines([row]))
