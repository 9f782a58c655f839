"""Which number of clusters the agreement between seeds picks: ``python -m experiments.clusters --help``.

``jaxclust fit METHOD --clusters auto`` looks at no label; here the sets have some, and each row says what was picked
and how many classes there are. Rows go into ``results/clusters.jsonl`` as cells end; one that was stopped goes on.
"""

import argparse
import sys
import time
from pathlib import Path

from experiments import common
from jaxclust.data import datasets
from jaxclust.runs import collect

RESULTS = Path(__file__).parent / "results" / "clusters.jsonl"
CELLS = (
    ("kmeans", "digits"),
    ("kmeans", "usps"),
    ("kmeans", "coil20-32"),
    ("kmeans", "mnist-test"),
    ("cae-kmeans", "digits"),
)
RANGE, SEEDS = "2,30", "5"


def table(rows: list[dict]) -> str:
    """A line a cell: the number picked beside the classes, and how well the seeds agree at both."""
    lines = [
        [
            "data",
            "method",
            "classes",
            "picked",
            "agreement there",
            "at the classes",
            "smallest",
            "largest",
        ]
    ]
    for row in rows:
        found = {int(k): value for k, value in row["stability"].items() if value is not None}
        ends = f"{min(found.values()):.3f}", f"{max(found.values()):.3f}"
        at = [
            f"{found[k]:.3f}" if k in found else "left out" for k in (row["chosen"], row["classes"])
        ]
        lines.append(
            [row["data"], row["method"], str(row["classes"]), str(row["chosen"]), *at, *ends]
        )
    return common.aligned(lines)


def main() -> None:
    """Runs what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/clusters"), help="of runs (default: %(default)s)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later"
    )
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    from jaxclust.cli import choose_clusters  # Here: what only reads results needs no tyro.

    deadline = time.monotonic() + options.max_seconds
    done = {(row["method"], row["data"]) for row in common.rows(RESULTS)}
    for method, data in [] if options.table else CELLS:
        out, left = options.folder / data / method, deadline - time.monotonic()
        if (method, data) in done:
            continue
        if left <= 0:
            print("out of time; the same command goes on", file=sys.stderr)
            break
        arguments = [
            "--data",
            data,
            "--clusters",
            "auto",
            "--cluster-range",
            RANGE,
            "--seeds",
            SEEDS,
            "--no-figures",
        ]
        arguments += ["--out", str(out), *(["--resume"] if out.exists() else [])]
        choose_clusters.command(
            method, [*arguments, *(["--max-seconds", str(left)] if left < float("inf") else [])]
        )
        found = collect.read_clusters(out)
        if found is None or any(
            row["reason"] in choose_clusters.UNFINISHED for row in found["rows"]
        ):
            print("out of time; the same command goes on", file=sys.stderr)
            break
        crashed = [f"{row['clusters']} ({row['reason']})" for row in found["rows"] if row["reason"]]
        if crashed:
            print(
                f"{method} on {data} has no row: it crashed at {', '.join(crashed)}",
                file=sys.stderr,
            )
            continue
        # One that is left out, as where a seed left clusters empty, has no stability to speak of.
        stability = {
            row["clusters"]: None if row["left_out"] else row["stability"] for row in found["rows"]
        }
        key = {
            "data": data,
            "method": method,
            "seeds": int(SEEDS),
            "classes": datasets.load(data).classes,
        }
        common.add(RESULTS, [key | {"chosen": found["chosen"], "stability": stability}])
    print(table(common.rows(RESULTS)))


if __name__ == "__main__":
    common.command(main)
