"""Charts as inline SVG in the page's colors: intervals, curves with bands, an embedding."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from jaxclust.comparison.types import MethodSummary

WIDTH = 440
"""Width of every chart in its own units. It is near that of a phone, so that text stays readable
there."""
COLORS = 20
"""Number of the clusters' colors in the page's style, c0, c1, ...; more clusters share them."""
LONGEST = 22
"""Letters of a method's name beside its interval; longer names are cut."""
LINE = 26
"""Height of a method's line in the chart of intervals."""
TOP = 10
"""Upper edge of the curves' area."""
BOTTOM = 190
"""Lower edge of the curves' area."""
LEFT = 52
"""Left edge of the curves' area."""


def intervals(
    methods: Sequence[MethodSummary], title: str, baseline_mean: float | None = None
) -> str:
    """Scores of methods, a line for each method.

    A dot is a seed, a stroke the mean, the thick line its interval, and the thin line the interval
    in which one more run falls.

    Args:
      methods: summaries, from top to bottom.
      title: the text that is read in place of the picture.
      baseline_mean: where a line stands across all methods; None for no line.

    Returns:
      SVG; "" where no method has a score.
    """
    values = [
        value
        for method in methods
        for value in (*method.seeds.values(), *_ends(method))
        if value is not None
    ]
    if not values:
        return ""
    names = [_shortened(method.method) for method in methods]
    left = 16 + 9 * max(map(len, names))
    low = min(values)
    high = max(values)
    margin = 0.05 * (high - low) or 0.01
    scale = _Scale(low - margin, high + margin, left, WIDTH - 20)
    bottom = len(methods) * LINE + 6
    parts = [_grid_x(scale, 0, bottom)]
    if baseline_mean is not None:
        parts.append(f'<path class="mark" d="M{scale(baseline_mean):.1f} 0v{bottom}"/>')
    for place, (name, method) in enumerate(zip(names, methods, strict=True)):
        parts += _interval_line(name, method, scale, place * LINE + 16)
    return _svg(parts, bottom + 22, title)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _interval_line(name: str, method: MethodSummary, scale: "_Scale", middle: int) -> list[str]:
    """A method's line; ``middle`` is its height."""
    edge = f'x="{scale.begin - 8}" y="{middle + 5}"'
    parts = [f'<text {edge} class="strong end">{escape(name)}</text>']
    one_more = (method.run_low, method.run_high)
    for (low, high), kind in ((one_more, "thin"), ((method.low, method.high), "thick")):
        if low is not None or high is not None:
            # An end can be open, as bootstrap-t's: the line then goes to the edge of the picture.
            x1 = scale.begin if low is None else scale(low)
            x2 = scale.end if high is None else scale(high)
            ends = f'x1="{x1:.1f}" x2="{x2:.1f}" y1="{middle}" y2="{middle}"'
            parts.append(f'<line class="{kind}" {ends}/>')
    for seed, score in method.seeds.items():
        if score is not None:
            parts.append(
                f'<circle class="dot" cx="{scale(score):.1f}" cy="{middle}" r="4">'
                f"<title>seed {seed}: {score:.4f}</title></circle>"
            )
    if method.mean is None:
        parts.append(f'<text x="{scale.begin + 8}" y="{middle + 5}">no seed has a score</text>')
    else:
        parts.append(f'<path class="mean" d="M{scale(method.mean):.1f} {middle - 9}v18"/>')
    return parts


def curves(
    windows: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    logarithmic: bool,
    below: str,
    title: str,
) -> str:
    """Curves over windows: a thin line for each seed, their median, and the band of their range.

    Args:
      windows: of each seed, from 1, increasing.
      values: of each seed, as many.
      logarithmic: whether the vertical axis is logarithmic, if all values are above 0.
      below: name of the horizontal axis.
      title: the text that is read in place of the picture.

    Returns:
      SVG; "" where no value is finite.
    """
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    if every.size == 0:
        return ""
    logarithmic = logarithmic and bool(every.min() > 0)
    curved = np.log10 if logarithmic else np.asarray
    low = float(curved(every.min()))
    high = float(curved(every.max()))
    margin = 0.05 * (high - low) or 0.1
    last = max(int(own.max()) for own in windows)
    across = _Scale(1, max(last, 2), LEFT, WIDTH - 16)
    up = _Scale(low - margin, high + margin, BOTTOM, TOP)
    parts = [_grid_x(across, TOP, BOTTOM, whole=True), _grid_y(up, WIDTH - 10, logarithmic)]
    at = np.unique(np.linspace(1, last, min(last, 200)).astype(int))
    # After its end a seed keeps its last value, as its state no longer changes.
    table = np.stack(
        [
            own[np.searchsorted(window, at, side="right").clip(1, len(window)) - 1]
            for window, own in zip(windows, values, strict=True)
        ]
    )
    table = curved(table)
    if len(values) > 1:
        upper = zip(at, table.max(axis=0), strict=True)
        lower = zip(at[::-1], table.min(axis=0)[::-1], strict=True)
        parts.append(f'<polygon class="band" points="{_points([*upper, *lower], across, up)}"/>')
    for row in table:
        points = _points(zip(at, row, strict=True), across, up)
        parts.append(f'<polyline class="seed" points="{points}"/>')
    if len(values) > 1:
        points = _points(zip(at, np.median(table, axis=0), strict=True), across, up)
        parts.append(f'<polyline class="median" points="{points}"/>')
    parts.append(_axis_name(below))
    return _svg(parts, 228, title)


