"""The table of CCNN and its baselines from ImageNet's weights, from the rows."""

from collections.abc import Sequence

from experiments import rows, tables
from experiments.papers.ccnn.imagenet import DATA, RESULTS, STARTS, VARIANTS
from jaxclust.evaluation import stats
from jaxclust.runs.rows import Row

LABELS = {
    "ccnn": "CCNN",
    "baseline-i": "I, no compensation",
    "baseline-ii": "II, mini-batch k-means",
    "baseline-iii": "III, k-means",
    "plain ccnn": "CCNN, no adaptation layers",
    "plain baseline-i": "I, no adaptation layers",
    "plain baseline-ii": "II, no adaptation layers",
    "plain baseline-iii": "III, no adaptation layers",
    "k-means of maxima": "k-means, maxima of the trunk",
    "k-means of means": "k-means, means of the trunk",
    "train all": "CCNN, all layers trained",
    "baseline-i train all": "I, all layers trained",
    "lite0 ccnn": "CCNN on Lite0",
    "lite0 baseline-i": "I on Lite0",
    "lite0 baseline-ii": "II on Lite0",
    "lite0 baseline-iii": "III on Lite0",
    "lite0 k-means of means": "k-means, means of Lite0",
}
PAIRS = (
    ("ccnn", "baseline-i"),
    ("ccnn", "baseline-ii"),
    ("ccnn", "baseline-iii"),
    ("plain ccnn", "plain baseline-i"),
    ("plain ccnn", "plain baseline-ii"),
    ("plain ccnn", "plain baseline-iii"),
    ("plain ccnn", "k-means of maxima"),
    ("plain ccnn", "ccnn"),
    ("lite0 ccnn", "lite0 baseline-i"),
    ("lite0 ccnn", "lite0 baseline-iii"),
    ("lite0 ccnn", "lite0 k-means of means"),
    ("train all", "baseline-i train all"),
    ("train all", "ccnn"),
    ("train all", "k-means of maxima"),
)
SCORES = {"acc": "ACC", "nmi": "NMI", "nmi_sqrt": "NMI(sqrt)"}


def text() -> str:
    """Means over the seeds with their 95 % intervals, and differences on the same seeds."""
    cells: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows.read(RESULTS):
        key = (row.data, str(row.extra["start"]), row.variant or "")
        cells.setdefault(key, []).append(row)
    groups = [(data, start) for data in DATA for start in STARTS]
    lines = [["data", "start", "method", "seeds", *SCORES.values()]]
    for group in groups:
        for variant in VARIANTS:
            cell = cells.get((*group, variant))
            if cell:
                scores = [_mean([row.score(score) for row in cell]) for score in SCORES]
                lines.append([*group, LABELS[variant], str(len(cell)), *scores])
    found = [tables.aligned(lines)] if len(lines) > 1 else []
    for data, start in groups:
        for name, other in PAIRS:
            pair = [cells.get((data, start, variant), []) for variant in (name, other)]
            differences = tables.differences(pair[0], pair[1], "nmi_sqrt")
            if len(differences) > 1:
                both = f"{LABELS[name]} less {LABELS[other]}"
                gain = f"NMI(sqrt) {tables.gain(differences)}"
                found.append(f"{data}, {start}: {both}: {gain}, {len(differences)} seeds")
    return "\n".join(found)


def _mean(scores: Sequence[float | None]) -> str:
    """Mean of the seeds that did not fail, its 95 % interval, and how many failed."""
    finite = [score for score in scores if score is not None]
    failed = f" ({len(scores) - len(finite)} failed)" if len(finite) < len(scores) else ""
    if len(finite) < 2:
        return f"{f'{finite[0]:.3f}' if finite else '-'}{failed}"
    summary = stats.summary(finite, bounds=stats.SHARE)
    return f"{summary.mean:.3f} [{summary.low:.3f}, {summary.high:.3f}]{failed}"
