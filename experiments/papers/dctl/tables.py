"""DCTL's tables 1 and 2 from the rows, with differences on the same seeds, and its open choices."""

from collections.abc import Sequence

import numpy as np

from experiments import rows, tables
from experiments.papers.dctl import cells
from experiments.papers.dctl.published import LAYOUT, PAPER_SECONDS
from jaxclust.runs.rows import Row

DATA = tuple(cells.SEEDS)
PAIRS = (
    # Joint less piecewise.
    ("dctl", "dctl-piecewise"),
    ("dctl-1-layer", "dctl-1-layer-piecewise"),
    # Two layers less one.
    ("dctl", "dctl-1-layer"),
    ("dctl-piecewise", "dctl-1-layer-piecewise"),
    # Trained less untrained.
    ("dctl", cells.CONTROL),
    ("dctl-piecewise", cells.CONTROL),
    # DCTL less the others.
    *(("dctl", name) for name in cells.TABLE_1 if name != "dctl"),
)
OPEN_PAIRS = tuple((name, cells.changed_from(name)) for name in cells.OPENED)


def text() -> str:
    """All tables."""
    present = rows.read(cells.RESULTS)
    parts = [
        "Table 1 (the paper's Extended Yale B has more images, fewer persons: compare a method "
        "with those beside it).",
        "Seconds a seed, pretraining included, compilation not; k-means's of the same restarts.",
        table(present, DATA, tuple(cells.TABLE_1)),
        "",
        "Table 2",
        table(present, DATA, (*cells.TABLE_2, cells.CONTROL)),
        "",
        "Differences on the same seeds: mean, 95 % interval of the mean",
        differences(present),
    ]
    if any(row.method in cells.OPENED for row in present):
        parts += [
            "",
            "What the paper leaves open, changed "
            "(each psi but none goes with Adam: compare it with open-adam)",
            table(present, DATA[:1], ("dctl", "dctl-1-layer", *cells.OPENED)),
            "",
            "The same on the same seeds, less DCTL as it is (psi: less open-adam; one layer: less "
            "one layer)",
            differences(present, OPEN_PAIRS),
        ]
    return "\n".join([*parts, "", filters()])


def table(present: list[Row], data: tuple[str, ...], methods: tuple[str, ...]) -> str:
    """Scores, seconds here and in the paper, and what each method got.

    Both seconds come also as multiples of k-means's.
    """

    def multiple(cell: Sequence[Row]) -> str:
        own = _seconds(cell)
        base = _seconds(rows.of_cell(present, cell[0].data, "kmeans"))
        return f"{own / base:.1f}" if own and base else ""

    def paper(cell: Sequence[Row]) -> str:
        published = PAPER_SECONDS.get(cell[0].data, {})
        seconds = published.get(cell[0].method)
        return f"{seconds} ({seconds / published['kmeans']:.1f})" if seconds else ""

    more = {
        "seconds": lambda cell: f"{_seconds(cell):.1f}" if _seconds(cell) else "",
        "/ k-means": multiple,
        "paper": paper,
        "input": lambda cell: cell[0].input,
    }
    return tables.table(present, data, methods, LAYOUT._replace(more=more))


def _seconds(cell: Sequence[Row]) -> float | None:
    """A seed's share of its cell's seconds; None where every seed failed."""
    return next((row.seconds for row in cell if row.failed is None), None)


def differences(present: list[Row], pairs: Sequence[tuple[str, str]] = PAIRS) -> str:
    """A line for each pair, data set and score with rows."""
    lines = []
    for data in cells.SEEDS:
        for name, other in pairs:
            first = rows.of_cell(present, data, name)
            second = rows.of_cell(present, data, other)
            for score in LAYOUT.scores:
                found = tables.differences(first, second, score)
                if len(found) > 1:
                    pair = f"{name} less {other}"
                    spread = f"{tables.gain(found)} over {len(found)} seeds"
                    lines.append(f"{data:11} {pair:42} {score} {spread}")
    return "\n".join(lines)


def filters() -> str:
    """How near any round of any cell came to the trivial solution."""
    lines = rows.read_lines(cells.ROUNDS)
    present = [line for line in lines if np.isfinite(line.get("least_singular", np.nan))]
    if not present:
        return ""
    least = min(present, key=lambda line: line["least_singular"])
    where = f"{least['data']}, {least['method']}, seed {least['seed']}"
    title = "Least singular value of a layer's filters in any round"
    return f"{title}: {least['least_singular']} ({where})"
