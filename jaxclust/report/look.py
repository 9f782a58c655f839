"""``jaxclust report RUN... --out report.html``: one page with the comparison and a look into each run."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.errors import UsageError
from jaxclust.evaluation import agreement, metrics
from jaxclust.report import image_grid, run_images
from jaxclust.runs import collect, predict
from jaxclust.runs.collect import Cell
from jaxclust.runs.settings import read_settings

POINTS = 1_000
"""At most this many images are embedded in two dimensions, with a thumbnail each."""
RANKED = 10_000
"""At most this many images are ranked by certainty."""


class Look(NamedTuple):
    """What the page shows of a cell.

    Attributes:
      cell: its rows and folders.
      settings: each folder's.
      seeds: that did not fail.
      labels: their clusters, int32 (seeds, n), of the n images that could be read.
      rows: places of those images in the set, int (n,).
      history: a phase's columns, "seed" among them.
      notes: what is missing, and why.
      agreement: ARI of each two seeds, float64 (seeds, seeds).
      medoid: place of the seed that agrees best; its images are shown.
      losses: each seed's last.
      consensus: cluster and share of votes of each image, int32 and float64 (n,), and scores or None.
      data: the n images, as ``pictures.find`` gives them, and true labels; None where they could not be had.
      sample: places among the n of the embedded images, int (m,).
      places: the sample in two dimensions, float (m, 2); None without an embedding.
      silhouettes: each seed's, on the sample; None without an embedding.
      ranked: places from the most to the least certain, at most RANKED; None without an embedding.
      clusters: agreement between seeds by number of clusters, where it was chosen so.
    """

    cell: Cell
    settings: list[dict[str, Any]]
    seeds: list[int]
    labels: np.ndarray
    rows: np.ndarray
    history: dict[str, dict[str, np.ndarray]]
    notes: list[str]
    agreement: np.ndarray | None = None
    medoid: int = 0
    losses: list[float] | None = None
    consensus: tuple[np.ndarray, np.ndarray, dict[str, float] | None] | None = None
    data: datasets.Dataset | None = None
    sample: np.ndarray | None = None
    places: np.ndarray | None = None
    silhouettes: list[float] | None = None
    ranked: np.ndarray | None = None
    clusters: dict[int, float] | None = None


def look(
    cell: Cell,
    own: Sequence[datasets.Dataset | str] = (),
    reader: Callable[[str, tuple[int, int], bool], run_images.Found] = run_images.opened,
) -> Look:
    """Reads a cell's folders, and embeds a sample of its images where they and a checkpoint are there.

    Args:
      cell: with folders.
      own: as for ``pictures.find``, as is ``reader``.
      reader: reads a set.
    """
    settings = [read_settings(folder) for folder in cell.folders]
    if cell.constant:  # Its seeds are one run, repeated.
        cell = cell._replace(rows=dict([min(cell.rows.items(), key=lambda item: item[0])]))
    labels, lanes = _labels(cell, settings)
    seeds = list(labels)
    stacked = np.array(list(labels.values()), np.int32).reshape(
        len(seeds), settings[0]["data"]["shape"][0]
    )
    found = Look(cell, settings, seeds, stacked, np.arange(stacked.shape[1]), _history(cell), [])
    if not seeds:
        found.notes.append("every seed failed: there is nothing to show")
        return found
    data, rows = run_images.find(settings[0], own, found.notes, reader), agreement.readable(stacked)
    if rows.size < stacked.shape[1]:
        lost = stacked.shape[1] - rows.size
        found.notes.append(f"left out: {lost:,} of {stacked.shape[1]:,} images could not be read")
        data, stacked = None if data is None else run_images.part(data, rows), stacked[:, rows]
        found = found._replace(labels=stacked, rows=rows)
    voted, share = agreement.consensus(stacked, settings[0]["config"]["clusters"])
    scores = (
        metrics.scores(data.labels, voted) if data is not None and data.labels is not None else None
    )
    agreement = agreement.agreement(stacked)
    found = found._replace(
        agreement=agreement,
        medoid=agreement.medoid(agreement),
        losses=agreement.final_losses(seeds, found.history.get("cluster", {})),
        consensus=(voted, share, scores),
        data=data,
        clusters=_stabilities(cell),
    )
    return found if data is None else _embedded(found, lanes)


def _stabilities(cell: Cell) -> dict[int, float] | None:
    found = collect.read_clusters(cell.folders[0].parent)
    if found is None:
        return None
    sound = [row for row in found["rows"] if row["stability"] is not None and not row["left_out"]]
    return {row["clusters"]: row["stability"] for row in sound}


def _labels(
    cell: Cell, settings: list[dict[str, Any]]
) -> tuple[dict[int, np.ndarray], dict[int, tuple[int, int]]]:
    """Of each seed that did not fail its clusters, and its folder's and its own place."""
    labels, lanes = {}, {}
    for number, (folder, one) in enumerate(zip(cell.folders, settings, strict=True)):
        path = folder / cell.labels
        try:
            found = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"run: {path} must hold the run's labels ({error})") from error
        if found.shape != (len(one["seeds"]), one["data"]["shape"][0]):
            raise UsageError(f"run: {path} must be of shape (seeds, n), got {found.shape}")
        clusters = one["config"]["clusters"]
        if found.dtype.kind != "i" or found.min(initial=0) < -1 or found.max(initial=0) >= clusters:
            raise UsageError(
                f"run: {path} must hold clusters from 0 to {clusters - 1}, or -1, got something else"
            )
        for lane, seed in enumerate(one["seeds"]):
            if seed in cell.rows and cell.rows[seed]["failed"] is None:
                if (found[lane] < 0).all():
                    raise UsageError(
                        f"run: {path} must hold clusters of seed {seed}, which did not fail, has none"
                    )
                labels[seed], lanes[seed] = found[lane], (number, lane)
    return labels, lanes