def scatter(places: np.ndarray, clusters: np.ndarray, title: str) -> str:
    """An embedding: a circle for each image, whose class ``c0``, ``c1``, ... gives its color.

    Args:
      places: float (m, 2).
      clusters: int (m,).
      title: the text that is read in place of the picture.
    """
    low = places.min(axis=0)
    high = places.max(axis=0)
    size = (WIDTH - 16) / max(float((high - low).max()), 1e-9)
    xy = 8 + (places - low) * size
    height = float(xy[:, 1].max()) + 8
    circles = [
        f'<circle class="c{cluster % COLORS}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        for (x, y), cluster in zip(xy, clusters, strict=True)
    ]
    return _svg([*circles, '<circle class="here" r="7" cx="-20" cy="-20"/>'], height, title)


def line(x: Sequence[float], y: Sequence[float], chosen: float, below: str, title: str) -> str:
    """A curve with its points, one of them marked: stability against the number of clusters.

    Args:
      x: increasing.
      y: as many values, at most 1.
      chosen: the value of x that is marked.
      below: name of the horizontal axis.
      title: the text that is read in place of the picture.
    """
    across = _Scale(min(x), max(max(x), min(x) + 1), LEFT, WIDTH - 14)
    up = _Scale(min(0.0, *y), 1.0, BOTTOM, TOP)
    parts = [_grid_x(across, TOP, BOTTOM, whole=True), _grid_y(up, WIDTH - 14, False)]
    points = _points(zip(x, y, strict=True), across, up)
    parts.append(f'<polyline class="median" points="{points}"/>')
    for place, value in zip(x, y, strict=True):
        kind, radius = ("dot picked", 6) if place == chosen else ("dot", 4)
        parts.append(
            f'<circle class="{kind}" cx="{across(place):.1f}" cy="{up(value):.1f}" r="{radius}">'
            f"<title>{place:g}: {value:.3f}</title></circle>"
        )
    parts.append(_axis_name(below))
    return _svg(parts, 228, title)


class _Scale(NamedTuple):
    """A linear map of numbers to places in the picture.

    Attributes:
      low: the number at ``begin``.
      high: the number at ``end``.
      begin: a place.
      end: another place.
    """

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers within the scale, about ``count``."""
        step = (self.high - self.low) / count
        power = 10.0 ** np.floor(np.log10(step))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step)
        first = int(np.ceil(self.low / step))
        last = int(np.floor(self.high / step))
        return [number * step for number in range(first, last + 1)]


def _ends(method: MethodSummary) -> tuple[float | None, ...]:
    return method.low, method.high, method.run_low, method.run_high


def _grid_x(scale: _Scale, top: float, bottom: float, whole: bool = False) -> str:
    """Upright lines with their numbers; ``whole`` leaves out numbers that are not whole."""
    parts = []
    for tick in scale.ticks():
        if whole and tick != int(tick):
            continue
        x = f"{scale(tick):.1f}"
        parts.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
            f'<text class="middle" x="{x}" y="{bottom + 16}">{tick:.4g}</text>'
        )
    return "".join(parts)


def _grid_y(scale: _Scale, right: float, logarithmic: bool) -> str:
    """Level lines with their numbers; a ``logarithmic`` scale is one of powers of ten."""
    parts = []
    for tick in _exponents(scale) if logarithmic else scale.ticks(4):
        y = scale(tick)
        number = 10**tick if logarithmic else tick
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{number:.2g}</text>'
        )
    return "".join(parts)


def _exponents(scale: _Scale) -> list[float]:
    """The logarithms of round numbers within a scale of powers of ten, about four of them."""
    powers = range(math.ceil(scale.low), math.floor(scale.high) + 1)
    if len(powers) > 2:
        return [float(power) for power in powers[:: math.ceil(len(powers) / 5)]]
    numbers = [
        factor * 10.0**power
        for power in range(math.floor(scale.low), math.ceil(scale.high) + 1)
        for factor in (1, 2, 5)
    ]
    exponents = [math.log10(number) for number in numbers]
    exponents = [exponent for exponent in exponents if scale.low <= exponent <= scale.high]
    if len(exponents) > 1:
        return exponents
    plain = _Scale(10**scale.low, 10**scale.high, 0, 1)
    return [math.log10(number) for number in plain.ticks(4) if number > 0]


def _axis_name(below: str) -> str:
    return f'<text x="{WIDTH - 10}" y="222" class="end">{escape(below)}</text>'


def _points(pairs: Iterable[tuple[float, float]], across: _Scale, up: _Scale) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in pairs)


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    body = "".join(parts)
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">{body}</svg>'
