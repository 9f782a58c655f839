"""What a finished run has to say in a terminal: the table people read, and warnings."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.evaluation import stats
from jaxclust.runs.files import read_rows
from jaxclust.runs.rows import read_results
from jaxclust.runs.settings import read_settings

COLLAPSED = 0.9
"""A run whose largest cluster holds more than this share of the images has collapsed."""


def table(blocks: Sequence[list[dict[str, Any]]]) -> str:
    """The runs of several methods side by side: a line a seed, then mean, sd and 95 % interval."""
    columns = (
        ("acc", "ACC", 4),
        ("nmi", "NMI", 4),
        ("ari", "ARI", 4),
        ("seconds", "seconds", 1),
        ("compile_seconds", "compile s", 1),
    )
    grid: list[list[str]] = [[""], [""]]
    grid += [[f"seed {row['seed']}"] for row in blocks[0]]
    grid += [["mean"], ["sd"], ["95 % low"], ["95 % high"]]
    notes = []
    for rows in blocks:
        grid[0] += [f"{rows[0]['method']}".ljust(10), *[" " * 10] * (len(columns) - 1)]
        for name, title, digits in columns:
            values = [row[name] for row in rows]
            present = [value for value in values if value is not None]
            cells = ["-" if value is None else f"{value:.{digits}f}" for value in values]
            if present:
                _, mean, *spread = stats.summary(present)
                # One clock for the run: its seeds' equal shares have no spread to speak of.
                spread = [np.nan] * 3 if name in ("seconds", "compile_seconds") else spread
                cells += [
                    "-" if np.isnan(value) else f"{value:.{digits}f}" for value in (mean, *spread)
                ]
            else:
                cells += ["-"] * 4
            for line, cell in zip(grid[1:], [title, *cells], strict=True):
                line.append(cell)
        failed = [
            f"seed {row['seed']} ({row['failed_phase']} step {row['failed']})"
            for row in rows
            if row["failed"] is not None
        ]
        if failed:
            notes.append(
                f"{rows[0]['method']}: failed with NaN or inf, not in the mean: {', '.join(failed)}"
            )
    body = "\n".join(
        line[0].ljust(10) + "".join(cell.rjust(10) for cell in line[1:]) for line in grid
    )
    return "\n".join(line.rstrip() for line in [*body.split("\n"), *notes])


def summary(directory: Path) -> str:
    """What a finished run's folder has to say: the data, the table beside the baseline's, where the files are."""
    rows = read_results(directory)
    first, baseline = rows[0], directory / "baseline.jsonl"
    rows += read_rows(baseline) if baseline.exists() else []
    names = dict.fromkeys(row["method"] for row in rows)
    return "\n".join(
        [
            f"{read_settings(directory)['method']} on {first['data']}: {first['n']:,} images, "
            f"{first['clusters']} clusters, preset {first['preset']}",
            table([[row for row in rows if row["method"] == name] for name in names]),
            "seconds: the run's wall-clock time without compilation, divided by its seeds; compile s: the whole run's",
            f"files: {directory}",
        ]
    )


def finished(directory: Path) -> bool:
    """Whether a run has its results already; says so, and concludes it."""
    if not (directory / "results.jsonl").exists():
        return False
    print(f"{directory} is finished already")
    conclude(directory)
    return True


def conclude(directory: Path) -> None:
    """Prints a finished run's ``summary``, and a warning on stderr for each seed that collapsed."""
    print(summary(directory))
    for row in read_results(directory):
        if row["largest_cluster"] is not None and row["largest_cluster"] > COLLAPSED:
            share = f"one cluster holds {100 * row['largest_cluster']:.0f} % of the images"
            print(f"jaxclust: warning: seed {row['seed']} collapsed, {share}", file=sys.stderr)
