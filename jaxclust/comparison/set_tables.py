"""Tables over several data sets: ranks, centers with intervals, performance profiles."""

from jaxclust.comparison.table_cells import WORST, Table, interval, number, probability
from jaxclust.comparison.types import Aggregate, Aggregates, Ranks

COLUMNS = 7
"""The most scores at which the table of a profile has a column."""


def rank_tables(ranks: Ranks) -> list[Table]:
    """Mean ranks over data sets, and the pairs."""
    order = sorted(range(len(ranks.methods)), key=lambda place: ranks.ranks[place])
    title = f"ranks over {len(ranks.data)} data sets (seeds pooled to their mean)"
    if ranks.friedman:
        chi2, p = ranks.friedman
        title += f", Friedman chi2 {chi2:.2f}, p {probability(p)} (asymptotic)"
    if ranks.critical_difference:
        title += f", critical difference {ranks.critical_difference:.2f}"
    # Where seeds failed or have no row, a second column counts them as chance.
    columns = [ranks.ranks]
    if ranks.ranks_worst is not None:
        columns.append(ranks.ranks_worst)
    rows = [
        [ranks.methods[place], *(f"{column[place]:.2f}" for column in columns)] for place in order
    ]
    also = [WORST] * (len(columns) - 1)
    tables = [Table(title, ["method", "mean rank", *also], rows)]
    if ranks.pairs:
        tables.append(_rank_pair_table(ranks, also))
    if ranks.groups is not None:
        title = "groups by rank in which no two methods differ"
        groups = [[str(place), ", ".join(group)] for place, group in enumerate(ranks.groups, 1)]
        tables.append(Table(title, ["group", "methods"], groups or [["-", "none"]], 2))
    return tables


def _rank_pair_table(ranks: Ranks, also: list[str]) -> Table:
    """The pairs of ranked methods; ``also`` are further columns."""
    kind = "Nemenyi" if ranks.critical_difference else "Wilcoxon over data sets, Holm"
    title = f"pairs of ranks, {kind}"
    if ranks.smallest_p is not None:
        smallest = f"{ranks.smallest_p:.3g}"
        title += f"; the smallest p that {len(ranks.data)} data sets allow is {smallest}"
    rows = []
    for pair in ranks.pairs:
        p = [pair.p, pair.p_worst] if also else [pair.p]
        rows.append([pair.a, pair.b, *map(probability, p)])
    return Table(title, ["A", "B", "corrected p", *also], rows, 2)


def aggregate_tables(aggregates: Aggregates, metric: str, confidence: str) -> list[Table]:
    """The centers over all data sets, and the performance profiles.

    Args:
      aggregates: the methods.
      metric: the score's title.
      confidence: of the intervals, such as "95 %".
    """
    count = len(aggregates.data)
    title = f"over {count} data sets: {metric}, {confidence} intervals of a stratified bootstrap"
    title += " (other seeds of the same data sets)"
    header = ["method", "scores"]
    for name in ("IQM", "mean", "median"):
        header += [name, f"{confidence} interval"]
    if aggregates.failed:
        header.append(f"mean, {WORST}")
    rows = [_aggregate_row(row, aggregates.failed) for row in aggregates.methods]
    places = _shown(aggregates.levels)
    levels = [f"> {aggregates.levels[place]:g}" for place in places]
    profile = [
        [row.method, *(f"{row.shares[place]:.2f}" for place in places)]
        for row in aggregates.methods
    ]
    about = f"performance profile: share of runs whose {metric} is above a value"
    return [Table(title, header, rows), Table(about, ["method", *levels], profile)]


def _aggregate_row(row: Aggregate, failed: bool) -> list[str]:
    cells = [row.method, str(row.n)]
    cells += [number(row.iqm), interval(row.iqm_low, row.iqm_high)]
    cells += [number(row.mean), interval(row.mean_low, row.mean_high)]
    cells += [number(row.median), interval(row.median_low, row.median_high)]
    return [*cells, number(row.worst_mean)] if failed else cells


def _shown(levels: tuple[float, ...]) -> list[int]:
    """Places of a few round levels, the finest that are not too many."""
    for step in (0.02, 0.1, 0.2, 0.5):
        # No run is above the last level.
        steps = [level / step for level in levels[:-1]]
        places = [place for place, count in enumerate(steps) if abs(count - round(count)) < 1e-6]
        if len(places) <= COLUMNS:
            break
    return places
