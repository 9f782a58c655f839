"""Every method on several sets with ten seeds: ``python -m experiments.compare --help``.

Cells, a method on a data set for all its seeds, run as ``jaxclust fit --methods`` runs them, and add their rows to
``results/compare.jsonl``; those whose rows are there are skipped. ``--table`` prints the comparison, ``--page DIR``
writes a report for each data set of the runs that are in ``--folder``.

The question is what beats k-means on pixels: each method is tested against it, and each data set is a family of its
own. All pairs on all sets would be a family of over 1,000, in which ten seeds could show nothing.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import common
from jaxclust import compare, datasets, fit, record, report, sweep
from jaxclust.algorithms import METHODS, configured
from jaxclust.compare import cells, tables

RESULTS = Path(__file__).parent / "results" / "compare.jsonl"

# Seeds of each data set.
SEEDS = {"digits": 10, "usps": 10, "coil20-32": 10, "mnist-test": 5}
BASELINE = "kmeans"


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


def comparisons(found: Sequence[cells.Cell], notes: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A comparison with BASELINE for each data set, a family each, and one that has the ranks over them alone.

    Args:
      found: cells as ``cells.read`` gives them.
      notes: what was left out in reading; the last comparison has them.

    Raises:
      ValueError: a data set without BASELINE.
    """
    options = compare.Options(baseline=BASELINE)
    sets = []
    for data in dict.fromkeys(cell.data for cell in found):
        mine = [cell for cell in found if cell.data == data]
        said = f"{data}: each method is tested against {BASELINE}, in a family of this data set's comparisons alone"
        sets.append(compare.comparison(mine, options, [said]))
    return [*sets, compare.comparison(found, options) | {"data": [], "notes": list(notes)}]


def pages(folder: Path, data: Sequence[str], methods: Sequence[str], out: Path) -> None:
    """A report for each data set with runs in the folder, ``out``/DATA.html."""
    out.mkdir(parents=True, exist_ok=True)
    for one in data:
        runs = [str(folder / one / name) for name in methods if (folder / one / name / "config.json").exists()]
        if runs:
            report.command([*runs, "--baseline", BASELINE, "--out", str(out / f"{one}.html"), "--overwrite"])
        else:
            print(f"{one}: no page, {folder / one} has no runs", file=sys.stderr)


def main() -> None:
    """Runs what is missing, then prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=",".join(SEEDS), help="data sets, by comma (default: %(default)s)")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"by comma, {BASELINE} always too (default: all)")
    parser.add_argument("--folder", type=Path, default=Path("runs/compare"), help="of runs (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later")
    parser.add_argument(
        "--format",
        default="text",
        choices=tuple(tables.FORMATS),
        help="of the tables, a document for each data set and one of the ranks",
    )
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--page", type=Path, help="write a report for each data set into this folder, too")
    options = parser.parse_args()
    sets, methods = options.data.split(","), list(dict.fromkeys((BASELINE, *options.methods.split(","))))
    for data in sets:
        if data not in SEEDS:
            raise ValueError(f"data: must be of {', '.join(SEEDS)}, got {data!r}")
    deadline = time.monotonic() + options.max_seconds
    for data in [] if options.table else sets:
        run(data, fitting(data, methods), options.folder, deadline)
    if not common.rows(RESULTS):
        sys.exit(f"{RESULTS} has no rows yet")
    found, notes = cells.read([str(RESULTS)])
    print("\n\n".join(tables.FORMATS[options.format](one) for one in comparisons(found, notes)))
    if options.page is not None:
        pages(options.folder, sets, methods, options.page)


if __name__ == "__main__":
    common.command(main)
