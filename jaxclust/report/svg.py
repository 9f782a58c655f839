"""What the page's charts are drawn with: scales, grids, and the picture around them."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH = 440
"""Width of every chart in its own units. It is near that of a phone, so that text stays readable
there."""
TOP = 10
"""Upper edge of the curves' area."""
BOTTOM = 190
"""Lower edge of the curves' area."""
LEFT = 52
"""Left edge of the curves' area."""


class Scale(NamedTuple):
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


def grid_x(scale: Scale, top: float, bottom: float, whole: bool = False) -> str:
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


def grid_y(scale: Scale, right: float, logarithmic: bool) -> str:
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


def _exponents(scale: Scale) -> list[float]:
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
    plain = Scale(10**scale.low, 10**scale.high, 0, 1)
    return [math.log10(number) for number in plain.ticks(4) if number > 0]


def axis_name(below: str) -> str:
    return f'<text x="{WIDTH - 10}" y="222" class="end">{escape(below)}</text>'


def points(pairs: Iterable[tuple[float, float]], across: Scale, up: Scale) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in pairs)


def svg(parts: Sequence[str], height: float, title: str) -> str:
    body = "".join(parts)
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">{body}</svg>'
