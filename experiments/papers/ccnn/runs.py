"""Runs CCNN's cells, whole or on their trunks' features.

A whole cell runs in a process of its own, after another process has made its pretraining: its
"clustering_seconds" and "clustering_peak_mb" (table III) then have no pretraining in them. It goes
on from its checkpoint where it was stopped.

Where FC9 and softmax alone are trained, or nothing, a step sees the images through the trunk alone.
Its features, computed once, then give the same run up to rounding, since seeds, draws and orders
are the same.
"""

import dataclasses
import functools
import itertools
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments import rows, runner
from experiments.experiment import Request
from experiments.papers.ccnn import cells
from experiments.papers.ccnn.cells import CURVES, RESULTS, TABLE_2
from jaxclust.engine import fit as engine
from jaxclust.engine.clocks import Times
from jaxclust.engine.driver import Event, History, Lanes
from jaxclust.engine.phase import Phase
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.networks import pixels
from jaxclust.ops.batches import encoded
from jaxclust.runs.rows import Row, peak_memory_mb
from jaxclust.types import Json, Method, Network, Variables

Failures = Sequence[engine.Failure | None]
"""How the pretraining of each seed failed, as in ``engine.fit.Fit``."""


def run(request: Request) -> bool:
    """Runs the cells that have no rows: whole where the trunk is trained, otherwise on features.

    Raises:
      UsageError: the rows that are there have other settings, or a cell ended with an error.
    """
    pretrained: set[str] = set()
    inputs: dict[str, tuple[np.ndarray, Failures] | None] = {}
    for cell in _cells(request):
        # Variants of one network begin with the same pretraining.
        place = str(cell.options.pretrained)
        if runner.is_done(cell):
            continue
        if cell.method.config.trainable == "all":
            if not _run_processes(cell, pretrained):
                return False
            continue
        if place not in inputs:
            inputs = {place: make_inputs(cell)}
        made = inputs[place]
        if made is None or time.monotonic() > request.deadline:
            return False
        features, failed = made
        _add_curve(cell, run_on_features(cell, list(features), failed))
    return True


def run_whole(request: Request) -> bool:
    """Runs all cells whole that have no rows.

    Raises:
      UsageError: see ``run``; or the rows that are there are of a cell that ran on features.
    """
    pretrained: set[str] = set()
    for cell in _cells(request):
        if runner.is_done(cell):
            if "clustering_seconds" not in runner.lines_of(RESULTS, cell.key)[0]:
                where = f"{RESULTS} has {', '.join(cell.key.values())} without their time"
                raise UsageError(f"rows: {where}; remove them to run it whole")
        elif not _run_processes(cell, pretrained):
            return False
    return True


def _cells(request: Request) -> Iterator[runner.Cell]:
    for data in request.data:
        dataset = cells.dataset_of(data)
        for start, variant in itertools.product(request.starts, request.variants):
            yield cells.cell_of(dataset, variant, start, request)


def _run_processes(cell: runner.Cell, pretrained: set[str]) -> bool:
    """Runs a whole cell in a process of its own, its pretraining in another one before.

    ``pretrained`` holds the pretrainings that are made. The result is False where time ran out.
    """
    request = cell.request
    place = str(cell.options.pretrained)
    for part in ("cell",) if place in pretrained else ("pretraining", "cell"):
        left = request.deadline - time.monotonic()
        if left <= 0:
            return False
        command = [sys.executable, "-m", "experiments", "run", f"ccnn-{part}"]
        command += ["--data", cell.key["data"], "--variants", cell.key["variant"]]
        command += ["--starts", cell.key["start"], "--over", request.over]
        command += ["--folder", str(request.folder), "--max-seconds", str(left)]
        if subprocess.run(command, check=False).returncode:
            raise UsageError(f"cell: {', '.join(cell.key.values())} ended with an error")
    pretrained.add(place)
    return True


def run_pretraining(request: Request) -> bool:
    """Makes what cells begin with, in this process; False where time ran out."""
    return all(pretrain(cell).finished for cell in _cells(request))


def pretrain(cell: runner.Cell) -> engine.Fit:
    """Makes what a cell begins with as far as time allows, or reads it."""
    config = dataclasses.replace(cell.method.config, epochs=0)
    cell = cells.with_weights(cell).with_options(directory=None)
    return runner.fit(cell.replace(method=cell.method.replace(config=config)))


def run_cells(request: Request) -> bool:
    """Runs whole cells in this process and adds their rows; False where time ran out."""
    return all(run_cell(cell) for cell in _cells(request))


def run_cell(cell: runner.Cell) -> bool:
    """Runs a whole cell; a point of figure 7's curve is added after each chunk, as it comes."""
    labels = runner.labels_of(cell.dataset)

    def show(phase: str, event: Event | None) -> None:
        runner.show(" ".join(cell.key.values()), phase, event)
        if event is not None and phase == "cluster" and cell.key["variant"] in TABLE_2:
            scores = _scores(cell.method, event, cell.dataset.images, labels)
            _add_curve(cell, {int(np.max(event.lanes.window)): scores})

    done = runner.fit(cells.with_weights(cell).with_options(progress=show))
    if not done.finished:
        return False
    clustering = done.phases["cluster"]
    seconds = clustering.times.seconds / len(cell.seeds)
    shared: dict[str, Json] = {"clustering_seconds": round(seconds, 3)}
    shared["clustering_peak_mb"] = peak_memory_mb()
    made = []
    for lane, row in enumerate(runner.make(cell, done)):
        lanes = clustering.history.get("lane")  # A method without windows has no history.
        history = {name: values[lanes == lane] for name, values in clustering.history.items()}
        made.append(rows.with_columns(row, shared | _moved(row, history)))
    rows.add(RESULTS, made)
    return True


