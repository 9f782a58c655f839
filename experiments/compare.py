"""Every method on several sets with ten seeds: ``python -m experiments.compare --help``.

Cells, a method on a data set for all its seeds, run as ``jaxclust fit --methods`` runs them, and add their rows to
``results/compare.jsonl``; those whose rows are there are skipped. ``--table`` prints the comparison, ``--page FILE``
writes the report of the runs that are in ``--folder``.
"""

import argparse
import sys
import time
from pathlib import Path

from experiments import common
from jaxclust import compare, datasets, fit, record, report, sweep
from jaxclust.algorithms import METHODS, configured
from jaxclust.compare import cells, tables

RESULTS = Path(__file__).parent / "results" / "compare.jsonl"

# Seeds of each data set.
SEEDS = {"digits": 10, "usps": 10, "coil20-32": 10, "mnist-test": 5}


def missing(data: str, methods: list[str]) -> list[str]:
    """The methods without all their rows on a data set."""
    present = [row["method"] for row in common.rows(RESULTS) if row["data"] == data]
    # Of a method with several labelings the first.
    called = {name: record.row_name(name, fit.labeling_names(METHODS[name])[0]) for name in methods}
    return [name for name in methods if present.count(called[name]) < SEEDS[data]]


def fitting(data: str, methods: list[str]) -> list[str]:
    """The methods whose networks take the set's images; the others are named on stderr with the reason."""
    dataset, found = datasets.load(data), []
    for name in methods:
        config, _ = configured(name, clusters=dataset.classes)
        try:
            fit.build(METHODS[name], config, dataset.images.shape[1:])
            found.append(name)
        except ValueError as error:
            print(f"{data}: without {name}, {error}", file=sys.stderr)
    return found


def run(data: str, methods: list[str], folder: Path, deadline: float) -> None:
    """Runs what is missing on a data set, and adds the rows of what is finished."""
    wanted = missing(data, methods)
    left = deadline - time.monotonic()
    if not wanted or left <= 0:
        return
    # Finished cells are skipped there, and share their pretraining.
    listed = [name for name in methods if name in wanted or (folder / data / name / "results.jsonl").exists()]
    arguments = ["--methods", ",".join(listed), "--data", data, "--seeds", str(SEEDS[data]), "--out", str(folder)]
    if left != float("inf"):
        arguments += ["--max-seconds", f"{left:.0f}"]
    if folder.exists():
        arguments.append("--resume")
    sweep.command([*arguments, "--no-figures"])
    for name in wanted:
        path = folder / data / name / "results.jsonl"
        if path.exists():
            with RESULTS.open("a") as file:
                file.write(path.read_text())


def main() -> None:
    """Runs what is missing, then prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=",".join(SEEDS), help="data sets, by comma (default: %(default)s)")
    parser.add_argument("--methods", default=",".join(METHODS), help="by comma (default: all that take the images)")
    parser.add_argument("--folder", type=Path, default=Path("runs/compare"), help="of runs (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later")
    parser.add_argument("--format", default="text", choices=tuple(tables.FORMATS), help="of the table")
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--page", type=Path, help="write the report of the runs in the folder, too")
    options = parser.parse_args()
    deadline = time.monotonic() + options.max_seconds
    for data in [] if options.table else options.data.split(","):
        run(data, fitting(data, options.methods.split(",")), options.folder, deadline)
    if not common.rows(RESULTS):
        sys.exit(f"{RESULTS} has no rows yet")
    found, notes = cells.read([str(RESULTS)])
    print(tables.FORMATS[options.format](compare.comparison(found, compare.Options(), notes)))
    if options.page is not None:
        report.command([str(options.folder), "--out", str(options.page), "--overwrite"])


if __name__ == "__main__":
    common.command(main)
