"""Neighbours and merging, each data set in a process of its own: ``python -m benchmarks.linkage [--json]``.

Pixels of unit length. The seconds of neighbours and of merging are without compilation, the best of ``--repeats``; the
peak is the process's. "random" is 70,000 points of JULE's 160 features, neighbours alone.
"""

import argparse
import json
import subprocess
import sys
import time

import jax
import numpy as np

from jaxclust.data import datasets
from jaxclust.evaluation import metrics
from jaxclust.ops.graph_linkage import merge, no_merges
from jaxclust.ops.neighbor_graph import initial_clusters, knn_digraph
from jaxclust.runs.rows import device_name, peak_memory_mb

DATA = ("digits", "coil20-32", "mnist-test", "usps-11000", "random", "mnist")


def measure(data: str, repeats: int) -> list[dict]:
    """A row for the neighbours, and one for each criterion."""
    if data == "random":
        truth, x = None, np.random.default_rng(0).standard_normal((70_000, 160), np.float32)
    else:
        dataset = datasets.load(data)
        truth = dataset.labels
        x = dataset.images.reshape(len(dataset.images), -1).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    common = {"data": data, "n": len(x), "d": x.shape[1], "device": device_name()}
    seconds, graph = best(
        jax.jit(knn_digraph, static_argnums=(1, 2)).lower(x, 20, 1.0).compile(), repeats, x
    )
    labels = jax.jit(initial_clusters)(graph)
    clusters = int(labels.max()) + 1
    rows = [
        common
        | {
            "what": "neighbours",
            "seconds": seconds,
            "sigma": float(graph.sigma),
            "initial": clusters,
        }
    ]
    history = no_merges(len(x))
    for what, weight in (("gdl", 0.0), ("jule", 1.0)) if truth is not None else ():
        target = len(np.unique(truth))
        compiled = jax.jit(merge).lower(graph, labels, target, history, weight).compile()
        seconds, (found, _) = best(compiled, repeats, graph, labels, target, history, weight)
        found = np.unique(np.asarray(found), return_inverse=True)[1]
        score = metrics.nmi(truth, found, "sqrt")
        largest = float(np.bincount(found).max() / len(x))
        row = {
            "what": what,
            "seconds": seconds,
            "initial": clusters,
            "nmi_sqrt": round(score, 4),
            "largest": largest,
        }
        rows.append(common | row)
    return [row | {"peak_memory_mb": peak_memory_mb()} for row in rows]


def best(compiled, repeats, *arguments):
    """The least seconds of some calls, and what they return."""
    seconds = []
    for _ in range(repeats):
        clock = time.perf_counter()
        result = jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - clock)
    return round(min(seconds), 3), result


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=",".join(DATA), help="by comma (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--here", action="store_true", help="in this process")
    options = parser.parse_args()
    for data in options.data.split(","):
        if not options.here:
            arguments = [
                "--data",
                data,
                "--repeats",
                str(options.repeats),
                *(["--json"] if options.json else []),
            ]
            subprocess.run(
                [sys.executable, "-m", "benchmarks.linkage", "--here", *arguments], check=True
            )
            continue
        for row in measure(data, options.repeats):
            print(
                json.dumps(row)
                if options.json
                else "  ".join(f"{name} {row[name]}" for name in row),
                flush=True,
            )


if __name__ == "__main__":
    main()
