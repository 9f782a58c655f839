"""Time and memory of the neighbor graph and of merging: ``python -m benchmarks.linkage [--json]``.

Each data set is measured in a process of its own, on pixels scaled to unit length. Seconds are
without compilation, the best of ``--repeats``; the peak is the process's. "random" is 70,000 points
of as many dimensions as JULE's features, 160, for the neighbor graph alone. ``--json`` gives the
rows of ``experiments/results/linkage.jsonl``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxclust.data import datasets
from jaxclust.engine.clocks import Stopwatch
from jaxclust.evaluation import metrics
from jaxclust.ops.graph_linkage import Criterion, History, merge, no_merges
from jaxclust.ops.neighbor_graph import Graph, initial_clusters, knn_digraph
from jaxclust.runs.rows import device_name, peak_memory_mb
from jaxclust.types import Json

DATA = ("digits", "coil20-32", "mnist-test", "usps-11000", "random", "mnist")
CRITERIA = {"gdl": 0.0, "jule": 1.0}
"""``local_weight`` of the criterion by which clusters merge."""


def measure(data: str, repeats: int) -> list[dict[str, Json]]:
    """A row for the neighbor graph and, where there are true labels, one for each criterion."""
    if data == "random":
        truth = None
        points = np.random.default_rng(0).standard_normal((70_000, 160), np.float32)
    else:
        dataset = datasets.load(data)
        truth = dataset.labels
        points = dataset.images.reshape(len(dataset.images), -1).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    n, d = points.shape
    shared: dict[str, Json] = {"data": data, "n": n, "d": d, "device": device_name()}
    compiled = jax.jit(knn_digraph, static_argnums=(1, 2)).lower(points, 20, 1.0).compile()
    seconds, graph = best(compiled, repeats, points)
    labels = jax.jit(initial_clusters)(graph)
    initial = int(labels.max()) + 1
    # "neighbours" is what the file of results has.
    row = {"what": "neighbours", "seconds": seconds, "sigma": float(graph.sigma)}
    rows = [shared | row | {"initial": initial}]
    if truth is not None:
        history = no_merges(n)
        target = len(np.unique(truth))
        for name, weight in CRITERIA.items():
            inputs = (graph, labels, target, history, weight)
            compiled = jax.jit(_merged).lower(*inputs).compile()
            seconds, (merged, _) = best(compiled, repeats, *inputs)
            clusters = np.unique(np.asarray(merged), return_inverse=True)[1]
            row = {
                "what": name,
                "seconds": seconds,
                "initial": initial,
                "nmi_sqrt": round(metrics.nmi(truth, clusters, "sqrt"), 4),
                "largest": float(np.bincount(clusters).max() / n),
            }
            rows.append(shared | row)
    return [row | {"peak_memory_mb": peak_memory_mb()} for row in rows]


def _merged(
    graph: Graph, labels: jax.Array, target: int, history: History, weight: float
) -> tuple[jax.Array, History]:
    return merge(graph, labels, target, history, Criterion(weight))


def best(compiled: Callable[..., Any], repeats: int, *arguments: Any) -> tuple[float, Any]:
    """The least seconds of some calls, and what a call returns."""
    seconds = []
    result = None
    for _ in range(repeats):
        watch = Stopwatch()
        result = jax.block_until_ready(compiled(*arguments))
        seconds.append(watch.read().seconds)
    return round(min(seconds), 3), result


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(
        description="Time and memory of the neighbor graph and of merging."
    )
    parser.add_argument("--data", default=",".join(DATA), help="by comma (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timings (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--here", action="store_true", help="measure in this process")
    options = parser.parse_args()
    for data in options.data.split(","):
        if not options.here:
            command = [sys.executable, "-m", "benchmarks.linkage", "--here", "--data", data]
            command += ["--repeats", str(options.repeats), *(["--json"] if options.json else [])]
            subprocess.run(command, check=True)
            continue
        for row in measure(data, options.repeats):
            line = "  ".join(f"{name} {value}" for name, value in row.items())
            print(json.dumps(row) if options.json else line, flush=True)


if __name__ == "__main__":
    main()
