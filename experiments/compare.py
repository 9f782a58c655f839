"""Every method on several sets with ten seeds: ``python -m experiments.compare --help``.

Cells, a method on a data set for all its seeds, run as ``jaxclust fit --methods`` runs them, and add their rows to
``results/compare.jsonl``. Rows that are there count, as do those that the papers' experiments have of the same
settings: only the seeds that are missing run. ``--table`` prints the comparison, ``--page FILE`` writes the report of
it with a look into the runs of ``--methods`` on the sets of ``--data`` that are in ``--folder``.

The question is what beats k-means on pixels: each method is tested against it, and each data set is a family of its
own. All pairs on all sets would be a family of over 1,000, in which ten seeds could show nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments import ccnn, common, dbc, dcec, jule
from jaxclust.cli import sweep
from jaxclust.cli.report import check_out
from jaxclust.comparison import tables
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.methods.registry import FROM_FILE, METHODS, configured
from jaxclust.report.write import write_report
from jaxclust.runs import collect
from jaxclust.runs.files import read_rows
from jaxclust.runs.rows import outcome, row_name
from jaxclust.runs.settings import digest, make_settings

RESULTS = Path(__file__).parent / "results" / "compare.jsonl"
FINISHED = "results.jsonl"
"""In the folder of a run that has ended."""

# Seeds of each data set.
SEEDS = {"digits": 10, "usps": 10, "coil20-32": 10, "mnist-test": 5}
BASELINE = "kmeans"
BUILT = tuple(name for name in METHODS if name not in FROM_FILE)
"""Methods that need no file of weights."""
NAMES = tuple(row_name(name, one) for name in BUILT for one in fit.labeling_names(METHODS[name]))
"""Of their rows."""
PLANNED = len(NAMES) - 1
"""Comparisons with BASELINE on a data set, which are corrected for also where a method does not fit its images."""
# The papers' experiments, and what says of their rows that a method has its own paper's settings there.
OTHERS: tuple[tuple[ModuleType, Callable[[dict[str, Any]], bool]], ...] = (
    (dcec, lambda row: True),
    (dbc, lambda row: True),
    (jule, lambda row: row["preset"] == "paper"),
    (ccnn, lambda row: row["variant"] in ccnn.TABLE_2 and row["start"] == "reconstruction"),
)


def present(more: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """A row for each data set, method and seed of the comparison that has one; RESULTS' before the others'.

    Args:
      more: rows that come last, as of a run that repeats what is there.

    Raises:
      ValueError: a seed has two rows of the same settings with other scores.
    """
    found = common.rows(RESULTS)
    for experiment, sound in OTHERS:
        found += [row for row in common.rows(experiment.RESULTS) if sound(row)]
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in (*found, *more):
        key = row["data"], row["method"], row["seed"]
        if row["seed"] >= SEEDS.get(row["data"], 0):
            continue
        first = rows.setdefault(key, row)
        if first["config_hash"] == row["config_hash"] and outcome(first) != outcome(row):
            where = f"{key[0]}, {key[1]}, seed {key[2]}"
            raise ValueError(
                f"rows: {where} must have one score in {RESULTS.parent}, got two of the same settings"
            )
    return list(rows.values())


def missing(dataset: datasets.Dataset, methods: list[str]) -> dict[str, tuple[int, ...]]:
    """The seeds that each method lacks on a data set; ValueError if those that are there have other settings."""
    fingerprint, rows = datasets.fingerprint(dataset), present()
    found = {}
    for name in methods:
        # Of a method with several labelings the first.
        called = row_name(name, fit.labeling_names(METHODS[name])[0])
        mine = common.cell(rows, dataset.name, called)
        if {row["config_hash"] for row in mine} - {_digest(dataset, name, fingerprint)}:
            raise ValueError(
                f"rows: {dataset.name}, {called} must have the settings of the method, has others"
            )
        lacking = set(range(SEEDS[dataset.name])) - {row["seed"] for row in mine}
        if lacking:
            found[name] = tuple(sorted(lacking))
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


def run(data: str, methods: list[str], folder: Path, deadline: float, page: bool = False) -> None:
    """Runs what is missing on a data set, and adds the rows of what is finished.

    Methods that lack the same seeds run together and share their pretraining; where some seeds are there already, in
    a folder of those that are not. For a ``page`` all seeds of a method run that has no run in the folder: no row has
    its labels.
    """
    dataset = datasets.load(data)
    methods = fitting(dataset, methods)
    wanted, everything = missing(dataset, methods), tuple(range(SEEDS[data]))
    asked = wanted | {
        name: everything
        for name in methods
        if page and not (folder / data / name / FINISHED).exists()
    }
    for seeds in dict.fromkeys(asked.values()):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        out = folder if seeds == everything else folder / f"seeds-{'-'.join(map(str, seeds))}"
        # Finished cells are skipped there.
        listed = [
            name
            for name in methods
            if asked.get(name) == seeds or (out / data / name / FINISHED).exists()
        ]
        numbers = f"{','.join(map(str, seeds))},"  # With a comma at the end: seeds, not how many.
        arguments = [
            "--methods",
            ",".join(listed),
            "--data",
            data,
            "--seeds",
            numbers,
            "--out",
            str(out),
        ]
        if left != float("inf"):
            arguments += ["--max-seconds", f"{left:.3f}"]
        if out.exists():
            arguments.append("--resume")
        sweep.command([*arguments, "--no-figures"])
        for name in (name for name in listed if asked.get(name) == seeds):
            path = out / data / name / FINISHED
            if path.exists():
                rows = read_rows(path)
                if {row["config_hash"] for row in rows} - {_digest(dataset, name)}:
                    raise ValueError(
                        f"rows: {path} must have the settings of the method, has others; delete that run"
                    )
                common.add(RESULTS, [row for row in rows if row["seed"] in wanted.get(name, ())])
                present(rows)


def _digest(dataset: datasets.Dataset, name: str, fingerprint: str | None = None) -> str:
    """Of the rows that a method has on a data set under its own paper's settings."""
    config, pretraining = configured(name, clusters=dataset.classes)
    return digest(make_settings(name, "paper", dataset, (), "", config, pretraining, fingerprint))


