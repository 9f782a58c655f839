"""A run's ``clusters.csv`` read back: the names of its images, and how sure their clusters are."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.data.csv_cells import from_cell
from jaxclust.errors import UsageError, reading

SURE = ("probability", "distance")
"""Columns that a table has or lacks."""


class ClusterTable(NamedTuple):
    """What ``clusters.csv`` says of n images beside their votes.

    Attributes:
      names: the images' names; None where they have places instead.
      sure: the columns ``probability`` and ``distance``, float64 (n,), nan for an image that could
        not be read; none where the table lacks them.
    """

    names: tuple[str, ...] | None
    sure: dict[str, np.ndarray]


def read_cluster_table(path: Path, labels: np.ndarray) -> ClusterTable:
    """Reads a run's table, with or without ``probability`` and ``distance``.

    Args:
      path: the .csv file.
      labels: the clusters that the table must have, int (n,), -1 for an image that could not be
        read.

    Raises:
      UsageError: the table is damaged, or is not the one that the run wrote, such as one that a
        person has sorted.
    """
    rule = f"run: {path} must list the run's images in their order"
    with (
        reading(f"{rule}, is damaged", path),
        path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        header, *lines = list(csv.reader(file)) or [[]]
    if header[:2] != ["image", "cluster"] or any(len(line) != len(header) for line in lines):
        raise UsageError(f"{rule}, got other columns than image and cluster")
    expected = ["" if cluster < 0 else str(cluster) for cluster in labels.tolist()]
    if [line[1] for line in lines] != expected:
        raise UsageError(f"{rule}, got other clusters; has somebody changed or sorted it?")
    names = tuple(from_cell(line[0]) for line in lines)
    sure = {}
    for name in SURE:
        if name in header:
            column = header.index(name)
            with reading(f"{rule}, is damaged"):
                sure[name] = np.array([float(line[column] or "nan") for line in lines])
    numbered = names == tuple(map(str, range(len(names))))
    return ClusterTable(None if numbered else names, sure)
