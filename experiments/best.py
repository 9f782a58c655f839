"""The method ``best``, and what each of its parts is worth.

A variant is ``best`` with one part taken away or added; ``dcec-da`` stands beside them. The
settings were chosen on digits and USPS. The other sets are reported: MNIST-test and MNIST, and
beside them four sets of other kinds.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments import rows, runner, tables
from experiments.experiment import Experiment, Part, Request
from experiments.rows import Line
from jaxclust.comparison import tables as comparison_tables
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.evaluation import metrics
from jaxclust.methods import registry
from jaxclust.runs.cells import Cell
from jaxclust.runs.consensus import make_consensus
from jaxclust.runs.rows import peak_memory_mb
from jaxclust.runs.settings import digest

RESULTS = rows.RESULTS / "best.jsonl"
VOTES = rows.RESULTS / "best_votes.jsonl"
"""For each cell the scores of the consensus and of the most central seed, and what it cost."""
SEEDS = {
    "digits": 10,
    "usps": 10,
    "mnist-test": 10,
    "mnist": 3,
    "fashion-mnist-test": 3,
    "coil20-32": 3,
    "coil100-32": 3,
    "yaleb": 3,
}
LANES = {"mnist-test": 5, "mnist": 1}
"""Seeds that run together, where not all do: a group's rows are kept when it has ended."""
_STILL = {"augment": "none", "pretraining.augment": "none"}
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "best": ("best", {}),
    "dcec-da": ("dcec-da", {}),
    "from k-means": ("best", {"start": "kmeans"}),
    "images as they are": ("best", _STILL),
    "without resets": ("best", {"reset_epochs": None}),
    "graph again instead of resets": ("best", {"reset_epochs": None, "graph_windows": 4}),
    "graph again and resets": ("best", {"graph_windows": 4}),
    "k-means without resets": ("best", {"start": "kmeans", "reset_epochs": None}),
}
"""For each variant its method, and the settings that differ from the method's default."""
USUAL = ("best", "dcec-da")


def groups(data: str, variant: str, request: Request) -> Iterator[runner.Cell]:
    """The cells of a variant on a data set, one for each group of seeds that runs together."""
    dataset = datasets.load(data)
    name, changes = VARIANTS[variant]
    method = registry.method(name, clusters=dataset.classes).with_settings(changes)
    count = SEEDS[data]
    lanes = LANES.get(data, count)
    for first in range(0, count, lanes):
        seeds = range(first, min(first + lanes, count))
        place = request.folder / data
        if lanes < count:
            place = place / f"seeds-{first}-{seeds[-1]}"
        options = engine.Options(
            directory=place / variant.replace(" ", "-"),
            pretrained=place / runner.pretraining_folder(method),
        )
        key = {"data": data, "method": name, "variant": variant}
        yield runner.Cell(RESULTS, key, dataset, method, seeds, request, options, "default")


def run(request: Request) -> bool:
    """Runs the groups of seeds that have no rows, and lets all seeds of a variant vote."""
    voted = {(line["data"], line["variant"]) for line in rows.read_lines(VOTES)}
    for data, variant in itertools.product(request.data, request.variants):
        if (data, variant) in voted:
            continue
        cells = list(groups(data, variant, request))
        fits = []
        for cell in cells:
            # A finished group is read from its checkpoints, since rows have no labels.
            done = runner.fit(cell)
            if not done.finished:
                return False
            fits.append(done)
            known = {line["seed"] for line in runner.lines_of(RESULTS, cell.key)}
            if not known & set(cell.seeds):
                rows.add(RESULTS, runner.make(cell, done))
        rows.append(VOTES, [_votes(cells[0], fits)])
    return True


def _labels(done: engine.Fit) -> np.ndarray:
    assert done.labels is not None  # It is finished.
    return done.labels


def _votes(cell: runner.Cell, fits: Sequence[engine.Fit]) -> Line:
    """The line of a variant on a data set in ``VOTES``.

    Args:
      cell: that of the first group of seeds.
      fits: what each group gave.
    """
    labels = np.concatenate([_labels(done) for done in fits])
    failed = [failure for done in fits for failure in done.failed]
    kept = [seed for seed, failure in enumerate(failed) if failure is None]
    line: Line = dict(cell.key) | {"seeds": len(failed), "failed": len(failed) - len(kept)}
    if kept:
        consensus = make_consensus(labels[kept], kept, cell.method.clusters)
        truth = runner.labels_of(cell.dataset)
        central = metrics.scores(truth, labels[consensus.medoid])
        line |= {name: round(value, 6) for name, value in consensus.scores(truth).items()}
        line |= {f"central_{name}": round(value, 6) for name, value in central.items()}
    times = [phase.times for done in fits for phase in done.phases.values()]
    line |= {"seconds": round(sum(time.seconds for time in times), 1)}
    line |= {"compile_seconds": round(sum(time.compile_seconds for time in times), 1)}
    line |= {"peak_memory_mb": peak_memory_mb(), "config_hash": digest(cell.settings)}
    return line


def text() -> str:
    """Every variant's seeds, its vote and its cost; and each variant against ``best``."""
    found = rows.read(RESULTS)
    votes = {(line["data"], line["variant"]): line for line in rows.read_lines(VOTES)}
    heads = ["data", "variant", "seeds", "ACC", "least", "NMI", "vote: ACC", "NMI"]
    lines = [[*heads, "most central seed: ACC", "minutes a seed", "peak of the process, MB"]]
    for data in SEEDS:
        for variant in VARIANTS:
            cell = [row for row in found if (row.data, row.variant) == (data, variant)]
            if not cell:
                continue
            vote = votes.get((data, variant), {})  # It comes when all seeds have rows.
            accuracies = [row.acc for row in cell]
            known = [value for value in accuracies if value is not None]
            lines.append(
                [
                    data,
                    variant,
                    str(len(cell)),
                    tables.interval(accuracies),
                    f"{min(known):.4f}" if known else "-",
                    tables.interval([row.nmi for row in cell]),
                    *(
                        f"{vote[name]:.4f}" if name in vote else "-"
                        for name in ("acc", "nmi", "central_acc")
                    ),
                    f"{vote['seconds'] / vote['seeds'] / 60:.1f}" if vote else "-",
                    f"{vote['peak_memory_mb']:,.0f}" if vote else "-",
                ]
            )
    return f"{tables.aligned(lines)}\n\n{parts()}".rstrip()


def parts() -> str:
    """The variants with ten seeds, each against ``best`` on the same set, with corrected tests."""
    compared: dict[tuple[str, str], Cell] = {}
    for row in rows.read(RESULTS):
        if SEEDS[row.data] < 10:
            continue
        key = (row.data, row.variant or "")
        compared.setdefault(key, Cell(*key, {})).rows[row.seed] = row
    if len({variant for _, variant in compared}) < 2:
        return ""
    options = Options(baseline="best", family="data", planned=len(VARIANTS) - 1)
    return comparison_tables.text(comparison(list(compared.values()), options))


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part(
            "the variants that have no rows",
            run,
            {"data": tuple(SEEDS), "variants": tuple(VARIANTS)},
            {"data": ("digits", "usps"), "variants": USUAL},
        )
    },
)
