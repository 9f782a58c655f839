"""What methods make of images that they have not seen.

Each method clusters one half of a set, and its ``predict`` sorts the other half into the clusters.
The halves are drawn once for each set, and are the same for all methods and seeds.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np

import jaxclust as jc
from experiments import rows, runner, tables
from experiments.compare import fitting
from experiments.experiment import Experiment, Part, Request
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.evaluation import metrics
from jaxclust.methods import registry
from jaxclust.runs.run import Run

RESULTS = rows.RESULTS / "halves.jsonl"
DATA = ("digits", "usps")
SEEDS = 3
WORTH_A_WORD = 0.03
"""The table marks a mean ACC on unseen images that is lower than that on the others by more."""


def methods() -> tuple[str, ...]:
    """The methods that can label images they have not seen."""
    return tuple(
        name for name in registry.names() if registry.get(name).algorithm.predict is not None
    )


def halves(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Two halves of a set, drawn with seed 0."""
    order = np.random.default_rng(0).permutation(len(dataset.images))
    labels = runner.labels_of(dataset)
    middle = (len(order) + 1) // 2
    parts = [order[:middle], order[middle:]]
    first, second = (
        Dataset(f"half of {dataset.name}", dataset.images[part], labels[part]) for part in parts
    )
    return first, second


def run(request: Request) -> bool:
    """Makes the rows that are missing; False where time ran out."""
    for data in request.data:
        dataset = datasets.load(data)
        seen, unseen = halves(dataset)
        for name in fitting(dataset, request.methods):
            known = {(line["data"], line["method"]) for line in rows.read_lines(RESULTS)}
            if (data, name) in known:
                continue
            left = request.deadline - time.monotonic()
            if left <= 0:
                return False
            print(f"{data} {name}", file=sys.stderr)
            done = jc.fit(
                name,
                seen,
                seeds=SEEDS,
                out=request.folder / data / name,
                max_seconds=None if left == float("inf") else left,
                progress=False,
            )
            if not done.finished:
                return False
            rows.append(RESULTS, lines(done, seen, unseen, {"data": data, "method": name}))
    return True


def lines(run: Run, seen: Dataset, unseen: Dataset, key: rows.Line) -> Sequence[rows.Line]:
    """A line for each seed: its scores on the images that it has seen, and on the others."""
    made = []
    for lane, seed in enumerate(run.seeds):
        line = key | {"seed": seed, "failed": run.failed.get(seed)}
        if seed not in run.failed:
            found = metrics.scores(runner.labels_of(seen), run.labels[lane])
            predicted = np.asarray(run.predict(unseen, seed).cluster)
            new = metrics.scores(runner.labels_of(unseen), predicted)
            line |= {name: round(found[name], 6) for name in ("acc", "nmi")}
            line |= {f"new_{name}": round(new[name], 6) for name in ("acc", "nmi")}
        made.append(line)
    return made


def text() -> str:
    """A line for each method and set: mean scores of both halves."""
    head = ["data", "method", "seeds", "ACC, seen", "ACC, unseen", "difference", "NMI, seen"]
    made = [[*head, "NMI, unseen", ""]]
    found = rows.read_lines(RESULTS)
    for data in DATA:
        for name in methods():
            cell = [line for line in found if (line["data"], line["method"]) == (data, name)]
            sound = [line for line in cell if line["failed"] is None]
            if not sound:
                continue
            means = {
                column: float(np.mean([line[column] for line in sound]))
                for column in ("acc", "new_acc", "nmi", "new_nmi")
            }
            difference = means["new_acc"] - means["acc"]
            made.append(
                [
                    *(data, name, f"{len(sound)} of {len(cell)}"),
                    *(f"{means[column]:.3f}" for column in ("acc", "new_acc")),
                    f"{difference:+.3f}",
                    *(f"{means[column]:.3f}" for column in ("nmi", "new_nmi")),
                    "lower" if difference < -WORTH_A_WORD else "",
                ]
            )
    return tables.aligned(made)


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part(
            "how methods label images that they have not seen",
            run,
            {"data": DATA, "methods": methods()},
        )
    },
)
