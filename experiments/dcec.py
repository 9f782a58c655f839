"""DCEC's table 1 (Guo et al. 2017) on real images: ``python -m experiments.dcec --help``.

Each cell, a method on a data set for all its seeds, adds its rows to ``results/dcec.jsonl`` as it ends; cells whose
rows are there are skipped, and one that was stopped goes on from its checkpoint. Methods of one network share one
pretraining a seed, as in the paper.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import jax
import numpy as np

from jaxclust import datasets, fit, record, stats
from jaxclust.algorithms import METHODS, configured

RESULTS = Path(__file__).parent / "results" / "dcec.jsonl"
CAE, SAE = ("cae-kmeans", "dec-conv", "dcec"), ("sae-kmeans", "dec", "idec")

# Seeds of each data set.
SEEDS = {"digits": range(5), "usps": range(5)}

# Table 1: ACC and NMI of one run.
PAPER = {
    "usps": {
        "kmeans": (0.6682, 0.6266),
        "sae-kmeans": (0.6165, 0.5727),
        "dec": (0.6928, 0.7018),
        "idec": (0.7210, 0.7323),
        "cae-kmeans": (0.7415, 0.7330),
        "dec-conv": (0.7790, 0.8108),
        "dcec": (0.7900, 0.8257),
    },
}


def run(data: str, name: str, over: str, folder: Path, deadline: float) -> bool:
    """Runs a cell and adds its rows, unless they are there; False if time ran out."""
    dataset = datasets.load(data)
    method = METHODS[name]
    config, pretraining = configured(name, clusters=dataset.classes)
    seeds = tuple(SEEDS[data])
    wanted = record.settings(name, "paper", dataset, seeds, over, config, pretraining)
    present = [row for row in rows() if (row["data"], row["method"]) == (data, name)]
    if present:
        if {row["config_hash"] for row in present} != {record.digest(wanted)}:
            sys.exit(f"{RESULTS} has rows of {name} on {data} with other settings; remove them to run it again")
        return True

    def show(phase, event):
        if event is not None:
            window, loss = int(np.max(event.runs.window)), event.history["loss"][-1]
            line = f"{data} {name}: {phase} {window} of {event.schedule.max_windows}, loss {loss:.4g}"
            print(line, file=sys.stderr, flush=True)

    done = fit.fit(
        method,
        config,
        pretraining,
        dataset.images,
        seeds,
        over=over,
        directory=folder / data / name,
        pretrained=folder / data / method.network.__name__,
        max_seconds=max(deadline - time.monotonic(), 1e-3),
        progress=show,
    )
    if not done.finished:
        return False
    steps = method.algorithm.schedule(config, len(dataset.images)).steps_per_window
    with RESULTS.open("a") as file:
        file.write(record.lines(record.rows(wanted, dataset, done, steps)))
    return True


def rows() -> list[dict]:
    """Those that are there."""
    return record.read_rows(RESULTS) if RESULTS.exists() else []


def table() -> str:
    """The rows, one line a data set and method: mean, sd, and where one more run would fall with 95 %; the paper's."""
    present = rows()
    lines = [f"{'':19}{'seeds':>5}  {'ACC':30} {'paper':8} {'NMI':30} paper"]
    for data in SEEDS:
        for name in METHODS:
            cell = [row for row in present if (row["data"], row["method"]) == (data, name)]
            if not cell:
                continue
            line = f"{data:8}{name:11}{len(cell):5}"
            published = PAPER.get(data, {}).get(name, (None, None))
            for score, theirs in zip(("acc", "nmi"), published, strict=True):
                values = [row[score] for row in cell if row["failed"] is None]
                text = f"{len(cell) - len(values)} failed "[: 9 * (len(values) < len(cell))]
                if len(values) > 1:
                    _, mean, sd, _, _ = stats.summary(values)
                    low, high = stats.prediction_interval(values)
                    text += f"{mean:.4f} sd {sd:.4f} [{low:.3f}, {high:.3f}]"
                elif values:
                    text += f"{values[0]:.4f}"
                line += f"  {text:30} {'' if theirs is None else format(theirs, '.4f'):6}"
            lines.append(line.rstrip())
    return "\n".join(lines)


def main() -> None:
    """Runs the cells asked for, then prints the table."""
    parser = argparse.ArgumentParser(description="DCEC's table 1; prints the table of the rows at the end.")
    parser.add_argument("--data", default=",".join(SEEDS), help="data sets, by comma (default: %(default)s)")
    parser.add_argument("--methods", default=",".join(METHODS), help="methods, by comma (default: all)")
    parser.add_argument("--over", default="shard", choices=("vmap", "map", "shard"), help="how seeds run")
    parser.add_argument("--folder", type=Path, default=Path("runs/dcec"), help="of checkpoints (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    if options.over == "shard":
        jax.config.update("jax_num_cpu_devices", os.cpu_count())
    deadline = time.monotonic() + options.max_seconds
    cells = [] if options.table else [(d, m) for d in options.data.split(",") for m in options.methods.split(",")]
    for data, name in cells:
        if not run(data, name, options.over, options.folder, deadline):
            print("out of time; the same command goes on", file=sys.stderr)
            break
    print(table())


if __name__ == "__main__":
    main()
