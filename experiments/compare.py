"""Every method on several sets with ten seeds: ``python -m experiments.compare --help``.

Cells, a method on a data set for all its seeds, run as ``jaxclust fit --methods`` runs them, and add their rows to
``results/compare.jsonl``; those whose rows are there are skipped. ``--table`` prints the comparison, ``--page FILE``
writes the report of the runs of ``--methods`` on the sets of ``--data`` that are in ``--folder``.

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


def missing(dataset: datasets.Dataset, methods: list[str]) -> list[str]:
    """The methods without rows on a data set; ValueError if those that are there have other settings."""
    from jaxclust import flags  # Here: what only reads results needs no tyro.

    seeds, found = SEEDS[dataset.name], []
    over, fingerprint = flags.over("auto", seeds), datasets.fingerprint(dataset)
    for name in methods:
        config, pretraining = configured(name, clusters=dataset.classes)
        wanted = record.settings(name, "paper", dataset, range(seeds), over, config, pretraining, fingerprint)
        # Of a method with several labelings the first.
        called = record.row_name(name, fit.labeling_names(METHODS[name])[0])
        if not common.finished(RESULTS, wanted, data=dataset.name, method=called):
            found.append(name)
    return found


def fitting(dataset: datasets.Dataset, methods: list[str]) -> list[str]:
    """The methods whose networks take the set's images; the others are named on stderr with the reason."""
    found = []
    for name in methods:
        config, _ = configured(name, clusters=dataset.classes)
        try:
            fit.build(METHODS[name], config, dataset.images.shape[1:])
            found.append(name)
        except ValueError as error:
            print(f"{dataset.name}: without {name}, {error}", file=sys.stderr)
    return found


def run(data: str, methods: list[str], folder: Path, deadline: float) -> None:
    """Runs what is missing on a data set, and adds the rows of what is finished."""
    dataset = datasets.load(data)
    methods = fitting(dataset, methods)
    wanted = missing(dataset, methods)
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


def comparison(found: Sequence[cells.Cell], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Each method against BASELINE, each data set a family; ``found`` and ``notes`` as ``cells.read`` gives them."""
    return compare.comparison(found, compare.Options(baseline=BASELINE, family="data"), notes)


def results() -> dict[str, Any] | None:
    """The comparison of the rows that are there; None if there are none."""
    return comparison(*cells.read([str(RESULTS)])) if common.rows(RESULTS) else None


def main() -> None:
    """Runs what is missing, then prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=",".join(SEEDS), help="data sets, by comma (default: %(default)s)")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"by comma, {BASELINE} always too (default: all)")
    parser.add_argument("--folder", type=Path, default=Path("runs/compare"), help="of runs (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later")
    parser.add_argument("--format", default="text", choices=tuple(tables.FORMATS), help="of the table")
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--page", type=Path, help="write the report of these runs, too")
    options = parser.parse_args()
    sets = common.listed("data", options.data, SEEDS)
    methods = list(dict.fromkeys((BASELINE, *common.listed("methods", options.methods, METHODS))))
    deadline = time.monotonic() + options.max_seconds
    for data in [] if options.table else sets:
        run(data, methods, options.folder, deadline)
    found = results()
    if found is None:
        sys.exit(f"{RESULTS} has no rows yet")
    print(tables.FORMATS[options.format](found))
    if options.page is not None:
        asked = ["--baseline", BASELINE, "--family", "data", "--overwrite"]
        places = [options.folder / data / method for data in sets for method in methods]
        runs = [str(place) for place in places if (place / "results.jsonl").exists()]
        report.command([*runs, "--out", str(options.page), *asked])


if __name__ == "__main__":
    common.command(main)
