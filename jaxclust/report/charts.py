"""Charts as inline SVG in the page's colors: intervals, curves with bands, an embedding."""

from collections.abc import Sequence
from html import escape

import numpy as np

from jaxclust.comparison.types import MethodSummary
from jaxclust.report import svg

COLORS = 20
"""Number of the clusters' colors in the page's style, c0, c1, ...; more clusters share them."""
LONGEST = 22
"""Letters of a method's name beside its interval; longer names are cut."""
LINE = 26
"""Height of a method's line in the chart of intervals."""


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
    names = [shortened(method.method) for method in methods]
    left = 16 + 9 * max(map(len, names))
    low = min(values)
    high = max(values)
    margin = 0.05 * (high - low) or 0.01
    scale = svg.Scale(low - margin, high + margin, left, svg.WIDTH - 20)
    bottom = len(methods) * LINE + 6
    parts = [svg.grid_x(scale, 0, bottom)]
    if baseline_mean is not None:
        parts.append(f'<path class="mark" d="M{scale(baseline_mean):.1f} 0v{bottom}"/>')
    for place, (name, method) in enumerate(zip(names, methods, strict=True)):
        parts += _interval_line(name, method, scale, place * LINE + 16)
    return svg.svg(parts, bottom + 22, title)


def shortened(name: str, longest: int = LONGEST) -> str:
    """A name of at most so many letters."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _interval_line(name: str, method: MethodSummary, scale: svg.Scale, middle: int) -> list[str]:
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
    across = svg.Scale(1, max(last, 2), svg.LEFT, svg.WIDTH - 16)
    up = svg.Scale(low - margin, high + margin, svg.BOTTOM, svg.TOP)
    parts = [
        svg.grid_x(across, svg.TOP, svg.BOTTOM, whole=True),
        svg.grid_y(up, svg.WIDTH - 10, logarithmic),
    ]
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
        parts.append(f'<polygon class="band" points="{svg.points([*upper, *lower], across, up)}"/>')
    for row in table:
        points = svg.points(zip(at, row, strict=True), across, up)
        parts.append(f'<polyline class="seed" points="{points}"/>')
    if len(values) > 1:
        points = svg.points(zip(at, np.median(table, axis=0), strict=True), across, up)
        parts.append(f'<polyline class="median" points="{points}"/>')
    parts.append(svg.axis_name(below))
    return svg.svg(parts, 228, title)


def scatter(places: np.ndarray, clusters: np.ndarray, title: str) -> str:
    """An embedding: a circle for each image, whose class ``c0``, ``c1``, ... gives its color.

    Args:
      places: float (m, 2).
      clusters: int (m,).
      title: the text that is read in place of the picture.
    """
    low = places.min(axis=0)
    high = places.max(axis=0)
    size = (svg.WIDTH - 16) / max(float((high - low).max()), 1e-9)
    xy = 8 + (places - low) * size
    height = float(xy[:, 1].max()) + 8
    circles = [
        f'<circle class="c{cluster % COLORS}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        for (x, y), cluster in zip(xy, clusters, strict=True)
    ]
    return svg.svg([*circles, '<circle class="here" r="7" cx="-20" cy="-20"/>'], height, title)


def line(x: Sequence[float], y: Sequence[float], chosen: float, below: str, title: str) -> str:
    """A curve with its points, one of them marked: stability against the number of clusters.

    Args:
      x: increasing.
      y: as many values, at most 1.
      chosen: the value of x that is marked.
      below: name of the horizontal axis.
      title: the text that is read in place of the picture.
    """
    across = svg.Scale(min(x), max(max(x), min(x) + 1), svg.LEFT, svg.WIDTH - 14)
    up = svg.Scale(min(0.0, *y), 1.0, svg.BOTTOM, svg.TOP)
    parts = [
        svg.grid_x(across, svg.TOP, svg.BOTTOM, whole=True),
        svg.grid_y(up, svg.WIDTH - 14, False),
    ]
    points = svg.points(zip(x, y, strict=True), across, up)
    parts.append(f'<polyline class="median" points="{points}"/>')
    for place, value in zip(x, y, strict=True):
        kind, radius = ("dot picked", 6) if place == chosen else ("dot", 4)
        parts.append(
            f'<circle class="{kind}" cx="{across(place):.1f}" cy="{up(value):.1f}" r="{radius}">'
            f"<title>{place:g}: {value:.3f}</title></circle>"
        )
    parts.append(svg.axis_name(below))
    return svg.svg(parts, 228, title)


def _ends(method: MethodSummary) -> tuple[float | None, ...]:
    return method.low, method.high, method.run_low, method.run_high
