"""Scores of a run's seeds, and the table that people read."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxclust.runs.rows import SCORES, Row

SCORE_COLUMNS = (("acc", "ACC", 4), ("nmi", "NMI", 4), ("ari", "ARI", 4))
TIME_COLUMNS = (("seconds", "seconds", 1), ("compile_seconds", "compile s", 1))
"""Field of a row, title and digits of a table's columns."""


class Summary(NamedTuple):
    """Mean, standard deviation and the ends of the mean's 95 % interval; nan where unknown."""

    mean: float
    sd: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, repr=False)
class Scores:
    """The scores of each seed; prints as a table with mean, sd, 95 % interval and consensus.

    Attributes:
      rows: one for each seed.
      consensus: the scores of ``Run.consensus()`` by name, such as "acc"; None for a run of one
        seed, and where every seed failed.
    """

    rows: tuple[Row, ...]
    consensus: Mapping[str, float] | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the scores."""
        return tuple(row.seed for row in self.rows)

    @property
    def acc(self) -> np.ndarray:
        """Accuracies, float64 (seeds,), nan for a failed seed."""
        return self.values("acc")

    @property
    def nmi(self) -> np.ndarray:
        """Normalized mutual information (arithmetic), float64 (seeds,), nan for a failed seed."""
        return self.values("nmi")

    @property
    def ari(self) -> np.ndarray:
        """Adjusted Rand indices, float64 (seeds,), nan for a failed seed."""
        return self.values("ari")

    def values(self, metric: str) -> np.ndarray:
        """One score of each seed, float64 (seeds,), nan for a failed seed.

        Args:
          metric: "acc", "nmi", "nmi_sqrt", "nmi_max" or "ari".
        """
        scores = [row.score(metric) for row in self.rows]
        return np.array([np.nan if score is None else score for score in scores])

    def summary(self, metric: str = "acc") -> Summary:
        """Mean, sd and 95 % interval over the seeds that did not fail.

        The interval stays within the metric's bounds, see ``jaxclust.evaluation.stats.bounds``.
        """
        from jaxclust.evaluation import stats

        values = self.values(metric)
        present = values[np.isfinite(values)]
        if not present.size:
            return Summary(np.nan, np.nan, np.nan, np.nan)
        bounds = stats.SCORE_BOUNDS[metric]
        return Summary(*stats.summary(present.tolist(), bounds=bounds)[1:])

    def __repr__(self) -> str:
        return score_table([self.rows], SCORE_COLUMNS, [self.consensus])


def score_table(
    blocks: Sequence[Sequence[Row]],
    columns: Sequence[tuple[str, str, int]] = (*SCORE_COLUMNS, *TIME_COLUMNS),
    consensus: Sequence[Mapping[str, float] | None] = (),
) -> str:
    """The runs of several methods side by side: a line a seed, then mean, sd and 95 % interval.

    Args:
      blocks: the rows of each method, with the same seeds.
      columns: field of a row, title and digits.
      consensus: the scores of each method's consensus, which are the last line, None where they
        are not known; no such line where they are known of no method.
    """
    votes = [scores or {} for scores in consensus] or [{} for _ in blocks]
    grid: list[list[str]] = [[""], [""]]
    grid += [[f"seed {row.seed}"] for row in blocks[0]]
    grid += [["mean"], ["sd"], ["95 % low"], ["95 % high"], ["consensus"]]
    notes = []
    for rows, scores in zip(blocks, votes, strict=True):
        grid[0] += [f"{rows[0].method}".ljust(10), *[" " * 10] * (len(columns) - 1)]
        for name, title, digits in columns:
            cells = _cells(rows, name, digits)
            cells.append(f"{scores[name]:.{digits}f}" if name in scores else "-")
            for line, cell in zip(grid[1:], [title, *cells], strict=True):
                line.append(cell)
        failed = [
            f"seed {row.seed} ({row.failed_phase} step {row.failed})"
            for row in rows
            if row.failed is not None
        ]
        if failed:
            note = f"{rows[0].method}: failed with NaN or inf, not in the mean"
            notes.append(f"{note}: {', '.join(failed)}")
    notes += unscored_notes([row for rows in blocks for row in rows])
    if not any(votes):
        grid.pop()
    body = [line[0].ljust(10) + "".join(cell.rjust(10) for cell in line[1:]) for line in grid]
    return "\n".join(line.rstrip() for line in [*body, *notes])


def unscored_notes(rows: Sequence[Row]) -> list[str]:
    """A sentence for each data set of which the scores leave out images."""
    counts = {(row.data, row.unscored, row.n) for row in rows if row.unscored}
    return [
        f"{data}: {unscored:,} of {n:,} images have no known class and are not in the scores"
        for data, unscored, n in sorted(counts)
    ]


def _cells(rows: Sequence[Row], name: str, digits: int) -> list[str]:
    """A column's cells: each seed's value, then mean, sd and interval."""
    from jaxclust.evaluation import stats

    values = [getattr(row, name) for row in rows]
    cells = ["-" if value is None else f"{value:.{digits}f}" for value in values]
    present = [value for value in values if value is not None]
    if not present:
        return [*cells, *["-"] * 4]
    _, mean, *spread = stats.summary(present, bounds=stats.SCORE_BOUNDS.get(name))
    if name not in SCORES:
        # The run has one clock: its seeds' equal shares have no spread.
        spread = [np.nan] * 3
    return cells + ["-" if np.isnan(one) else f"{one:.{digits}f}" for one in (mean, *spread)]
