"""What a finished run's folder lacks and its labels give: made again, and no result is touched."""

import dataclasses

from jaxclust.data.datasets import Dataset
from jaxclust.data.sources import Source
from jaxclust.errors import UsageError
from jaxclust.runs.notes import NOTES, read_notes, write_notes
from jaxclust.runs.progress import Bars
from jaxclust.runs.rows import read_rows
from jaxclust.runs.run import Run
from jaxclust.runs.whole import has_table
from jaxclust.types import Prediction

BASELINE = "baseline.jsonl"
"""The file of a run's folder with the rows of k-means on the same images."""


def make_notes(run: Run, data_notes: tuple[str, ...]) -> None:
    """Writes a run's notes where they are gone or damaged.

    Args:
      run: finished, as read from its folder.
      data_notes: what is said of its images.
    """
    assert run.directory is not None
    try:
        read_notes(run.directory)
    except UsageError:
        (run.directory / NOTES).unlink()
    if not (run.directory / NOTES).exists():
        write_notes(run.directory, (*data_notes, *run.notes))


def make_table(run: Run, data: Dataset | Source, bars: Bars) -> None:
    """Writes the table of a run's clusters from its labels, where it is gone or was cut off.

    Versions before it wrote none. Where the run's checkpoint cannot be used, the table has neither
    ``probability`` nor ``distance``, and a line says so.

    Args:
      run: finished, as read from its folder.
      data: what it clustered.
      bars: says what is missing.
    """
    assert run.directory is not None
    if has_table(run.directory) or not run.kept_lanes():
        return
    if isinstance(data, Source):
        run.write_clusters(run.directory, data.called)
        return
    predictions: Prediction | None = None
    if run.method.algorithm.finish is None:
        try:
            predictions = run.apply_to_inputs(data.images, list(run.seeds), "predict")
        except UsageError as error:
            bars.say(f"note: the clusters' table has no probability and no distance: {error}")
    known = dataclasses.replace(run, names=data.files, predictions=predictions)
    known.write_clusters(run.directory)


def has_baseline(run: Run) -> bool:
    """Whether a run's folder has a row of the baseline for each of its seeds."""
    assert run.directory is not None
    path = run.directory / BASELINE
    if not path.exists():
        return False
    try:
        rows = read_rows(path)
    except UsageError:
        return False
    return [row.seed for row in rows] == list(run.seeds)
