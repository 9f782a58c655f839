"""What a finished run shows in a terminal: the table that people read, and warnings."""

import sys

from jaxclust.errors import UsageError
from jaxclust.runs.rows import read_rows
from jaxclust.runs.run import Run
from jaxclust.runs.scores import score_table

COLLAPSED = 0.9
"""A seed whose largest cluster holds more than this share of the images has collapsed."""


def summary(run: Run) -> str:
    """A finished run in words: the data, its table beside the baseline's, and its folder.

    Args:
      run: finished, and in a folder.

    Raises:
      UsageError: the run is not finished, or the baseline's rows are damaged.
    """
    if not run.finished or run.directory is None:
        raise UsageError("run: must be finished and in a folder to be shown")
    first = run.rows[0]
    rows = list(run.rows)
    baseline = run.directory / "baseline.jsonl"
    if baseline.exists():
        rows += read_rows(baseline)
    names = dict.fromkeys(row.method for row in rows)
    size = f"{first.n:,} images, {first.clusters} clusters, preset {first.preset}"
    return "\n".join(
        [
            f"{run.settings.method} on {first.data}: {size}",
            score_table([[row for row in rows if row.method == name] for name in names]),
            "seconds: the run's wall-clock time without compilation, divided by its seeds; "
            "compile s: the whole run's",
            f"files: {run.directory}",
        ]
    )


def show(run: Run, quiet: bool = False) -> None:
    """Prints a finished run's ``summary``, and a warning on stderr for each seed that collapsed.

    Args:
      run: finished, and in a folder.
      quiet: print only where the files are, and the warnings.
    """
    print(f"files: {run.directory}" if quiet else summary(run))
    for row in run.rows:
        if row.largest_cluster is not None and row.largest_cluster > COLLAPSED:
            share = f"one cluster holds {100 * row.largest_cluster:.0f} % of the images"
            print(f"jaxclust: warning: seed {row.seed} collapsed, {share}", file=sys.stderr)
