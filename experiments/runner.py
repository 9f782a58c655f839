"""Cells of experiments: each is run once, goes on from its checkpoint, and leaves a row a seed."""

import dataclasses
import functools
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import rows
from experiments.experiment import Request, Work
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine import driver
from jaxclust.engine import fit as engine
from jaxclust.engine.checkpoint import settings_json
from jaxclust.errors import UsageError
from jaxclust.methods import pretraining, registry
from jaxclust.runs.rows import Row, make_rows
from jaxclust.runs.settings import Settings, digest, make_settings
from jaxclust.types import Json, Method, network_name


@dataclasses.dataclass(frozen=True)
class Cell:
    """A method with its settings on a data set, for all its seeds.

    Attributes:
      results: the file of its rows.
      key: the columns by which its rows are known, such as data, method and variant.
      dataset: what is clustered, called as in the rows.
      method: what clusters.
      seeds: what runs together.
      request: says how seeds run, and until when.
      options: where its checkpoints are, and what its network starts from.
      preset: of the method, for the rows.
      extra: further settings that decide its numbers.
      columns: further columns of its rows.
      images: what its settings are recorded of, where it gets something made of these images.
    """

    results: Path
    key: Mapping[str, str]
    dataset: Dataset
    method: Method
    seeds: Sequence[int]
    request: Request
    options: engine.Options
    preset: str = "paper"
    extra: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    columns: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    images: Dataset | None = None

    @functools.cached_property
    def settings(self) -> Settings:
        """What its rows must have been made with."""
        fingerprint = datasets.fingerprint(self.images or self.dataset)
        over = self.request.over
        extra = dict(self.extra)
        return make_settings(self.method, self.preset, fingerprint, self.seeds, over, extra=extra)

    def replace(self, **changes: Any) -> "Cell":
        """The cell with other fields."""
        return dataclasses.replace(self, **changes)

    def with_options(self, **changes: Any) -> "Cell":
        """The cell with other options."""
        return self.replace(options=self.options._replace(**changes))


def is_done(cell: Cell) -> bool:
    """Whether a cell's rows are there: those of its key, of its config hash and of all its seeds.

    Raises:
      UsageError: the rows that are there were made with other settings or for other seeds.
    """
    present = lines_of(cell.results, cell.key)
    if not present:
        return False
    if {line["config_hash"] for line in present} != {digest(cell.settings)}:
        other = "settings"
    elif {line["seed"] for line in present} != set(cell.seeds):
        other = "seeds"
    else:
        return True
    where = f"{cell.results} has {', '.join(cell.key.values())} with other {other}"
    raise UsageError(f"rows: {where}; remove them to run it again")


def lines_of(results: Path, key: Mapping[str, Json]) -> list[rows.Line]:
    """The lines of a file that have these entries."""
    lines = rows.read_lines(results)
    return [line for line in lines if all(line.get(name) == key[name] for name in key)]


def run_all(cells: Iterable[Cell]) -> bool:
    """Runs the cells that have no rows; False where time ran out."""
    return all(is_done(cell) or run(cell) is not None for cell in cells)


def run(cell: Cell) -> engine.Fit | None:
    """Runs a cell and adds its rows; None where time ran out, and the same call goes on."""
    done = fit(cell)
    if not done.finished:
        return None
    rows.add(cell.results, make(cell, done))
    return done


def fit(cell: Cell) -> engine.Fit:
    """Runs a cell as far as time allows, with a line on stderr for each of its chunks."""
    options = cell.options._replace(
        over=cell.request.over,
        max_seconds=max(cell.request.deadline - time.monotonic(), 1e-3),
        progress=cell.options.progress or functools.partial(show, " ".join(cell.key.values())),
    )
    return engine.fit(cell.method, cell.dataset.images, tuple(cell.seeds), options)


def make(cell: Cell, done: engine.Fit) -> list[Row]:
    """The rows of a finished run, with the columns that tell the cell from others."""
    steps = engine.steps_per_window(cell.method, len(cell.dataset.images))["cluster"]
    made = make_rows(cell.settings, done, done.labelings, cell.dataset.labels, steps)
    own = {name: value for name, value in cell.key.items() if name not in ("data", "method")}
    return [rows.with_columns(row, {**own, **cell.columns}) for row in made]


def run_plain(results: Path, seeds: Mapping[str, Sequence[int]]) -> Work:
    """The work of a paper that runs each method at its paper's settings on each data set."""
    return lambda request: run_all(plain_cells(results, seeds, request))


def plain_cells(
    results: Path, seeds: Mapping[str, Sequence[int]], request: Request
) -> Iterator[Cell]:
    """Each method at its paper's settings on each data set of a request."""
    for data in request.data:
        dataset = datasets.load(data)
        for name in request.methods:
            method = registry.method(name, "paper", clusters=dataset.classes)
            place = request.folder / data
            shared = place / pretraining_name(method)
            options = engine.Options(directory=place / name, pretrained=shared)
            key = {"data": data, "method": name}
            yield Cell(results, key, dataset, method, seeds[data], request, options)


def labels_of(dataset: Dataset) -> np.ndarray:
    """The true classes of an experiment's data set, int32 (n,)."""
    assert dataset.labels is not None  # Every data set of an experiment has them.
    return dataset.labels


def pretraining_name(method: Method) -> str:
    """Name of a pretraining's folder.

    Methods of one network that pretrain alike share one pretraining a seed, as in the papers.
    """
    network = network_name(method.network)
    if method.pretrainer in (None, pretraining.ALGORITHM):
        return network
    return f"{network}-{method.pretrainer.name}"


def pretraining_folder(method: Method) -> str:
    """Name of a folder that all methods of one network and the same pretraining settings share."""
    if method.pretraining is None:
        return "no-pretraining"
    text = json.dumps(settings_json(method.pretraining), sort_keys=True)
    return f"{pretraining_name(method)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def show(name: str, phase: str, event: driver.Event | None) -> None:
    """A line on stderr: how far a run is, its loss, and its clusters where they merge."""
    if event is None:
        return
    window = int(np.max(event.lanes.window))
    history = event.history
    merging = f", {history['n_clusters'][-1]:.0f} clusters" if "n_clusters" in history else ""
    progress = f"{phase} {window} of {event.schedule.max_windows}"
    line = f"{name}: {progress}, loss {history['loss'][-1]:.4g}{merging}"
    print(line, file=sys.stderr, flush=True)


def jaxclust(words: Sequence[str]) -> None:
    """Runs the command in this process; where it refuses, this process ends with its status."""
    from jaxclust.cli.main import main  # Here, since what only reads results needs no tyro.

    status = main(words)
    if status > 1:  # The command has said why; 1 is for runs that crashed, which it has named.
        sys.exit(status)
