"""What ``jaxclust vote`` does to the votes of seeds, on digits and USPS, where it was made.

Each material is a method with its settings, or graph degree linkage on an embedding, with four
seeds. The row has the scores of the seeds' vote, of what ``vote`` makes of it, and of what it would
have been had the pupils always decided.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import jaxclust as jc
from experiments import rows, tables
from experiments.experiment import Experiment, Part, Request
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine.fit import Options, apply, fit
from jaxclust.evaluation import metrics
from jaxclust.methods import pupil
from jaxclust.ops.graph_start import graph_clusters
from jaxclust.runs import vote
from jaxclust.runs.consensus import make_consensus
from jaxclust.types import Json, Method

RESULTS = rows.RESULTS / "vote.jsonl"
SEEDS = (0, 1, 2, 3)
MOVED = {"epochs": 40, "augment": "affine"}
GRAPH = {"augment": "affine", "start": "graph"}
DEC = {"gamma": 1.0, "reconstruction_weight": 0.0}
AGAIN = {"graph_windows": 4, "max_steps": 2800}


class Material(NamedTuple):
    """What the seeds' labels come from.

    Attributes:
      name: what the table calls it.
      method: a method's name; "graph" for graph degree linkage on a pretrained embedding.
      pretraining: its settings.
      config: the method's settings.
    """

    name: str
    method: str
    pretraining: Mapping[str, Any] = {}
    config: Mapping[str, Any] = {}


MATERIALS: Mapping[str, tuple[Material, ...]] = {
    "digits": (
        Material("k-means", "kmeans"),
        Material("graph", "graph", MOVED),
        Material(
            "DEC, graph again",
            "dcec",
            {"epochs": 100},
            {"start": "graph", "update_epochs": 4.0} | DEC | AGAIN,
        ),
    ),
    "usps": (
        Material("graph", "graph", MOVED),
        Material("DCEC", "dcec", MOVED, GRAPH | {"max_steps": 2800}),
        Material("DEC", "dcec", MOVED, GRAPH | DEC | {"max_steps": 1680}),
        Material("DEC, graph again", "dcec", MOVED, GRAPH | DEC | AGAIN),
    ),
}


def text() -> str:
    """A line for each case: the vote of the seeds, and what became of it."""
    lines = [
        [
            *("data", "case", "mean of the seeds", "disputed", "vote", "with pupils"),
            *("pupils always", "sides with pupils / seeds"),
        ]
    ]
    for row in rows.read_lines(RESULTS):
        lines.append(
            [
                row["data"],
                row["material"],
                f"{np.mean(row['acc']):.3f}",
                f"{row['disputed']:.1%}",
                f"{row['vote_acc']:.4f} ({row['vote_nmi']:.4f})",
                f"{row['taught_acc']:.4f} ({row['taught_nmi']:.4f})",
                f"{row['always_acc']:.4f}",
                f"{row['pupils']} / {row['seeds']} of {row['cases']}",
            ]
        )
    return tables.aligned(lines)


def run(request: Request) -> bool:
    """Makes the rows that are missing; False where time ran out."""
    for data in request.data:
        for material in MATERIALS[data]:
            lines = rows.read_lines(RESULTS)  # Anew, since another process may add to them.
            if (data, material.name) in [(line["data"], line["material"]) for line in lines]:
                continue
            if time.monotonic() >= request.deadline:
                return False
            dataset = datasets.load(data)
            found = labels(material, dataset, request)
            line: dict[str, Json] = {
                "data": data,
                "material": material.name,
                "method": material.method,
            }
            line |= {"pretraining": dict(material.pretraining), "config": dict(material.config)}
            rows.append(RESULTS, [line | measured(found, dataset)])
    return True


def labels(material: Material, dataset: Dataset, request: Request) -> np.ndarray:
    """The clusters of four seeds, int32 (seeds, n)."""
    assert dataset.classes is not None
    by_graph = material.method == "graph"
    name = "cae-kmeans" if by_graph else material.method
    method: Method = jc.method(name, pretraining=dict(material.pretraining) or None)
    method = method.with_settings({"clusters": dataset.classes, **material.config})
    options = Options(over=request.over)
    if material.pretraining:
        words = [f"{name}-{value}" for name, value in sorted(material.pretraining.items())]
        place = request.folder / dataset.name / "-".join(["pretrain", *words])
        own = (
            request.folder / dataset.name / material.name.lower().replace(",", "").replace(" ", "-")
        )
        options = options._replace(pretrained=place, directory=own)
    done = fit(method, dataset.images, SEEDS, options)
    assert done.labels is not None  # No time was set, so that the run came to its end.
    if not by_graph:
        return done.labels
    states = done.phases["cluster"].lanes.state
    features = apply(method, states, dataset.images, "embed")
    found = [graph_clusters(jnp.asarray(own), dataset.classes) for own in features]
    return np.stack(found)


def measured(found: np.ndarray, dataset: Dataset) -> dict[str, Json]:
    """The scores of a material's vote, and of what pupils make of it.

    Args:
      found: clusters, int (seeds, n).
      dataset: with labels.
    """
    assert dataset.labels is not None
    assert dataset.classes is not None
    start = time.monotonic()
    votes = make_consensus(found, SEEDS, dataset.classes)
    why_not = vote.reason_not_to_teach(votes)
    pupils = np.empty((0, len(dataset.labels)), np.int32)
    if not why_not:
        pupils = vote.train(votes, dataset.images, SEEDS[0], pupil.Config())
    decided = vote.decide(votes, pupils, why_not)
    seconds = round(time.monotonic() - start, 1)
    always = votes.labels.copy()
    if len(pupils):
        agreed = decided.disputed & (pupils[0] == pupils[1])
        always[agreed] = pupils[0][agreed]
    scores = {
        name: metrics.scores(dataset.labels, clusters)
        for name, clusters in (("vote", votes.labels), ("taught", decided.labels))
    }
    undisputed = ~decided.disputed
    line: dict[str, Json] = {
        "acc": [round(metrics.accuracy(dataset.labels, own), 4) for own in found],
        "disputed": round(float(decided.disputed.mean()), 4),
    }
    for name, both in scores.items():
        line |= {f"{name}_{score}": round(both[score], 4) for score in ("acc", "nmi")}
    backing = decided.backing or vote.Backing(0, 0, 0)
    return line | {
        "always_acc": round(metrics.accuracy(dataset.labels, always), 4),
        "undisputed_acc": round(
            metrics.accuracy(dataset.labels[undisputed], votes.labels[undisputed]), 4
        ),
        "changed": int(decided.changed.sum()),
        **backing._asdict(),
        "why_not": decided.why_not,
        "seconds": seconds,
    }


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {"": Part("the rows that are missing", run, {"data": MATERIALS}, {"data": tuple(MATERIALS)})},
)
