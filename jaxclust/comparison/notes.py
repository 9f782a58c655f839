"""Sentences about a data set's comparison: failed seeds, constants, pairs, numbers of clusters."""

from jaxclust.comparison.types import DataSetComparison, MethodSummary


def data_notes(data: DataSetComparison) -> list[str]:
    """What a reader of a data set's tables has to know."""
    notes = []
    for summary in data.methods:
        notes += _method_notes(summary, f"{summary.method} on {data.name}")
    seeds = {summary.method: set(summary.seeds) for summary in data.methods if not summary.constant}
    for pair in data.pairs:
        a = seeds.get(pair.a, set())
        b = seeds.get(pair.b, set())
        if a and b and a != b and pair.test not in ("unpaired", "none"):
            counts = f"{pair.n[0]} sound seeds that they share, of {len(a)} and {len(b)}"
            where = f"{pair.a} and {pair.b} on {data.name}"
            notes.append(f"{where}: difference and test are of the {counts}")
    clusters = {summary.method: summary.clusters for summary in data.methods}
    if len(set(clusters.values())) > 1:
        each = ", ".join(f"{method} {count}" for method, count in clusters.items())
        notes.append(f"{data.name}: the methods have different numbers of clusters ({each})")
    return notes


def _method_notes(summary: MethodSummary, where: str) -> list[str]:
    notes = []
    if summary.failed:
        seeds = ", ".join(f"seed {seed} ({place})" for seed, place in summary.failed.items())
        mean = "none" if summary.mean is None else f"{summary.mean:.4f}"
        means = f"mean without them {mean}, as chance {summary.worst_mean:.4f}"
        notes.append(f"{where}: failed {seeds}; {means}")
    elif summary.missing:
        seeds = ", ".join(map(str, summary.missing))
        mean = f"mean with them as chance {summary.worst_mean:.4f}"
        notes.append(f"{where}: no row of seeds {seeds}; {mean}")
    if summary.constant:
        notes.append(f"{where} draws no random number: one value, no interval")
    elif summary.n == 1:
        notes.append(f"{where}: one seed has no interval and cannot be compared")
    return notes
