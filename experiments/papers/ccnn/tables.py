"""CCNN's tables II to V from the rows, and differences on the same seeds."""

import numpy as np

from experiments import rows, tables
from experiments.papers.ccnn.cells import RESULTS, SEEDS, STARTS, VARIANTS
from experiments.papers.ccnn.published import PAPER
from jaxclust.runs.rows import Row

PAIRS = (
    # What the compensation brings.
    ("ccnn", "baseline-i"),
    *((f"rate {rate}", f"baseline-i rate {rate}") for rate in (0.1, 1.0)),
    ("train all", "baseline-i train all"),
    # What the adaptation layers bring.
    ("random fc9", "plain ccnn"),
    *((f"random fc9 {name}", f"plain {name}") for name in ("baseline-ii", "baseline-iii")),
    ("batch norm train all batch statistics", "batch norm train all"),
    # What each setting brings that is changed alone.
    *(
        (name, "ccnn")
        for name, variant in VARIANTS.items()
        if variant.method in ("ccnn", "ccnn-norm") and name != "ccnn"
    ),
    *((name, "ccnn") for name in ("baseline-ii", "baseline-iii")),
)
HEADS = (
    "data",
    "start",
    "variant",
    "seeds",
    "NMI(sqrt)",
    "paper",
    "drift",
    "length",
    "s/seed",
    "MB",
)

Cells = dict[tuple[str, str, str], list[Row]]
"""Rows by data set, variant and start."""


def read_cells() -> Cells:
    """The rows of each cell."""
    cells: Cells = {}
    for row in rows.read(RESULTS):
        key = (row.data, row.variant or "", str(row.extra["start"]))
        cells.setdefault(key, []).append(row)
    return cells


def text() -> str:
    """Tables II to V, and the differences of PAIRS on the same seeds.

    Drift is how far a fine-tuning moves the features that move the centroids, and length is how
    long these features are. Table III is "s/seed", without pretraining, scoring and compilation,
    and "MB", the peak of the whole process that clustered, with the set, the compiler and all
    seeds.
    """
    cells = read_cells()
    groups = [(data, start) for data in SEEDS for start in STARTS]
    lines: list[list[str]] = [[*HEADS]]
    for data, start in groups:
        for variant in VARIANTS:
            if (data, variant, start) in cells:
                lines.append(_line(data, start, variant, cells[data, variant, start]))
    text = [tables.aligned(lines)]
    for data, start in groups:
        for name, other in PAIRS:
            pair = [cells.get((data, variant, start), []) for variant in (name, other)]
            found = tables.differences(pair[0], pair[1], "nmi_sqrt")
            if len(found) > 1:
                spread = f"NMI(sqrt) {tables.gain(found)}, {len(found)} seeds"
                text.append(f"{data}, {start}: {name} less {other}, {spread}")
    return "\n".join(text)


def _line(data: str, start: str, variant: str, cell: list[Row]) -> list[str]:
    """A cell's line of the table."""
    names = ("drift", "length")
    moved = [[row.extra[name] for name in names] for row in cell if row.extra["length"]]
    means = np.mean(np.array(moved, float), axis=0) if moved else ()
    shown = [f"{value:.4g}" for value in means] or ["", ""]
    published = PAPER.get(data, {}).get(variant, ("",))[0]
    first = cell[0].extra
    seconds = f"{first['clustering_seconds']:.1f}" if "clustering_seconds" in first else ""
    score = tables.interval([row.nmi_sqrt for row in cell])
    peak = str(first.get("clustering_peak_mb") or "")
    return [data, start, variant, str(len(cell)), score, str(published), *shown, seconds, peak]
