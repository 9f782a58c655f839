"""What a finished run shows in a terminal: the table that people read, and warnings."""

import sys

import numpy as np

from jaxclust.errors import UsageError
from jaxclust.report.overview import overview
from jaxclust.runs.consensus import CLUSTERS_CSV
from jaxclust.runs.notes import before
from jaxclust.runs.rows import read_rows, row_name
from jaxclust.runs.run import Run
from jaxclust.runs.scores import score_table


def summary(run: Run, labels: np.ndarray | None = None) -> str:
    """A finished run in words: the data, its table beside the baseline's, and its folder.

    Where no true labels are known, the lines of ``overview`` stand in the table's place.

    Args:
      run: finished, and in a folder.
      labels: true classes, integers (n,), for the scores of the consensus; None where they are not
        known.

    Raises:
      UsageError: the run is not finished, or the baseline's rows are damaged.
    """
    if not run.finished or run.directory is None:
        raise UsageError("run: must be finished and in a folder to be shown")
    first = run.rows[0]
    size = f"{first.n:,} images, {first.clusters} clusters, preset {first.preset}"
    head = f"{run.settings.method} on {first.data}: {size}"
    if labels is None and _has_clusters_alone(run):
        return "\n".join([head, *overview(run), f"files: {run.directory}"])
    rows = list(run.rows)
    baseline = run.directory / "baseline.jsonl"
    if baseline.exists():
        rows += read_rows(baseline)
    names = dict.fromkeys(row.method for row in rows)
    votes = {}
    if labels is not None and run.has_consensus:
        votes = {
            row_name(run.settings.method, labeling): run.consensus(labeling).scores(labels)
            for labeling in run.labelings
        }
    table = score_table(
        [[row for row in rows if row.method == name] for name in names],
        consensus=[votes.get(name) for name in names],
    )
    notes = []
    if run.has_consensus and (run.directory / CLUSTERS_CSV).exists():
        notes.append(
            "consensus: the cluster of each image for which most seeds vote; "
            f"{CLUSTERS_CSV} has it for every image"
        )
    return "\n".join(
        [
            head,
            table,
            "seconds: the run's wall-clock time without compilation, divided by its seeds; "
            "compile s: the whole run's",
            *notes,
            f"files: {run.directory}",
        ]
    )


def _has_clusters_alone(run: Run) -> bool:
    """Whether a run has clusters, and no score of them."""
    unscored = all(row.acc is None for row in run.rows)
    return unscored and len(run.failed) < len(run.seeds)


def show(run: Run, labels: np.ndarray | None = None, quiet: bool = False) -> None:
    """Prints a finished run's ``summary``, and its notes on stderr.

    Args:
      run: finished, and in a folder.
      labels: as of ``summary``.
      quiet: print only where the files are, and the notes.
    """
    print(f"files: {run.directory}" if quiet else summary(run, labels), flush=True)
    # Where every seed failed, the command's last line says it, and what to try.
    shown = () if quiet or not run.phases else before(run.method, run.settings.data.shape[1:])
    for note in run.notes if run.kept_lanes() else ():
        if note in shown:
            continue  # It was printed before the run.
        print(f"jaxclust: note: {note}", file=sys.stderr)
