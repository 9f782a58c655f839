"""Whether a finished run's folder holds every file that the run has written, whole."""

from pathlib import Path

import numpy as np

from jaxclust.errors import UsageError, check_regular
from jaxclust.runs.consensus import CLUSTERS_CSV
from jaxclust.runs.files import read_labels
from jaxclust.runs.folder import is_finished
from jaxclust.runs.history import CURVES
from jaxclust.runs.rows import labeling_files, read_results
from jaxclust.runs.settings import Settings, digest


def is_whole(directory: Path, settings: Settings, table: bool = True) -> bool:
    """Whether a run has ended, and its labels, rows and history are there and whole.

    Notes and a baseline do not count: ``runs.missing`` tells of them, and has them made again.

    Args:
      directory: the run's folder.
      settings: of the run.
      table: whether ``clusters.csv`` counts, too, which can be made from the labels.

    Raises:
      UsageError: the run's rows are damaged, or are of other settings.
    """
    if not is_finished(directory):
        return False
    rows = read_results(directory)
    check_hashes(directory, settings, [row.config_hash for row in rows])
    shape = (len(settings.seeds), settings.data.shape[0])
    for file in labeling_files(settings).values():
        if not _are_labels(directory / file, shape):
            return False
    if not (directory / "checkpoint" / "cluster").is_dir():
        return True  # What else is missing could be made again from the start alone.
    if table and any(row.failed is None for row in rows) and not has_table(directory):
        return False
    return _ends_a_line(directory / "history.csv")


def has_table(directory: Path) -> bool:
    """Whether a run's folder has the table of its clusters, which was not cut off."""
    return _ends_a_line(directory / CLUSTERS_CSV)


def lacks_figures(directory: Path, settings: Settings) -> bool:
    """Whether a finished run lacks figures that its checkpoint allows to draw.

    Args:
      directory: the run's folder.
      settings: of the run.
    """
    if not (directory / "checkpoint" / "cluster").is_dir():
        return False
    folder = directory / "figures"
    names = ["curves.png"] if _has_curves(directory / "history.csv") else []
    if any(row.failed is None for row in read_results(directory)):
        names += ["embedding.png", *sheet_names(settings.clusters)]
    return not all((folder / name).is_file() for name in names)


def sheet_names(clusters: int) -> list[str]:
    """The names of the sheets of images, by cluster."""
    digits = len(str(clusters - 1))
    return [f"cluster-{cluster:0{digits}d}.png" for cluster in range(clusters)]


def check_hashes(directory: Path, settings: Settings, hashes: list[str | None]) -> None:
    """Refuses rows that are of other settings than those beside them.

    Args:
      directory: the run's folder.
      settings: its ``config.json``.
      hashes: ``config_hash`` of its rows; old rows have none.

    Raises:
      UsageError: a row has another hash than the settings.
    """
    expected = digest(settings)
    for found in hashes:
        if found is not None and found != expected:
            rule = f"rows: {directory} must hold rows of the settings in its config.json"
            raise UsageError(f"{rule}, config_hash is {found} and not {expected}")


def _are_labels(path: Path, shape: tuple[int, ...]) -> bool:
    try:
        labels = read_labels(path)
    except UsageError:
        return False
    return labels.shape == shape and np.issubdtype(labels.dtype, np.integer)


def _has_curves(path: Path) -> bool:
    """Whether a history has something to draw; it is empty where no phase has windows."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            columns = file.readline().decode(errors="replace").strip().split(",")
            return any(name in columns for name in CURVES) and bool(file.readline())
    except OSError:
        return False


def _ends_a_line(path: Path) -> bool:
    """Whether a table is there and was not cut off."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"
    except OSError:
        return False
