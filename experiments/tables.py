"""Tables of scores beside the papers' numbers, as text and as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.rows import of_cell, sound
from jaxclust.evaluation import stats
from jaxclust.runs.rows import Row

Published = Mapping[str, Mapping[str, Sequence[float | None]]]
"""A paper's scores by data set and method; None where it has none."""


class Layout(NamedTuple):
    """What the columns of a table are.

    Attributes:
      published: the paper's scores, in the order of ``scores``.
      scores: names of the scores.
      runs: how many runs are behind each of the paper's numbers.
      more: further columns: a title, and what the column says of a cell's rows.
    """

    published: Published
    scores: tuple[str, ...] = ("acc", "nmi")
    runs: int = 1
    more: Mapping[str, Callable[[Sequence[Row]], str]] = {}


def interval(values: Sequence[float | None], runs: int = 1) -> str:
    """Mean and standard deviation of seeds' ACC or NMI, and their prediction interval.

    The interval is where the mean of ``runs`` more runs falls with probability 95 %. The number of
    seeds that failed stands behind it.
    """
    finite = [value for value in values if value is not None]
    failed = f" ({len(values) - len(finite)} failed)" if len(finite) < len(values) else ""
    if not finite:
        return f"-{failed}"
    if len(finite) == 1:
        return f"{finite[0]:.4f}{failed}"
    summary = stats.summary(finite)
    low, high = stats.prediction_interval(finite, runs, bounds=stats.SHARE)
    return f"{summary.mean:.4f} sd {summary.sd:.4f} [{low:.3f}, {high:.3f}]{failed}"


def gain(differences: Sequence[float]) -> str:
    """Mean of differences on the same seeds, with its 95 % interval where there are several."""
    if len(differences) == 1:
        return f"{differences[0]:+.4f}"
    nothing = [0.0] * len(differences)
    gap = stats.difference(differences, nothing, paired=True, bounds=stats.SHARE)
    return f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"


def differences(rows: Sequence[Row], others: Sequence[Row], score: str) -> list[float]:
    """A score minus that of other rows, for each seed that failed in neither."""
    first = sound(rows)
    second = sound(others)
    pairs = [(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]
    return [_known(row, score) - _known(other, score) for row, other in pairs]


def _known(row: Row, score: str) -> float:
    value = row.score(score)
    assert value is not None  # Experiments have true labels, and the seed did not fail.
    return value


def table(rows: Sequence[Row], data: Sequence[str], methods: Sequence[str], layout: Layout) -> str:
    """A line for each data set and method with rows: seeds, and each score's interval and paper."""
    heads = [title for score in layout.scores for title in (score.upper(), "paper")]
    lines = [["data", "method", "seeds", *heads, *layout.more]]
    nothing = [None] * len(layout.scores)
    for data_set in data:
        for method in methods:
            cell = of_cell(rows, data_set, method)
            if not cell:
                continue
            published = layout.published.get(data_set, {}).get(method, nothing)
            line = [data_set, method, str(len(cell))]
            for score, number in zip(layout.scores, published, strict=True):
                line.append(interval([row.score(score) for row in cell], layout.runs))
                line.append("" if number is None else f"{number:.4f}")
            lines.append(line + [column(cell) for column in layout.more.values()])
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text, each column as wide as its widest cell."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [
        [text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first line is its head."""
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)