def grouped(rows: list[dict[str, Any]]) -> list[collect.Cell]:
    """A cell for each data set and method."""
    found: dict[tuple[str, str], collect.Cell] = {}
    for row in rows:
        key = (row["data"], row["method"])
        found.setdefault(key, collect.Cell(*key, {}, (), (), None)).rows[row["seed"]] = row
    return list(found.values())


def comparison(found: Sequence[collect.Cell], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Each method against BASELINE, each data set a family; ``found`` and ``notes`` as ``cells.read`` gives them."""
    return comparison(found, Options(baseline=BASELINE, family="data", planned=PLANNED), notes)


def results() -> dict[str, Any] | None:
    """The comparison of the rows that are there, in the order of SEEDS and NAMES; None if there are none."""
    sets = list(SEEDS)
    rows = sorted(present(), key=lambda row: (sets.index(row["data"]), NAMES.index(row["method"])))
    return comparison(grouped(rows)) if rows else None


def main() -> None:
    """Runs what is missing, then prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", default=",".join(SEEDS), help="data sets, by comma (default: %(default)s)"
    )
    parser.add_argument(
        "--methods", default=",".join(BUILT), help=f"by comma, {BASELINE} always too (default: all)"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/compare"), help="of runs (default: %(default)s)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later"
    )
    parser.add_argument(
        "--format", default="text", choices=tuple(tables.FORMATS), help="of the table"
    )
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument(
        "--page",
        type=Path,
        help="write the report, too, with a look into these; runs those it lacks",
    )
    options = parser.parse_args()
    sets = common.listed("data", options.data, SEEDS)
    methods = list(dict.fromkeys((BASELINE, *common.listed("methods", options.methods, BUILT))))
    if options.page is not None:
        check_out(options.page, overwrite=True)
    deadline = time.monotonic() + options.max_seconds
    for data in [] if options.table else sets:
        run(data, methods, options.folder, deadline, options.page is not None)
    found = results()
    if found is None:
        sys.exit(f"{RESULTS} has no rows yet")
    print(tables.FORMATS[options.format](found))
    if options.page is not None:
        if time.monotonic() > deadline:
            sys.exit(
                f"{options.page} is not written, some runs wait for more time; the same command goes on"
            )
        places = [options.folder / data / method for data in sets for method in methods]
        runs = [str(place) for place in places if (place / FINISHED).exists()]
        looked, notes = collect.read(runs)
        rows = {(row["data"], row["method"], row["seed"]): outcome(row) for row in present()}
        for row in (row for cell in looked for row in cell.rows.values()):
            if rows.get((row["data"], row["method"], row["seed"])) != outcome(row):
                where = f"{row['data']}, {row['method']}, seed {row['seed']}"
                raise ValueError(
                    f"folder: {options.folder} must have the scores of the rows, has others of {where}"
                )
        write_report(options.page, found, looked, notes)


if __name__ == "__main__":
    common.command(main)
