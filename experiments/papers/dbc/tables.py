"""DBC's tables 3 to 6 from the rows, what DBC adds to its features, and figure 9's runs."""

from collections.abc import Sequence
from pathlib import Path

from experiments import rows, tables
from experiments.papers.dbc import cells
from experiments.papers.dbc.curves import METRICS, band, sound
from experiments.papers.dbc.published import LAYOUT
from experiments.rows import Line
from experiments.tables import gain, interval


def text() -> str:
    """All tables."""
    parts = [tables.table(rows.read(cells.RESULTS), tuple(cells.SEEDS), cells.METHODS, LAYOUT)]
    parts.append(f"DBC less FCAE+k-means, the same seeds\n{gains(cells.RESULTS)}")
    if fresh := gains(cells.FRESH_RESULTS):
        parts.append(f"The same, seeds that no setting was chosen with\n{fresh}")
    present = {curve["data"] for curve in rows.read_lines(cells.CURVES)}
    for data in cells.SEEDS:
        if data in present:
            parts.append(f"Figure 9 and open choices, {data}\n{summary(data)}")
    return "\n\n".join(parts)


def gains(results: Path) -> str:
    """DBC's score less FCAE+k-means's of the same seed: a line a data set and score."""
    present = rows.read(results)
    lines = []
    for data in cells.SEEDS:
        before, after = (rows.of_cell(present, data, name) for name in cells.GAIN)
        for score in ("acc", "nmi_max"):
            found = tables.differences(after, before, score)
            if len(found) > 1:
                lines.append(f"{data:11} {score:8} {gain(found)} over {len(found)} seeds")
    return "\n".join(lines)


def summary(data: str) -> str:
    """Figure 9's runs of a data set.

    For each variant: its epochs, the last ACC and NMI(max), these less k-means at the start and
    less the paper's settings at the end, and the share of scores that have become sure.
    """
    present = [curve for curve in rows.read_lines(cells.CURVES) if curve["data"] == data]
    heads = f"{'variant':20} seeds  epochs               ACC                              NMI(max)"
    usual = [curve for curve in sound(present) if curve["variant"] == "paper"]
    lines = [heads]
    for variant in cells.VARIANTS:
        curves = [curve for curve in present if curve["variant"] == variant]
        if curves:
            lines += _variant(variant, curves, usual)
    return "\n".join(lines)


def _variant(variant: str, curves: Sequence[Line], usual: Sequence[Line]) -> list[str]:
    """The lines of a variant; ``usual`` are the curves at the paper's settings."""
    epochs = ",".join(str(curve["epochs"]) for curve in curves)
    last = []
    for metric in METRICS:
        ends = [curve[metric][-1] if curve["failed"] is None else None for curve in curves]
        last.append(interval(ends))
    lines = [f"{variant:20} {len(curves):5}  {epochs:20} {last[0]:32} {last[1]}"]
    curves = sound(curves)
    if not curves:
        return lines

    def compared(title: str, pairs: Sequence[tuple[Line, Line]], place: int) -> str:
        gains = [gain([a[metric][-1] - b[metric][place] for a, b in pairs]) for metric in METRICS]
        return f"{'':20} {title:27} {gains[0]:32} {gains[1]}"

    # The first point is k-means on the features before DBC.
    itself = [(curve, curve) for curve in curves]
    lines.append(compared("less k-means at the start", itself, 0))
    by_seed = {curve["seed"]: curve for curve in usual}
    shared = [(curve, by_seed[curve["seed"]]) for curve in curves if curve["seed"] in by_seed]
    if shared and variant != "paper":
        lines.append(compared("less paper at the end", shared, -1))
    shares = band(curves, "polarised")
    count = shares.shape[1]
    marks = dict.fromkeys([epoch for epoch in (1, 2, 4, 8, 16, 32, 64, count) if epoch <= count])
    points = ", ".join(f"{epoch}: {shares[:, epoch - 1].mean():.3f}" for epoch in marks)
    lines.append(f"{'':20} scores above .8 or below .02, by epoch: {points}")
    lines.append(f"{'':20} grown by {gain((shares[:, -1] - shares[:, 0]).tolist())}")
    return lines
