"""Charts as inline SVG that follow the page's colours: intervals, curves with bands, an embedding."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

WIDTH = 440
"""Of every chart, in its own units: near the width of a phone, so that letters stay readable there."""
COLOURS = 20
"""Colours of clusters that the page's style defines, c0, c1, ...; more clusters share them."""
LONGEST = 22
"""Letters of a method's name beside its interval; longer ones are cut."""


def intervals(rows: Sequence[dict[str, Any]], title: str, mark: float | None = None) -> str:
    """Seeds as dots, the mean with its interval, and thinner where one more run falls; a line each method.

    Args:
      rows: methods of a comparison's data set.
      title: read in place of the picture.
      mark: where a line stands across all methods, as at the baseline's mean.
    """
    values = [
        value
        for row in rows
        for value in (*row["seeds"].values(), *_ends(row))
        if value is not None
    ]
    if not values:
        return ""
    names = [
        row["method"] if len(row["method"]) <= LONGEST else f"{row['method'][: LONGEST - 1]}…"
        for row in rows
    ]
    left, right, height = 16 + 9 * max(map(len, names)), WIDTH - 20, 26
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.01
    scale = _Scale(low - margin, high + margin, left, right)
    bottom = len(rows) * height + 6
    parts = [_grid_x(scale, 0, bottom)]
    if mark is not None:
        parts.append(f'<path class="mark" d="M{scale(mark):.1f} 0v{bottom}"/>')
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        middle = place * height + 16
        parts.append(
            f'<text x="{left - 8}" y="{middle + 5}" class="strong end">{escape(name)}</text>'
        )
        for ends, kind in (
            ((row["run_low"], row["run_high"]), "thin"),
            ((row["low"], row["high"]), "thick"),
        ):
            if any(end is not None for end in ends):
                # An end that is open, as bootstrap-t's can be, is the picture's.
                x1, x2 = (
                    edge if end is None else scale(end)
                    for end, edge in zip(ends, (left, right), strict=True)
                )
                parts.append(
                    f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{middle}" y2="{middle}"/>'
                )
        for seed, score in row["seeds"].items():
            if score is not None:
                parts.append(
                    f'<circle class="dot" cx="{scale(score):.1f}" cy="{middle}" r="4">'
                    f"<title>seed {escape(str(seed))}: {score:.4f}</title></circle>"
                )
        if row["mean"] is None:
            parts.append(f'<text x="{left + 8}" y="{middle + 5}">no seed has a score</text>')
        else:
            x = scale(row["mean"])
            parts.append(f'<path class="mean" d="M{x:.1f} {middle - 9}v18"/>')
    return _svg(parts, bottom + 22, title)


def curves(
    windows: Sequence[np.ndarray], values: Sequence[np.ndarray], logarithmic: bool, labels: tuple
) -> str:
    """A thin line a seed, the median, and the band between lowest and highest.

    Args:
      windows: of each seed, from 1, increasing.
      values: of each seed, as many.
      logarithmic: the upright axis, unless a value is not above 0.
      labels: what lies below, and the title that is read in place of the picture.
    """
    below, title = labels
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    if every.size == 0:
        return ""
    logarithmic = logarithmic and bool(every.min() > 0)
    curved = np.log10 if logarithmic else np.asarray
    low, high = float(curved(every.min())), float(curved(every.max()))
    margin = 0.05 * (high - low) or 0.1
    last = max(int(one.max()) for one in windows)
    across, up = (
        _Scale(1, max(last, 2), 52, WIDTH - 16),
        _Scale(low - margin, high + margin, 190, 10),
    )
    parts = [_grid_x(across, 10, 190, whole=True), _grid_y(up, 52, WIDTH - 10, logarithmic)]
    at = np.unique(np.linspace(1, last, min(last, 200)).astype(int))
    # Past its end a seed keeps its last value: it stands still there.
    table = np.stack(
        [
            one[np.searchsorted(w, at, side="right").clip(1, len(w)) - 1]
            for w, one in zip(windows, values, strict=True)
        ]
    )
    table = curved(table)
    if len(values) > 1:
        edge = [
            *zip(at, table.max(axis=0), strict=True),
            *zip(at[::-1], table.min(axis=0)[::-1], strict=True),
        ]
        parts.append(f'<polygon class="band" points="{_points(edge, across, up)}"/>')
    for line in table:
        parts.append(
            f'<polyline class="seed" points="{_points(zip(at, line, strict=True), across, up)}"/>'
        )
    if len(values) > 1:
        middle = zip(at, np.median(table, axis=0), strict=True)
        parts.append(f'<polyline class="median" points="{_points(middle, across, up)}"/>')
    parts.append(f'<text x="{WIDTH - 10}" y="222" class="end">{escape(below)}</text>')
    return _svg(parts, 228, title)


