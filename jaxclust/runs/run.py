"""A finished run: one type for what ``fit`` returns and for what a folder holds."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxclust.data import datasets
from jaxclust.engine import checkpoint
from jaxclust.engine import fit as engine
from jaxclust.engine.checkpoint import differences, settings_json
from jaxclust.engine.driver import Lanes, Training
from jaxclust.engine.phase import Phase
from jaxclust.errors import UsageError
from jaxclust.evaluation import agreement, metrics
from jaxclust.runs.files import read_labels, write_file, write_labels
from jaxclust.runs.folder import RESULTS, is_finished, open_folder
from jaxclust.runs.history import history_csv
from jaxclust.runs.rows import Row, labeling_files, read_results, write_rows
from jaxclust.runs.scores import Scores
from jaxclust.runs.settings import Settings, method_of, read_settings
from jaxclust.types import Json, Method, Prediction, Variables


class Consensus(NamedTuple):
    """What most seeds say of each image.

    Attributes:
      labels: the cluster with most votes, int32 (n,), numbered as in the seed that agrees best
        with the others; -1 for an image that could not be read.
      share: that cluster's share of the seeds' votes, float64 (n,), in [0, 1].
    """

    labels: np.ndarray
    share: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run of a method for many seeds.

    Attributes:
      settings: what decided its numbers.
      rows: a result for each seed, and for each labeling of a method that has several; none where
        the run was stopped before its end.
      labelings: labels by the labeling's name, int32 (seeds, n), -1 throughout for a failed seed;
        the first is the run's own.
      phases: the lanes and the history of each training, "pretrain" and "cluster"; none where the
        run was read from a folder.
      directory: its folder, or None.
      own_method: the method, where it has functions or a network of its own.
      unreadable: of a stream the places of images that could not be read, with reasons.
    """

    settings: Settings
    rows: tuple[Row, ...]
    labelings: Mapping[str, np.ndarray]
    phases: Mapping[str, Phase]
    directory: Path | None = None
    own_method: Method | None = None
    unreadable: Mapping[int, str] = dataclasses.field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.rows)

    @property
    def method(self) -> Method:
        """The method with the run's settings.

        Raises:
          UsageError: this version has no such method, or the run's folder was opened without the
            method that the run was made with.
        """
        if self.own_method is not None:
            return self.own_method
        return method_of(self.settings, self.directory or "this run")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the labels."""
        return self.settings.seeds

    @property
    def labels(self) -> np.ndarray:
        """Clusters, int32 (seeds, n), -1 throughout for a failed seed.

        Raises:
          UsageError: the run was stopped before its end.
        """
        if not self.labelings:
            raise UsageError("run: was stopped before its end and has no labels yet")
        return next(iter(self.labelings.values()))

    @property
    def failed(self) -> dict[int, tuple[str, int]]:
        """The phase and step at which each failed seed met a NaN or inf, by seed."""
        return {
            row.seed: (row.failed_phase or "", row.failed)
            for row in self.rows
            if row.failed is not None
        }

    def scores(self, labels: np.ndarray | None) -> Scores:
        """Scores of each seed against true classes.

        Args:
          labels: true classes, integers (n,); a data set without labels has None.

        Raises:
          UsageError: the labels are not one integer for each image, or there are none.
        """
        n = self.labels.shape[1]
        if labels is None or np.shape(labels) != (n,):
            rule = f"labels: must be of shape ({n},), one for each image"
            raise UsageError(f"{rule}, got {None if labels is None else np.shape(labels)}")
        labels = np.asarray(labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise UsageError(f"labels: must be integers, got dtype {labels.dtype}")
        rows = []
        for clusters, row in zip(self.labels, self.rows[: len(self.seeds)], strict=True):
            scores: dict[str, float] = {}
            if row.failed is None:
                readable = clusters >= 0
                scores = metrics.scores(labels[readable], clusters[readable])
            rows.append(dataclasses.replace(row, **scores))
        return Scores(tuple(rows))

    def consensus(self) -> Consensus:
        """What most of the seeds that did not fail say of each image.

        Raises:
          UsageError: every seed failed.
        """
        labels = self.labels
        kept = labels[[seed not in self.failed for seed in self.seeds]]
        if not len(kept):
            raise UsageError("consensus: at least one seed must not have failed, all did")
        readable = agreement.readable(kept)
        votes, share = agreement.consensus(kept[:, readable], self.settings.clusters)
        chosen = np.full(labels.shape[1], -1, np.int32)
        shares = np.zeros(labels.shape[1])
        chosen[readable] = votes
        shares[readable] = share
        return Consensus(chosen, shares)

    def predict(self, images: np.ndarray, seed: int | None = None) -> Prediction:
        """Clusters of images under one seed's network.

        The run's own images get their labels again, except with methods that label all images
        together at the end (JULE, DCTL and linkage on pixels).

        Args:
          images: uint8 or float in [0, 1], (m, h, w) or (m, h, w, c), of the run's size.
          seed: whose clusters; None for the first seed that did not fail.

        Raises:
          UsageError: the images are of another shape, the run has no such seed or it failed, the
            run was given features, or its folder has no checkpoint that can be used.
        """
        return Prediction(*self._apply(images, seed, "predict"))

    def embed(self, images: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Features of images under one seed's network.

        Args:
          images: as for ``predict``.
          seed: as for ``predict``.

        Returns:
          The embedding, float32 (m, d).

        Raises:
          UsageError: as from ``predict``.
        """
        return self._apply(images, seed, "embed")

    def seed_of(self, seed: int | None = None) -> int:
        """A seed that did not fail: the one asked for, or the first.

        Raises:
          UsageError: there is none.
        """
        failed = self.failed
        kept = [known for known in self.seeds if known not in failed]
        where = "" if self.directory is None else f" of {self.directory}"
        if not kept:
            raise UsageError(f"seed: all seeds{where} failed")
        if seed is not None and seed not in kept:
            names = ", ".join(map(str, kept))
            raise UsageError(f"seed: must be one of {names}{where}, got {seed}")
        return kept[0] if seed is None else seed

    def variables(self, seed: int | None = None) -> Variables:
        """The arrays of one seed's network, as nested dicts of params and stats.

        Args:
          seed: whose network; None for the first seed that did not fail.

        Raises:
          UsageError: there is no such seed, or the run's folder has no checkpoint that can be used.
        """
        states = self.states([self.seeds.index(self.seed_of(seed))])
        return jax.tree.map(lambda leaf: leaf[0], states.variables)

    def states(self, lanes: list[int]) -> Any:
        """The algorithm's states of some lanes, with a leading axis, from memory or the folder.

        Args:
          lanes: places in ``seeds``.

        Raises:
          UsageError: the run's folder has no checkpoint that can be used.
        """
        return jax.tree.map(lambda leaf: leaf[np.array(lanes)], self._lanes().state)

    def _lanes(self) -> Lanes:
        if "cluster" in self.phases:
            return self.phases["cluster"].lanes
        if self.directory is None:
            raise UsageError("run: must have its states or a folder, has neither")
        place = self.directory / "checkpoint"
        return engine.restore(self.method, self.settings.data.shape, self.seeds, place)

    def _apply(
        self, images: np.ndarray, seed: int | None, function: Literal["embed", "predict"]
    ) -> Any:
        where = "" if self.directory is None else f"{self.directory} "
        if not self.finished:
            raise UsageError(f"run: {where}must be finished, has no {RESULTS}")
        if self.settings.features is not None:
            rule = f"run: {where}must be on images to take new ones"
            raise UsageError(f"{rule}, is on {self.settings.features}")
        images = datasets.checked("images", np.asarray(images), least=1).images
        shape = self.settings.data.shape[1:]
        if images.shape[1:] != tuple(shape):
            expected = ", ".join(map(str, shape))
            raise UsageError(f"images: must be of shape (n, {expected}), got {images.shape}")
        lane = self.seeds.index(self.seed_of(seed))
        results = engine.apply(self.method, self.states([lane]), images, function)
        return jax.tree.map(lambda leaf: leaf[0], results)

    def save(self, directory: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes the run's folder, as the command writes it.

        Args:
          directory: the folder; must not exist unless ``overwrite``.
          overwrite: replace an earlier run there, and nothing else.

        Raises:
          UsageError: the run is not finished, or the folder must not be written to, or is the one
            that the run is in.
        """
        if not self.finished:
            raise UsageError("save: must be of a finished run, this one was stopped before its end")
        target = Path(directory)
        if self.directory is not None and target.resolve() == self.directory.resolve():
            raise UsageError(f"save: must be to another folder than the run's own, got {target}")
        open_folder(target, self.settings, False, overwrite)
        if self.phases:
            self._save_phases(target)
        if self.directory is not None:
            _copy_missing(self.directory, target)
        for name, file in labeling_files(self.settings).items():
            write_labels(target / file, self.labelings[name])
        write_rows(target / RESULTS, self.rows)

    def _save_phases(self, target: Path) -> None:
        """Writes checkpoints and history of a run that is in memory."""
        for name, phase in self.phases.items():
            training = Training(phase.lanes, phase.history, phase.finished)
            checkpoint.save(target / "checkpoint" / name, phase.about, training, phase.times)
        steps = engine.steps_per_window(self.method, self.settings.images_at_once)
        histories = {name: phase.history for name, phase in self.phases.items()}
        write_file(target / "history.csv", history_csv(histories, self.seeds, steps))

    def __repr__(self) -> str:
        settings = self.settings
        n, *shape = settings.data.shape
        size = " x ".join(map(str, shape))
        seeds = f"{len(self.seeds)} seed" + ("s" if len(self.seeds) > 1 else "")
        head = f"Run of {settings.method} on {settings.data.name}: {seeds}, {n:,} images of {size}"
        lines = [f"{head}, {settings.clusters} clusters"]
        if not self.finished:
            return "\n".join([*lines, "  stopped before its end"])
        seconds = (self.rows[0].seconds or 0) * len(self.seeds)
        state = f"  finished in {seconds:.1f} s, and {self.rows[0].compile_seconds or 0:.1f} s of"
        failed = f"; failed seeds: {', '.join(map(str, self.failed))}" if self.failed else ""
        lines.append(f"{state} compilation{failed}")
        lines.append(
            "  labels, scores(labels), consensus(), predict(images), embed(images), save()"
        )
        return "\n".join(lines)


def _copy_missing(source: Path, target: Path) -> None:
    """Copies what a run's folder has beside settings, labels and rows, and another lacks."""
    kept = source / "checkpoint"
    if kept.is_dir() and not (target / "checkpoint").exists():
        shutil.copytree(kept, target / "checkpoint")
    for name in ("history.csv", "baseline.jsonl", "unreadable.csv"):
        if (source / name).exists() and not (target / name).exists():
            shutil.copy2(source / name, target / name)


def open_run(directory: str | os.PathLike, method: Method | None = None) -> Run:
    """A finished run from its folder, whether the command or Python wrote it.

    Args:
      directory: the run's folder.
      method: the method that the run was made with, where it has functions or a network of its
        own; None for the package's.

    Raises:
      UsageError: the folder holds no finished run, a file in it is damaged, or the method has
        other settings than the run's.
    """
    folder = Path(directory)
    settings = read_settings(folder)
    if not is_finished(folder):
        rule = f"run: {folder} must be finished, has no {RESULTS}"
        raise UsageError(f"{rule}; fit with --resume goes on")
    if method is not None:
        _check_method(method, settings, folder)
    rows = tuple(read_results(folder))
    files = labeling_files(settings)
    labelings = {name: read_labels(folder / file) for name, file in files.items()}
    seeds = [row.seed for row in rows]
    if seeds != list(settings.seeds) * len(files):
        rule = f"rows: {folder / RESULTS} must hold a row for each seed"
        raise UsageError(f"{rule}, {settings.seeds}, got {seeds}")
    shape = (len(settings.seeds), settings.data.shape[0])
    for name, file in files.items():
        if labelings[name].shape != shape:
            rule = f"run: {folder / file} must hold labels of shape {shape}"
            raise UsageError(f"{rule}, got {labelings[name].shape}")
    return Run(settings, rows, labelings, {}, folder, method)


def _check_method(method: Method, settings: Settings, folder: Path) -> None:
    """Refuses a method whose settings are not those of a run."""
    given: dict[str, Json] = {"config": settings_json(method.config), "pretraining": None}
    if method.pretraining is not None:
        given["pretraining"] = settings_json(method.pretraining)
    kept: dict[str, Json] = {"config": settings.config, "pretraining": settings.pretraining}
    differing = differences(kept, given)
    if differing:
        rule = f"method: must be the one of {folder}"
        raise UsageError(f"{rule}, differs in {'; '.join(differing)}")
