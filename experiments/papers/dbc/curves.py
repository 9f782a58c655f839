"""DBC epoch by epoch under figure 9's variants: scores of every seed after each epoch."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments import rows, runner
from experiments.experiment import Request
from experiments.papers.dbc.cells import CURVES, SEEDS, method_of
from experiments.rows import Line
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.engine.driver import Event, History, Lanes
from jaxclust.evaluation import metrics
from jaxclust.methods import registry
from jaxclust.runs.files import write_file
from jaxclust.runs.rows import package_versions
from jaxclust.runs.settings import digest
from jaxclust.types import Method

METRICS = ("acc", "nmi_max")
INFOS = {"changed": "changed", "polarised": "polarized"}
"""Columns of a curve's row, which files call as version 0.1 did, and of the run's history."""


def run(request: Request) -> bool:
    """Runs the variants that have no rows on each data set; False where time ran out.

    Raises:
      UsageError: the rows that are there were made with other settings.
    """
    for data in request.data:
        dataset = datasets.load(data)
        for variant in request.variants:
            cell = cell_of(dataset, variant, request)
            if not runner.is_done(cell) and not run_cell(cell):
                return False
    return True


def cell_of(dataset: Dataset, variant: str, request: Request) -> runner.Cell:
    """DBC under a variant on a data set; its results are curves."""
    method = method_of(variant, dataset.classes)
    place = request.folder / dataset.name
    options = engine.Options(
        directory=place / f"curve-{variant.replace(' ', '-')}",
        pretrained=place / pretraining_name(method),
    )
    key = {"data": dataset.name, "variant": variant}
    return runner.Cell(CURVES, key, dataset, method, SEEDS[dataset.name], request, options)


def pretraining_name(method: Method) -> str:
    """Name of a pretraining's folder: the tables' own, or beside it, called by what differs."""
    usual = dataclasses.astuple(registry.method("dbc", "paper").pretraining)
    pairs = zip(dataclasses.astuple(method.pretraining), usual, strict=True)
    return "fcae" + "".join(f"-{value}" for value, other in pairs if value != other)


def run_cell(cell: runner.Cell) -> bool:
    """Runs a cell and adds a row a seed; False where time ran out, and the same call goes on.

    The points of a curve are kept beside the checkpoints, since a run that goes on does not see
    the epochs before its checkpoint again. A seed whose pretraining failed has no epoch.
    """
    labels = runner.labels_of(cell.dataset)
    place = Path(cell.options.directory or ".")
    points = place / "points.json"
    curves = [{name: [] for name in (*METRICS, *INFOS)} for _ in cell.seeds]
    if (place / "cluster").is_dir():
        curves = json.loads(points.read_text())
    place.mkdir(parents=True, exist_ok=True)

    def score(lanes: Lanes, history: History) -> None:
        for lane, curve in enumerate(curves):
            # A seed that has ended keeps its point, and so does an epoch that was scored before.
            if len(curve["acc"]) <= int(lanes.window[lane]):
                _add_point(curve, lanes, history, lane, labels)
        write_file(points, json.dumps(curves))

    def each(phase: str, event: Event | None) -> None:
        if phase == "cluster" and event is not None:
            score(event.lanes, event.history)

    done = runner.fit(cell.with_options(on_window=each))
    if not done.finished:
        return False
    phase = done.phases["cluster"]
    # A process that was killed after its last checkpoint did not score the last epoch.
    score(phase.lanes, phase.history)
    shared = {"config_hash": digest(cell.settings), "versions": package_versions()}
    made = []
    for lane, seed in enumerate(cell.seeds):
        failed = int(phase.lanes.failed[lane])
        end = {
            "seed": seed,
            "epochs": int(phase.lanes.window[lane]),
            "stopped": bool(phase.lanes.stopped[lane]),
            "failed": failed if failed >= 0 else None,
        }
        made.append({**cell.key, **shared, **end, **curves[lane]})
    rows.append(cell.results, made)
    return True


def _add_point(
    curve: dict[str, list[float]], lanes: Lanes, history: History, lane: int, labels: np.ndarray
) -> None:
    """Adds a lane's scores and infos after its last epoch; before the first there are no infos."""
    scores = metrics.scores(labels, np.asarray(lanes.state.labels[lane]))
    for name in METRICS:
        curve[name].append(round(scores[name], 4))
    for name, info in INFOS.items() if history else ():
        values = history[info][history["lane"] == lane]
        curve[name].append(round(float(values[-1]), 5))


def sound(curves: Sequence[Line]) -> list[Line]:
    """The curves of seeds that did not fail."""
    return [curve for curve in curves if curve["failed"] is None]


def band(curves: Sequence[Line], name: str) -> np.ndarray:
    """A column of several curves, float64 (seeds, epochs).

    A curve that ended earlier keeps its last value.
    """
    longest = max(len(curve[name]) for curve in curves)
    return np.array(
        [curve[name] + curve[name][-1:] * (longest - len(curve[name])) for curve in curves]
    )