def scatter(places: np.ndarray, clusters: np.ndarray, title: str) -> str:
    """An embedding: a circle an image, of its cluster's colour and class ``c0``, ``c1``, ....

    Args:
      places: float (m, 2).
      clusters: int (m,).
      title: read in place of the picture.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    size = (WIDTH - 16) / max(float((high - low).max()), 1e-9)
    xy = 8 + (places - low) * size
    height = float(xy[:, 1].max()) + 8
    circles = [
        f'<circle class="c{cluster % COLOURS}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        for (x, y), cluster in zip(xy, clusters, strict=True)
    ]
    return _svg([*circles, '<circle class="here" r="7" cx="-20" cy="-20"/>'], height, title)


def line(x: Sequence[float], y: Sequence[float], chosen: float, labels: tuple[str, str]) -> str:
    """A curve with its points, one of them marked: stability against the number of clusters."""
    below, title = labels
    across, up = (
        _Scale(min(x), max(max(x), min(x) + 1), 52, WIDTH - 14),
        _Scale(min(0.0, *y), 1.0, 190, 10),
    )
    parts = [_grid_x(across, 10, 190, whole=True), _grid_y(up, 52, WIDTH - 14, False)]
    parts.append(
        f'<polyline class="median" points="{_points(zip(x, y, strict=True), across, up)}"/>'
    )
    for one, value in zip(x, y, strict=True):
        kind = "dot picked" if one == chosen else "dot"
        parts.append(
            f'<circle class="{kind}" cx="{across(one):.1f}" cy="{up(value):.1f}" r="{6 if one == chosen else 4}">'
            f"<title>{one:g}: {value:.3f}</title></circle>"
        )
    parts.append(f'<text x="{WIDTH - 10}" y="222" class="end">{escape(below)}</text>')
    return _svg(parts, 228, title)


class _Scale:
    """Numbers to places."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self.low, self.high, self.begin, self.end = low, high, begin, end

    def __call__(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers within."""
        step = (self.high - self.low) / count
        power = 10.0 ** np.floor(np.log10(step))
        step = next(power * one for one in (1, 2, 5, 10) if power * one >= step)
        first, last = int(np.ceil(self.low / step)), int(np.floor(self.high / step))
        return [number * step for number in range(first, last + 1)]


def _ends(row: dict[str, Any]) -> tuple:
    return row["low"], row["high"], row["run_low"], row["run_high"]


def _grid_x(scale: _Scale, top: float, bottom: float, whole: bool = False) -> str:
    ticks = [tick for tick in scale.ticks() if not whole or tick == int(tick)]
    return "".join(
        f'<line class="grid" x1="{scale(tick):.1f}" x2="{scale(tick):.1f}" y1="{top}" y2="{bottom}"/>'
        f'<text class="middle" x="{scale(tick):.1f}" y="{bottom + 16}">{tick:.4g}</text>'
        for tick in ticks
    )


def _grid_y(scale: _Scale, left: float, right: float, logarithmic: bool) -> str:
    return "".join(
        f'<line class="grid" x1="{left}" x2="{right}" y1="{scale(tick):.1f}" y2="{scale(tick):.1f}"/>'
        f'<text class="end" x="{left - 6}" y="{scale(tick) + 4:.1f}">'
        f"{(10**tick if logarithmic else tick):.2g}</text>"
        for tick in scale.ticks(4)
    )


def _points(pairs: Any, across: _Scale, up: _Scale) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in pairs)


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    body = "".join(parts)
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">{body}</svg>'
