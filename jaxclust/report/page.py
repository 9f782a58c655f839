"""The report's page: HTML with no address in it, for phones, keyboards and the dark."""

from collections.abc import Sequence

import numpy as np

from jaxclust.comparison import table_cells, tables
from jaxclust.comparison.types import Comparison, DataSetComparison, MethodSummary
from jaxclust.report import charts, elements, run_section, set_charts
from jaxclust.report.assets import SCRIPT, STYLE
from jaxclust.report.elements import text
from jaxclust.report.look import Look

# Style, script and pictures stand in the page, and the page sends no request to anyone.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
FAMILIES = {
    "all": "Comparisons on all data sets are corrected together.",
    "data": "Comparisons on each data set are corrected together.",
}


def render(comparison: Comparison | None, looks: Sequence[Look], notes: Sequence[str]) -> str:
    """The page.

    Args:
      comparison: stands at the top; None where nothing has scores.
      looks: a section for each.
      notes: sentences that the comparison does not have.
    """
    names = [look.cell.where for look in looks]
    links = [(f"run-{number}", name) for number, name in enumerate(names)]
    parts = [elements.notes(notes)]
    if comparison is not None:
        links.insert(0, ("comparison", "Comparison"))
        parts.insert(0, _comparison(comparison))
    listed = "".join(f'<li><a href="#{place}">{text(name)}</a></li>' for place, name in links)
    # Runs on the same images show the same thumbnails: the page has each sheet of them once.
    sprites: dict[str, str] = {}
    for number, look in enumerate(looks):
        parts.append(run_section.section(number, look, sprites))
    thumbnails = "".join(
        f".{name}{{background-image:url({uri})}}\n" for uri, name in sprites.items()
    )
    title = text("Clustering report" + (f": {names[0]}" if len(names) == 1 else ""))
    body = f"""<a class="skip" href="#main">Skip to the content</a>
<header><h1>{title}</h1><nav aria-label="Sections"><ul>{listed}</ul></nav></header>
<main id="main">
{"".join(parts)}
</main>
<script>{SCRIPT}</script>"""
    return elements.document(title, POLICY, f"{STYLE}\n{thumbnails}", body)


def _comparison(comparison: Comparison) -> str:
    """The section of the comparison: charts, tables, notes."""
    metric = table_cells.TITLES[comparison.options.metric]
    figures = [_chart(data, metric, comparison.options.baseline) for data in comparison.data]
    figures += _over_sets(comparison, metric)
    body = "".join(elements.table(table) for table in tables.sections(comparison))
    about = f"Primary metric: {metric}. {FAMILIES[comparison.options.family]}"
    return (
        f'<section id="comparison"><h2>Comparison</h2><p>{about}</p>'
        f'<div class="figures">{"".join(figures)}</div>{body}'
        f"{elements.notes(comparison.notes)}</section>"
    )


def _chart(data: DataSetComparison, metric: str, baseline: str | None) -> str:
    """The intervals on a data set, the highest mean first; "" where no method has a score."""
    methods = sorted(data.methods, key=_mean, reverse=True)
    mark = next((method.mean for method in methods if method.method == baseline), None)
    # Baselines and rows from files have no section of their own that lists their seeds.
    seeds = "; ".join(f"{method.method} {_scores(method)}" for method in methods)
    chart = charts.intervals(methods, f"{metric} of each seed on {data.name}: {seeds}", mark)
    if not chart:
        return ""
    caption = (
        f"{data.name}: {metric}, the highest mean first. A dot is a seed, the stroke is the mean, "
        "the thick line its interval, the thin line the interval in which one more run falls"
    )
    caption += "." if mark is None else f", the dashed line {baseline}'s mean."
    return _figure(chart, caption)


def _over_sets(comparison: Comparison, metric: str) -> list[str]:
    """Figures over all data sets, where there are several."""
    figures = []
    percent = 100 * (1 - comparison.options.alpha)
    if comparison.aggregates is not None:
        chart = set_charts.profiles(comparison.aggregates, metric)
        caption = (
            f"Performance profiles over {len(comparison.aggregates.data)} data sets: the share of "
            f"runs whose {metric} is above a value. A curve further to the right is better. The "
            f"bands are {percent:g} % intervals of a stratified bootstrap over seeds."
        )
        if len(comparison.aggregates.methods) > set_charts.MOST_PROFILES:
            caption += f" The {set_charts.MOST_PROFILES} highest interquartile means are drawn."
        figures.append(_figure(chart, caption))
    if comparison.ranks is not None and len(comparison.ranks.methods) > 2:
        ranks = comparison.ranks
        caption = f"Mean ranks over {len(ranks.data)} data sets, 1 the best. "
        if ranks.groups is not None:
            test = "Wilcoxon's test with Holm's correction"
            if ranks.critical_difference is not None:
                test = "Nemenyi's test"
            caption += f"A bar joins methods that do not differ by {test}."
        elif ranks.smallest_p is not None and ranks.smallest_p > comparison.options.alpha:
            caption += "So few data sets can show no difference, so that no bar is drawn."
        else:
            caption += "No bar is drawn, as not all pairs are compared."
        figures.append(_figure(set_charts.rank_diagram(ranks), caption))
    return figures


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{text(caption)}</figcaption></figure>" if chart else ""


def _mean(method: MethodSummary) -> float:
    return -np.inf if method.mean is None else method.mean


def _scores(method: MethodSummary) -> str:
    scores = method.seeds.values()
    return ", ".join("failed" if score is None else f"{score:.3f}" for score in scores)
