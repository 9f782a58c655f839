"""What the page shows of a run: its labels, curves, agreement, images and embedding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.errors import UsageError
from jaxclust.evaluation import agreement
from jaxclust.report import run_images
from jaxclust.report.projection import in_two_dimensions, silhouette
from jaxclust.report.run_images import Pictures
from jaxclust.runs.cells import Cell
from jaxclust.runs.consensus import CLUSTERS_CSV, Consensus, make_consensus
from jaxclust.runs.files import read_labels
from jaxclust.runs.history import read_history
from jaxclust.runs.reading import open_run
from jaxclust.runs.run import Run
from jaxclust.runs.settings import Settings, read_settings
from jaxclust.runs.sweeps import read_choice

POINTS = 1_000
"""At most this many images are embedded in two dimensions, with a thumbnail each."""
RANKED = 10_000
"""At most this many images are ranked by certainty."""

Histories = dict[str, dict[str, np.ndarray]]
"""The columns of each phase, "seed" among them; nan where a phase lacks a value."""


class Agreement(NamedTuple):
    """What the seeds say without true labels.

    Attributes:
      consensus: the votes of the seeds on each image that could be read, and the agreement of each
        pair of seeds. The page shows its clusters, and the embedding of its ``medoid``.
      losses: the last loss of each seed.
      scores: of the consensus against the true labels; None without true labels.
    """

    consensus: Consensus
    losses: list[float]
    scores: dict[str, float] | None


class Embedding(NamedTuple):
    """Images in the embedding of the seed that agrees best with the others.

    Attributes:
      sample: places of the images that are embedded in two dimensions, int (m,).
      places: the sample in two dimensions, float (m, 2).
      silhouettes: silhouette of each seed on the sample.
      ranked: places of at most RANKED images, from the most to the least certain.
    """

    sample: np.ndarray
    places: np.ndarray
    silhouettes: list[float]
    ranked: np.ndarray


class Look(NamedTuple):
    """What the page shows of a cell.

    Attributes:
      cell: its rows and folders.
      settings: of each folder.
      seeds: those that did not fail.
      labels: their clusters in each seed's own numbering, int32 (seeds, n), of the n images that
        could be read.
      rows: places of those images in the set, int (n,).
      history: the windows of each phase.
      notes: what is missing, and why.
      agreement: what the seeds say without true labels; None where every seed failed.
      pictures: the n images and true labels; None where the images were not found.
      embedding: None without images or a checkpoint.
      clusters: agreement between seeds by number of clusters, where the number was chosen by it.
      files: the names of the n images' files, where they are known.
    """

    cell: Cell
    settings: list[Settings]
    seeds: list[int]
    labels: np.ndarray
    rows: np.ndarray
    history: Histories
    notes: list[str]
    agreement: Agreement | None = None
    pictures: Pictures | None = None
    embedding: Embedding | None = None
    clusters: dict[int, float] | None = None
    files: tuple[str, ...] | None = None


class _Lane(NamedTuple):
    """Where a seed's results are.

    Attributes:
      folder: number of the folder.
      lane: the seed's place in the folder's run.
    """

    folder: int
    lane: int


def look(
    cell: Cell,
    own: Sequence[Dataset | str] = (),
    reader: run_images.Reader = run_images.open_set,
) -> Look:
    """Reads a cell's folders; embeds a sample of its images where there is a checkpoint.

    Args:
      cell: with folders.
      own: sets to find the images in, as of ``run_images.find``.
      reader: reads a set, as of ``run_images.find``.

    Raises:
      UsageError: a file of a run is missing or damaged.
    """
    settings = [read_settings(folder) for folder in cell.folders]
    if cell.constant:
        # All its seeds are one run.
        first = min(cell.rows)
        cell = cell._replace(rows={first: cell.rows[first]})
    labels, lanes = _labels(cell, settings)
    seeds = list(labels)
    n = settings[0].data.shape[0]
    stacked = np.array(list(labels.values()), np.int32).reshape(len(seeds), n)
    seen = Look(cell, settings, seeds, stacked, np.arange(n), _history(cell), [])
    if not seeds:
        seen.notes.append("every seed failed: there is nothing to show")
        return seen
    pictures = run_images.find(settings[0], own, seen.notes, reader, cell.folders[0])
    rows = agreement.readable(stacked)
    if rows.size < n:
        seen.notes.append(f"left out: {n - rows.size:,} of {n:,} images could not be read")
        pictures = None if pictures is None else pictures.part(rows)
        seen = seen._replace(labels=stacked[:, rows], rows=rows)
    agreeing = _agreement(seen, pictures)
    seen = seen._replace(agreement=agreeing, pictures=pictures, clusters=_stabilities(cell))
    if pictures is None:
        return seen._replace(files=_kept_files(cell, rows, seen.notes))
    seen = seen._replace(files=pictures.files)
    try:
        embedding = _embedding(seen, agreeing.consensus, pictures, lanes)
        return seen._replace(embedding=embedding)
    except UsageError as error:
        seen.notes.append(f"no embedding: {error}")
        return seen


def _kept_files(cell: Cell, rows: np.ndarray, notes: list[str]) -> tuple[str, ...] | None:
    """The names of images, at some places of the set, that a run's folder keeps."""
    folder = cell.folders[0]
    if not (folder / CLUSTERS_CSV).exists():
        return None
    try:
        files = open_run(folder).files
    except UsageError as error:
        notes.append(f"no names of images: {error}")
        return None
    return None if files is None else tuple(files[row] for row in rows)


