"""Which settings a method has by default, and whether the defaults hold on other sets.

A candidate is a method's settings as printed, with changes. Each runs with three seeds on digits
and USPS, the sets of the choice. What is chosen becomes the preset "default". The part "sets" then
runs every method at its default with two seeds on eight sets: no seed may end in NaN or put nearly
all images into one cluster.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments import compare, rows, runner, tables
from experiments.candidates import CANDIDATES
from experiments.experiment import Experiment, Part, Request
from experiments.rows import Line
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.methods import registry
from jaxclust.runs.rows import Row, row_name
from jaxclust.runs.settings import digest
from jaxclust.types import Method

RESULTS = rows.RESULTS / "defaults.jsonl"
SEEDS = {"digits": range(3), "usps": range(3)}
"""The sets that defaults are chosen on, and the seeds."""
CHECKS = rows.RESULTS / "defaults_sets.jsonl"
CHECKED = (
    "digits",
    "coil20-32",
    "yaleb",
    "coil100-32",
    "usps",
    "usps-11000",
    "mnist-test",
    "fashion-mnist-test",
)
"""The sets on which every default is checked, the small ones first."""
CHECK_SEEDS = (0, 1)
CHECK_SECONDS = 600.0
"""The longest time of a method on a set; a run that is not done by then is a row, too."""


def method_of(name: str, changes: Mapping[str, Any], clusters: int | None) -> Method:
    """A method at its printed settings with changes."""
    presets = registry.get(name).presets
    base = registry.method(name, "printed" if "printed" in presets else "paper", clusters=clusters)
    return base.with_settings(changes)


def cells(request: Request) -> Iterator[runner.Cell]:
    """The candidates of the methods that a request names, on its data sets."""
    for data in request.data:
        dataset = datasets.load(data)
        for name in request.methods:
            for variant, changes in CANDIDATES[name].items():
                method = method_of(name, changes, dataset.classes)
                place = request.folder / data
                options = engine.Options(
                    directory=place / name / variant.replace(" ", "_"),
                    pretrained=place / runner.pretraining_folder(method),
                )
                # The first of several labelings stands for all.
                title = row_name(name, method.algorithm.labelings[0])
                key = {"data": data, "method": title, "variant": variant}
                seeds = SEEDS[data]
                yield runner.Cell(RESULTS, key, dataset, method, seeds, request, options)


def run(request: Request) -> bool:
    """Runs the candidates that have no rows; False where time ran out."""
    return runner.run_all(cells(request))


def check(request: Request) -> bool:
    """Runs each default on each set for at most ten minutes; False where time ran out."""
    done = {
        (line["data"], compare.METHOD_OF.get(line["method"], line["method"])) for line in _checked()
    }
    for data in request.data:
        dataset = datasets.load(data)
        for name in compare.fitting(dataset, request.methods):
            if (data, name) in done:
                continue
            if time.monotonic() > request.deadline:
                return False
            method = registry.method(name, clusters=dataset.classes)
            key = {"data": data, "method": name}
            limited = request._replace(deadline=time.monotonic() + CHECK_SECONDS)
            cell = runner.Cell(
                CHECKS, key, dataset, method, CHECK_SEEDS, limited, engine.Options(), "default"
            )
            fit = runner.fit(cell)
            if fit.finished:
                rows.add(CHECKS, runner.make(cell, fit))
            else:
                rows.append(CHECKS, [_stopped(cell, fit)])
    return True


def _checked() -> list[Line]:
    """The lines of the check itself, and the rows of the comparison, which count too."""
    return [*rows.read_lines(CHECKS), *(row.to_json() for row in compare.present())]


def _stopped(cell: runner.Cell, done: engine.Fit) -> Line:
    """The line of a run that was not done in time: where it was, and which seeds had failed."""
    phase, last = list(done.phases.items())[-1]
    line: Line = dict(cell.key) | {"unfinished": phase, "seeds": len(cell.seeds)}
    line["failed"] = sum(failure is not None for failure in done.failed)
    line["window"] = int(np.max(np.asarray(last.lanes.window)))
    return line | {"config_hash": digest(cell.settings)}


def check_text() -> str:
    """A line for each method, a column for each set: how its seeds ended at the default."""
    lines = [["method", *CHECKED]]
    found = _checked()
    for title, name in compare.METHOD_OF.items():
        cells = [
            [
                line
                for line in found
                if (line["data"], line["method"]) in ((data, title), (data, name))
            ]
            for data in CHECKED
        ]
        lines.append([title, *map(_verdict, cells)])
    about = "share of the images in the largest cluster, the largest of the seeds"
    return f"Defaults on eight sets: {about}\n{tables.aligned(lines)}"


def _verdict(lines: Sequence[Line]) -> str:
    """How the seeds of a method ended on a set."""
    if not lines:
        return ""
    failed = sum(
        line["failed"] if "unfinished" in line else line["failed"] is not None for line in lines
    )
    if failed:
        return f"{failed} failed"
    if "unfinished" in lines[0]:
        return f"not done in {CHECK_SECONDS:g} s"
    return f"{max(line['largest_cluster'] for line in lines):.2f}"


def text() -> str:
    """A line for each candidate: mean ACC and NMI on each set, seconds a seed."""
    heads = ["method", "candidate"]
    for data in SEEDS:
        heads += [f"{data} ACC", "lowest", "NMI(sqrt)", "seconds"]
    lines = [heads]
    present = rows.read(RESULTS)
    for name, candidates in CANDIDATES.items():
        titles = dict.fromkeys(
            row.method for row in present if row.method in (name, f"{name}-rc", f"{name}-sf")
        )
        for title in titles:
            for variant in candidates:
                line = [title, variant]
                for data in SEEDS:
                    cell = [row for row in rows.of_cell(present, data, title)]
                    line += _cell([row for row in cell if row.variant == variant])
                lines.append(line)
    return f"{tables.aligned(lines)}\n\n{check_text()}"


def _cell(found: list[Row]) -> list[str]:
    """What a line says of a candidate on a set."""
    scored = [row for row in found if row.failed is None]
    if not scored:
        return ["-" if not found else "failed", "", "", ""]
    accuracy = [row.acc or 0.0 for row in scored]
    nmi = [row.nmi_sqrt or 0.0 for row in scored]
    failed = f" ({len(found) - len(scored)} failed)" if len(scored) < len(found) else ""
    return [
        f"{sum(accuracy) / len(scored):.3f}{failed}",
        f"{min(accuracy):.3f}",
        f"{sum(nmi) / len(scored):.3f}",
        f"{found[0].seconds or 0:.0f}",
    ]


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part("candidates", run, {"data": SEEDS, "methods": CANDIDATES}),
        "sets": Part("every default", check, {"data": CHECKED, "methods": compare.BUILT}),
    },
)
