"""Which number of clusters the agreement between seeds picks.

``jaxclust fit METHOD --clusters auto --criterion stability`` looks at no label. Here the sets have
some, and each row says what was picked and how many classes there are.
"""

import sys
import time

from experiments import rows, runner, tables
from experiments.experiment import Experiment, Part, Request
from jaxclust.data import datasets
from jaxclust.runs.sweeps import UNFINISHED, read_choice
from jaxclust.types import Json

RESULTS = rows.RESULTS / "clusters.jsonl"
CELLS = (
    ("kmeans", "digits"),
    ("kmeans", "usps"),
    ("kmeans", "coil20-32"),
    ("kmeans", "mnist-test"),
    ("cae-kmeans", "digits"),
)
RANGE = "2,30"
SEEDS = 5
HEADS = ["data", "method", "classes", "picked", "agreement there", "at the classes"]


def text() -> str:
    """A line a cell: the number picked beside the classes, and the agreement at both."""
    lines = [[*HEADS, "smallest", "largest"]]
    for line in rows.read_lines(RESULTS):
        known = {int(k): value for k, value in line["stability"].items() if value is not None}
        places = (line["chosen"], line["classes"])
        at = [f"{known[k]:.3f}" if k in known else "left out" for k in places]
        ends = [f"{min(known.values()):.3f}", f"{max(known.values()):.3f}"]
        counts = [str(line["classes"]), str(line["chosen"])]
        lines.append([line["data"], line["method"], *counts, *at, *ends])
    return tables.aligned(lines)


def run(request: Request) -> bool:
    """Runs the cells that have no row; False where time ran out."""
    done = {(line["method"], line["data"]) for line in rows.read_lines(RESULTS)}
    cells = [cell for cell in CELLS if cell not in done]
    return all(run_cell(method, data, request) for method, data in cells)


def run_cell(method: str, data: str, request: Request) -> bool:
    """Runs a cell and adds its row, unless a run crashed; False where time ran out."""
    out = request.folder / data / method
    left = request.deadline - time.monotonic()
    if left <= 0:
        return False
    words = ["fit", method, "--data", data, "--clusters", "auto", "--cluster-range", RANGE]
    words += ["--criterion", "stability", "--seeds", str(SEEDS), "--no-figures", "--out", str(out)]
    if left < float("inf"):
        words += ["--max-seconds", str(left)]
    runner.jaxclust([*words, "--resume"] if out.exists() else words)
    choice = read_choice(out)
    if choice is None or any(number.reason in UNFINISHED for number in choice.rows):
        return False
    crashed = [f"{number.clusters} ({number.reason})" for number in choice.rows if number.reason]
    if crashed:
        reason = f"it crashed at {', '.join(crashed)}"
        print(f"{method} on {data} has no row: {reason}", file=sys.stderr)
        return True
    # A number that is left out, as where a seed left clusters empty, has no stability that counts.
    stability: dict[str, Json] = {
        str(number.clusters): None if number.left_out else number.stability
        for number in choice.rows
    }
    line: dict[str, Json] = {"data": data, "method": method, "seeds": SEEDS}
    line |= {"classes": datasets.load(data).classes, "chosen": choice.chosen}
    rows.append(RESULTS, [line | {"stability": stability}])
    return True


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {"": Part("the cells that have no row", run)},
)
