"""Intervals of scores that have a least and a greatest value, such as ACC in [0, 1]."""

import math

from jaxclust.errors import UsageError

Bounds = tuple[float, float]
"""The least and the greatest value of a score."""
SHARE = (0.0, 1.0)
"""The bounds of ACC, of every NMI, and of shares."""
SCORE_BOUNDS: dict[str, Bounds] = {
    "acc": SHARE,
    "nmi": SHARE,
    "nmi_sqrt": SHARE,
    "nmi_max": SHARE,
    "ari": (-0.5, 1.0),
}
"""The bounds of each score by its name. No pair of partitions has an adjusted Rand index below -1/2
(Chacon and Rastrojo 2023)."""


def difference_bounds(bounds: Bounds) -> Bounds:
    """The bounds of a difference of two scores that have these bounds."""
    least, greatest = bounds
    return least - greatest, greatest - least


def inside(
    center: float, low: float, high: float, bounds: Bounds | None, reach: float = 0.0
) -> tuple[float, float]:
    """An interval that stays within the bounds of its score.

    An interval that lies within them stays as it is. Otherwise it is computed on the logit scale,
    on which the bounds are infinitely far away. With x = (center - least) / (greatest - least) the
    center is log(x / (1 - x)). Both distances from it are multiplied by the derivative
    1 / (x (1 - x)), which is the delta method. Both ends are mapped back.

    Args:
      center: the middle of the interval, in the bounds but for rounding.
      low: the lower end; nan where there is none, and infinite where it is open.
      high: the upper end, likewise.
      bounds: least and greatest value; None for a score without bounds.
      reach: the logit scale is also taken where center - reach or center + reach leaves the bounds.
        With one reach for all intervals of some scores, a wider one always holds a narrower one.

    Returns:
      The lower and the upper end. An end that is nan or infinite stays so.

    Raises:
      UsageError: the center is outside of the bounds.
    """
    if bounds is None:
        return low, high
    least, greatest = bounds
    slack = 1e-9 * (greatest - least)
    if not least - slack <= center <= greatest + slack:
        raise UsageError(f"center: must be in [{least:g}, {greatest:g}], got {center}")
    ends = [end for end in (low, high, center - reach, center + reach) if math.isfinite(end)]
    if all(least <= end <= greatest for end in ends):
        return low, high
    x = (center - least) / (greatest - least)
    if not slack < x < 1 - slack:
        # The scores differ by rounding alone.
        return _cut(low, bounds), _cut(high, bounds)
    return _mapped(x, low - center, bounds), _mapped(x, high - center, bounds)


def _mapped(x: float, distance: float, bounds: Bounds) -> float:
    """An end, from its distance to the center, which is ``x`` in units of the bounds' width."""
    if not math.isfinite(distance):
        return distance
    least, greatest = bounds
    logit = math.log(x / (1 - x)) + distance / (greatest - least) / (x * (1 - x))
    # The form of the logistic function whose exponential cannot overflow.
    share = 1 / (1 + math.exp(-logit)) if logit > 0 else math.exp(logit) / (1 + math.exp(logit))
    return least + (greatest - least) * share


def _cut(end: float, bounds: Bounds) -> float:
    return min(max(end, bounds[0]), bounds[1]) if math.isfinite(end) else end
