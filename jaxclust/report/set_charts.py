"""Charts over several data sets: performance profiles, and the critical-difference diagram."""

from html import escape

from jaxclust.comparison.types import Aggregates, Ranks
from jaxclust.report import svg
from jaxclust.report.charts import COLORS, shortened

MOST_PROFILES = 10
"""Most methods whose profiles are drawn, the highest interquartile means first."""
LINE = 22
"""Height of a method's line in a legend or beside the diagram."""
AXIS = 58
"""Height of the diagram's axis in the picture."""


def profiles(aggregates: Aggregates, metric: str) -> str:
    """A falling curve for each method: the share of runs whose score is above a value.

    Args:
      aggregates: of the methods.
      metric: the score's title.

    Returns:
      SVG; "" where all scores are one value.
    """
    levels = aggregates.levels
    if len(levels) < 2:
        return ""
    across = svg.Scale(levels[0], levels[-1], svg.LEFT, svg.WIDTH - 16)
    up = svg.Scale(0.0, 1.0, svg.BOTTOM, svg.TOP)
    parts = [svg.grid_x(across, svg.TOP, svg.BOTTOM)]
    parts.append(svg.grid_y(up, svg.WIDTH - 16, False))
    shown = aggregates.methods[:MOST_PROFILES]
    for place, row in enumerate(shown):
        if row.shares_low is not None and row.shares_high is not None:
            edge = [*zip(levels, row.shares_high, strict=True)]
            edge += [*zip(levels, row.shares_low, strict=True)][::-1]
            points = svg.points(edge, across, up)
            parts.append(f'<polygon class="c{place % COLORS} faint" points="{points}"/>')
    for place, row in enumerate(shown):
        points = svg.points(zip(levels, row.shares, strict=True), across, up)
        name = f"<title>{escape(row.method)}</title>"
        parts.append(
            f'<polyline class="s{place % COLORS} curve" points="{points}">{name}</polyline>'
        )
    parts.append(svg.axis_name(metric))
    below = svg.BOTTOM + 50
    for place, row in enumerate(shown):
        y = below + place * LINE
        ends = f'x1="{svg.LEFT}" x2="{svg.LEFT + 28}" y1="{y}" y2="{y}"'
        parts.append(f'<line class="s{place % COLORS} curve" {ends}/>')
        text = f"{escape(shortened(row.method))}, IQM {row.iqm:.3f}"
        parts.append(f'<text x="{svg.LEFT + 38}" y="{y + 5}">{text}</text>')
    each = "; ".join(f"{row.method}: IQM {row.iqm:.3f}" for row in shown)
    title = f"Share of runs whose {metric} is above a value, {each}"
    return svg.svg(parts, below + len(shown) * LINE, title)


def rank_diagram(ranks: Ranks) -> str:
    """A critical-difference diagram (Demsar 2006): methods on an axis of mean ranks, 1 the best.

    A thick bar joins the methods of a group, between which no difference is shown.

    Args:
      ranks: of the methods.

    Returns:
      SVG.
    """
    count = len(ranks.methods)
    axis = svg.Scale(1, count, 120, svg.WIDTH - 120)
    groups = ranks.groups or ()
    own = dict(zip(ranks.methods, ranks.ranks, strict=True))
    order = sorted(own, key=own.__getitem__)
    parts = [_line(1, count, axis, AXIS, "axis")]
    for rank in range(1, count + 1):
        x = f"{axis(rank):.1f}"
        parts.append(f'<path class="axis" d="M{x} {AXIS - 6}v6"/>')
        parts.append(f'<text class="middle" x="{x}" y="{AXIS - 10}">{rank}</text>')
    if ranks.critical_difference is not None:
        end = min(1 + ranks.critical_difference, float(count))
        parts.append(_line(1, end, axis, 24, "axis"))
        label = f"critical difference {ranks.critical_difference:.2f}"
        parts.append(f'<text x="{axis(1):.1f}" y="16">{label}</text>')
    for place, group in enumerate(groups):
        ends = [own[method] for method in group]
        parts.append(_line(min(ends), max(ends), axis, AXIS + 12 + 9 * place, "thick"))
    first = AXIS + 30 + 9 * len(groups)
    half = (count + 1) // 2
    for place, method in enumerate(order):
        left = place < half
        # The methods in the middle of the axis stand at the bottom, so that no two lines cross.
        y = first + LINE * (place if left else count - 1 - place)
        edge = axis.begin - 8 if left else axis.end + 8
        parts.append(f'<path class="axis" d="M{axis(own[method]):.1f} {AXIS}V{y}H{edge:.1f}"/>')
        side = "end" if left else "begin"
        x = edge - 4 if left else edge + 4
        name = shortened(method, 13)
        title = f"<title>{escape(method)}: mean rank {own[method]:.2f}</title>"
        parts.append(f'<text class="{side}" x="{x:.1f}" y="{y + 5}">{escape(name)}{title}</text>')
    each = ", ".join(f"{method} {own[method]:.2f}" for method in order)
    label = f"Mean ranks over {len(ranks.data)} data sets: {each}"
    if ranks.groups is not None:
        joined = "; ".join(", ".join(group) for group in groups) or "none"
        label += f". Not shown to differ: {joined}"
    return svg.svg(parts, first + LINE * half + 4, label)


def _line(begin: float, end: float, axis: svg.Scale, y: float, kind: str) -> str:
    """A level line between two ranks."""
    ends = f'x1="{axis(begin):.1f}" x2="{axis(end):.1f}" y1="{y}" y2="{y}"'
    return f'<line class="{kind}" {ends}/>'