def _history(cell: Cell) -> dict[str, dict[str, np.ndarray]]:
    """``history.csv`` of all folders, by phase, as columns of floats (nan where a phase lacks one)."""
    lines: dict[str, list[dict[str, float]]] = {}
    for folder in cell.folders:
        path = folder / "history.csv"
        if path.exists():
            with path.open(newline="", errors="replace") as file:
                for number, line in enumerate(csv.DictReader(file, restval="missing"), 2):
                    try:
                        phase = line.pop("phase")
                        values = {
                            name: float(line[name] or "nan") for name in ("seed", "window", *line)
                        }
                    except (KeyError, TypeError, ValueError):
                        raise UsageError(
                            f"run: {path} line {number} must be a phase and numbers, is damaged"
                        ) from None
                    lines.setdefault(phase, []).append(values)
    return {
        phase: {name: np.array([line[name] for line in found]) for name in found[0]}
        for phase, found in lines.items()
    }


def _embedded(look: Look, lanes: dict[int, tuple[int, int]]) -> Look:
    """Adds what needs the embedding: the shown seed's picture and certainties, each seed's silhouette on a sample."""
    shown, order = (
        look.seeds[look.medoid],
        np.random.default_rng(0).permutation(look.labels.shape[1]),
    )
    sample, ranked = np.sort(order[:POINTS]), np.sort(order[:RANKED])
    found: dict[int, np.ndarray] = {}
    try:
        images = run_images.inputs(look.settings[0], look.data)
        for number, folder in enumerate(look.cell.folders):
            here = [seed for seed in look.seeds if lanes[seed][0] == number]
            if here:
                places = [lanes[seed][1] for seed in here]
                found |= zip(
                    here,
                    features(folder, look.settings[number], images[sample], places),
                    strict=True,
                )
        number, lane = lanes[shown]
        (more,) = features(look.cell.folders[number], look.settings[number], images[ranked], [lane])
    except ValueError as error:
        look.notes.append(f"no embedding: {error}")
        return look
    labels = dict(zip(look.seeds, look.labels, strict=True))
    certain = agreement.certainty(more, labels[shown][ranked])
    return look._replace(
        sample=sample,
        places=image_grid.in_two_dimensions(found[shown]),
        silhouettes=[
            agreement.silhouette(found[seed], labels[seed][sample]) for seed in look.seeds
        ],
        ranked=ranked[np.argsort(-certain, kind="stable")],
    )


def features(
    folder: Path, settings: dict[str, Any], images: np.ndarray, lanes: list[int]
) -> np.ndarray:
    """The embedding of images (m, h, w, c) under some lanes of a finished run, float32 (lanes, m, d).

    Raises:
      ValueError: the run has no checkpoint that can be used.
    """
    method, config, pretraining = predict.configuration(settings, folder)
    shape, seeds = tuple(settings["data"]["shape"]), tuple(settings["seeds"])
    return fit.applied(
        method, config, pretraining, shape, seeds, folder / "checkpoint", lanes, images, "embed"
    )