def _agreement(look: Look, pictures: Pictures | None) -> Agreement:
    """Agreement between seeds, their last losses and their consensus."""
    consensus = make_consensus(look.labels, look.seeds, look.settings[0].clusters)
    scores = None
    if pictures is not None and pictures.labels is not None:
        scores = consensus.scores(pictures.labels)
    losses = agreement.final_losses(look.seeds, look.history.get("cluster", {}))
    return Agreement(consensus, losses, scores)


def _stabilities(cell: Cell) -> dict[int, float] | None:
    """Agreement by number of clusters, where the number of clusters was chosen by it."""
    choice = read_choice(cell.folders[0].parent)
    if choice is None or not choice.rows:
        return None
    return {
        row.clusters: row.stability
        for row in choice.rows
        if row.stability is not None and not row.left_out
    }


def _labels(cell: Cell, settings: list[Settings]) -> tuple[dict[int, np.ndarray], dict[int, _Lane]]:
    """The clusters of each seed that did not fail, int (n,), and where they come from."""
    labels: dict[int, np.ndarray] = {}
    lanes: dict[int, _Lane] = {}
    for number, (folder, run) in enumerate(zip(cell.folders, settings, strict=True)):
        path = folder / cell.labels
        everything = read_labels(path)
        shape = (len(run.seeds), run.data.shape[0])
        if everything.shape != shape:
            raise UsageError(f"run: {path} must be of shape (seeds, n), got {everything.shape}")
        low = everything.min(initial=0)
        high = everything.max(initial=0)
        if everything.dtype.kind != "i" or low < -1 or high >= run.clusters:
            rule = f"run: {path} must hold clusters from 0 to {run.clusters - 1}, or -1"
            raise UsageError(f"{rule}, got something else")
        for lane, seed in enumerate(run.seeds):
            if seed not in cell.rows or cell.rows[seed].failed is not None:
                continue
            if (everything[lane] < 0).all():
                rule = f"run: {path} must hold clusters of seed {seed}, which did not fail"
                raise UsageError(f"{rule}, has none")
            labels[seed] = everything[lane]
            lanes[seed] = _Lane(number, lane)
    return labels, lanes


def _history(cell: Cell) -> Histories:
    """The windows of all folders, by phase."""
    histories = [read_history(folder / "history.csv") for folder in cell.folders]
    joined: Histories = {}
    for phase in dict.fromkeys(phase for history in histories for phase in history):
        parts = [history[phase] for history in histories if phase in history]
        joined[phase] = {
            name: np.concatenate([columns[name] for columns in parts])
            for name in parts[0]
            if all(name in columns for columns in parts)
        }
    return joined


def _embedding(
    look: Look, consensus: Consensus, pictures: Pictures, lanes: dict[int, _Lane]
) -> Embedding:
    """The embedding of the consensus's medoid, and each seed's silhouette on a sample.

    Raises:
      UsageError: a run has no checkpoint that can be used, or its features cannot be read.
    """
    order = np.random.default_rng(0).permutation(look.labels.shape[1])
    sample = np.sort(order[:POINTS])
    ranked = np.sort(order[:RANKED])
    inputs = run_images.inputs(look.settings[0], pictures)
    features: dict[int, np.ndarray] = {}
    for number in range(len(look.cell.folders)):
        seeds = [seed for seed in look.seeds if lanes[seed].folder == number]
        if seeds:
            places = [lanes[seed].lane for seed in seeds]
            embedded = embed(look, number, inputs.read(sample), places)
            features |= zip(seeds, embedded, strict=True)
    shown = consensus.medoid
    (shown_features,) = embed(look, lanes[shown].folder, inputs.read(ranked), [lanes[shown].lane])
    labels = dict(zip(look.seeds, look.labels, strict=True))
    certain = agreement.certainty(shown_features, consensus.labels[ranked])
    return Embedding(
        sample=sample,
        places=in_two_dimensions(features[shown]),
        silhouettes=[silhouette(features[seed], labels[seed][sample]) for seed in look.seeds],
        ranked=ranked[np.argsort(-certain, kind="stable")],
    )


def embed(look: Look, folder: int, images: np.ndarray, lanes: list[int]) -> np.ndarray:
    """The embedding of images under some lanes of a finished run.

    Args:
      look: of the run's cell.
      folder: number of the run's folder.
      images: uint8 or float32 in [0, 1], (m, h, w, c).
      lanes: places of seeds in the run.

    Returns:
      float32 (lanes, m, d).

    Raises:
      UsageError: the run has no checkpoint that can be used.
    """
    # The folder's rows may be cut off; the states and the method need none.
    run = Run(look.settings[folder], (), {}, {}, look.cell.folders[folder])
    return engine.apply(run.method, run.states(lanes), images, "embed")