def make_inputs(cell: runner.Cell) -> tuple[np.ndarray, Failures] | None:
    """What a cell on features begins with; None where time ran out.

    Returns:
      The trunk's features under each seed, float32 (seeds, n, d), and how pretrainings failed.
    """
    made = pretrain(cell)
    if not made.finished:
        return None
    images = jnp.asarray(cell.dataset.images)
    network = cell.method.build(images.shape[1:])
    variables = made.phases["pretrain"].lanes.state.variables
    return np.asarray(_features(network, variables, images)), made.failed


@functools.partial(jax.jit, static_argnums=0)
def _features(network: Network, variables: Variables, images: jax.Array) -> jax.Array:
    """Features of images (n, h, w, c) under each seed's network: float32 (seeds, n, d)."""
    return jax.lax.map(lambda lane: encoded(network, lane, images), variables)


def run_on_features(
    cell: runner.Cell, features: Sequence[np.ndarray], failed: Failures
) -> dict[int, list[float | None]]:
    """Runs a cell on its trunk's features, one seed after the other, and adds its rows.

    Args:
      cell: what runs.
      features: under each seed's network, float32 (n, d).
      failed: how each seed's pretraining failed; a seed whose pretraining did does not cluster.

    Returns:
      Each seed's NMI(sqrt) by epoch, for a variant of table II.
    """
    method = cell.method.replace(network=pixels, pretrainer=None, pretraining=None)
    labels = runner.labels_of(cell.dataset)
    curve: dict[int, list[float | None]] = {}
    made = []
    for lane, seed in enumerate(cell.seeds):
        images = features[lane][:, None, None]

        def score(_: str, event: Event | None, lane: int = lane, images=images) -> None:
            epoch = 0 if event is None else int(event.lanes.window[0])
            if event is not None and epoch > 0:
                scores = curve.setdefault(epoch, [None for _ in failed])
                (scores[lane],) = _scores(method, event, images, labels)

        request = cell.request._replace(over="map", deadline=math.inf)
        alone = cell.replace(seeds=(seed,), request=request)
        failure = failed[lane]
        if failure is None:
            scored = cell.key["variant"] in TABLE_2
            options = engine.Options(on_window=score if scored else None)
            given = cell.dataset._replace(images=images)
            done = runner.fit(alone.replace(dataset=given, method=method, options=options))
        else:
            done = _failed(failure, len(images))
        (row,) = runner.make(alone, done)
        moved = _moved(row, done.phases["cluster"].history)
        made.append(rows.with_columns(row, moved | {"on": "features"}))
    rows.add(cell.results, made)
    return dict(sorted(curve.items()))


def _failed(failure: engine.Failure, n: int) -> engine.Fit:
    """The run of a seed whose pretraining failed: no window, and no label."""
    lanes = Lanes(
        key=engine.lane_keys((0,))["cluster"],
        state=None,
        window=jnp.zeros(1, jnp.int32),
        stopped=jnp.zeros(1, bool),
        failed=jnp.zeros(1, jnp.int32),
    )
    labels = np.full((1, n), -1, np.int32)
    phases = {"cluster": Phase(lanes, {}, Times(0.0, 0.0), True)}
    return engine.Fit(phases, True, labels, [failure], {"": labels}, {})


def _scores(
    method: Method, event: Event, images: np.ndarray, labels: np.ndarray
) -> list[float | None]:
    """NMI(sqrt) of each lane; None for a lane that failed."""
    clusters = engine.apply(method, event.lanes.state, images, "predict").cluster
    return [
        metrics.scores(labels, lane)["nmi_sqrt"] if failed < 0 else None
        for lane, failed in zip(clusters, np.asarray(event.lanes.failed), strict=True)
    ]


def _add_curve(cell: runner.Cell, points: Mapping[int, Sequence[float | None]]) -> None:
    """Adds points of figure 7's curve: each seed's NMI(sqrt) by epoch."""
    lines = [
        {**cell.key, "epoch": epoch, "nmi_sqrt": list(scores)} for epoch, scores in points.items()
    ]
    rows.append(CURVES, lines)


def _moved(row: Row, history: History) -> dict[str, Json]:
    """Mean drift and length of a seed's features, and how many centroids never got an image."""
    moved: dict[str, Json] = {}
    for name in ("drift", "length"):
        known = row.failed is None and name in history
        moved[name] = round(float(np.mean(history[name])), 6) if known else None
    unseen = history.get("unseen", np.zeros(0))
    moved["unseen"] = int(unseen[-1]) if len(unseen) else None
    return moved
