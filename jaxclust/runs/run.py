"""A finished run: one type for what ``fit`` returns and for what a folder holds."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.engine.devices import taken
from jaxclust.engine.driver import Lanes
from jaxclust.engine.phase import Phase, failed_so_far
from jaxclust.errors import UsageError
from jaxclust.runs import feature_inputs, notes, saving
from jaxclust.runs.cluster_table import ClusterTable, read_cluster_table
from jaxclust.runs.consensus import CLUSTERS_CSV, Consensus, make_consensus
from jaxclust.runs.folder import RESULTS
from jaxclust.runs.rows import Row, with_scores
from jaxclust.runs.scores import Scores
from jaxclust.runs.settings import Settings, method_of
from jaxclust.types import Method, Prediction, Variables


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
      names: the images' names in their folder, in memory; ``files`` has them of every run.
      unreadable_files: names of picture files that could not be read, with reasons, in memory.
      predictions: what the method says of the run's own images, with a leading axis of seeds, in
        each seed's numbering; None from a folder, of a stream, and of a method that labels at once.
      notes_before: notes that were known before it; none where it was read from a folder.
    """

    settings: Settings
    rows: tuple[Row, ...]
    labelings: Mapping[str, np.ndarray]
    phases: Mapping[str, Phase]
    directory: Path | None = None
    own_method: Method | None = None
    unreadable: Mapping[int, str] = dataclasses.field(default_factory=dict)
    names: tuple[str, ...] | None = None
    unreadable_files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    predictions: Prediction | None = None
    notes_before: tuple[str, ...] = ()
    _consensus: dict[str, Consensus] = dataclasses.field(default_factory=dict, init=False)
    _read: list[ClusterTable] = dataclasses.field(default_factory=list, init=False)

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
        if not self.finished:
            return failed_so_far(self.seeds, self.phases)
        return {
            row.seed: (row.failed_phase or "", row.failed)
            for row in self.rows
            if row.failed is not None
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader of a finished run has to know, such as on empty clusters."""
        return notes.of_run(self)

    def scores(self, labels: np.ndarray | None) -> Scores:
        """Scores of each seed against true classes.

        Args:
          labels: true classes, integers (n,), -1 for an image whose class is not known, which the
            scores leave out; a data set without labels has None.

        Raises:
          UsageError: the labels are not one integer for each image, or none is known.
        """
        n = self.labels.shape[1]
        if labels is None or np.shape(labels) != (n,):
            rule = f"labels: must be of shape ({n},), one for each image"
            raise UsageError(f"{rule}, got {None if labels is None else np.shape(labels)}")
        labels = np.asarray(labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise UsageError(f"labels: must be integers, got dtype {labels.dtype}")
        if (labels == -1).all():
            raise UsageError("labels: must have a known class, got -1 for each image")
        rows = [
            with_scores(row, clusters, labels) if row.failed is None else row
            for clusters, row in zip(self.labels, self.rows[: len(self.seeds)], strict=True)
        ]
        votes = self.consensus().scores(labels) if self.has_consensus else None
        return Scores(tuple(rows), votes)

    @property
    def has_consensus(self) -> bool:
        """Whether the run has two seeds or more, of which at least one did not fail."""
        return len(self.seeds) > 1 and len(self.failed) < len(self.seeds)

    def consensus(self, labeling: str | None = None) -> Consensus:
        """What most of the seeds that did not fail say of each image.

        A single seed has its own clusters and numbers, with all votes.

        Args:
          labeling: one of ``labelings``; None for the run's own.

        Raises:
          UsageError: every seed failed, there is no such labeling, or the run was stopped before
            its end.
        """
        labels = self.labels if labeling is None else self.labelings.get(labeling)
        if labels is None:
            names = ", ".join(map(repr, self.labelings))
            raise UsageError(f"labeling: must be one of {names}, got {labeling!r}")
        name = next(iter(self.labelings)) if labeling is None else labeling
        if name not in self._consensus:
            lanes = self.kept_lanes()
            if not lanes:
                raise UsageError("consensus: at least one seed must not have failed, all did")
            seeds = [self.seeds[lane] for lane in lanes]
            self._consensus[name] = make_consensus(labels[lanes], seeds, self.settings.clusters)
        return self._consensus[name]

    @property
    def files(self) -> tuple[str, ...] | None:
        """The images' names in the folder, archive or table that they were read from.

        None where they have none, as images of an array; and of the folder of a run of an earlier
        version without ``clusters.csv``.

        Raises:
          UsageError: the folder's ``clusters.csv`` is damaged or has been changed.
        """
        return self.names if self.names is not None else self._table().names

    def table(self) -> dict[str, np.ndarray]:
        """The clusters of the images as columns, such as ``pandas.DataFrame`` takes them.

        Returns:
          ``image``, the names of the files as objects, or the images' places, int64. ``cluster``
          and ``share`` of the consensus, int32 and float64. ``probability`` and ``distance`` as
          means over the seeds that voted for the cluster, where they are known. All are (n,).

        Raises:
          UsageError: as from ``consensus`` and ``files``.
        """
        files = self.files
        votes = self.consensus()
        names = np.arange(len(votes.labels)) if files is None else np.array(files, object)
        columns = saving.vote_columns(self)
        own = {name: columns[name] for name in columns if not name.startswith("seed_")}
        return {"image": names, **own, **self._table().sure}

    def _table(self) -> ClusterTable:
        """What the folder's ``clusters.csv`` says; nothing where there is none."""
        path = None if self.directory is None else self.directory / CLUSTERS_CSV
        if not self._read:
            known = ClusterTable(None, {})
            if path is not None and path.exists() and self.predictions is None:
                known = read_cluster_table(path, self.consensus().labels)
            self._read.append(known)
        return self._read[0]

    def predict(self, images: np.ndarray | Dataset, seed: int | None = None) -> Prediction:
        """Clusters of images, in the numbering of ``consensus``.

        The run's own images get the clusters of ``consensus`` again, except with methods that label
        all images together (JULE, DCTL, linkage on pixels, ``nmf-lp`` and ``nmf-d``).

        Args:
          images: uint8 or float in [0, 1], (m, h, w) or (m, h, w, c), of the run's size; for a run
            on a network's features of any size. Or a data set of them.
          seed: whose clusters; None for the votes of all seeds that did not fail.

        Returns:
          With ``seed``, and from a run of one seed: the cluster under this seed's network, the
          method's probability of it, and the distance to its centroid. Otherwise the cluster with
          most votes; its ``probability`` is its share of the votes, and its ``distance`` the mean
          over the seeds that voted for it of the distance in each seed's embedding.

        Raises:
          UsageError: the images are of another shape, the run has no such seed or it failed, the
            run was given features that no network computes, or its folder has no checkpoint that
            can be used.
        """
        if seed is None and len(self.seeds) > 1:
            return self.consensus().vote(self.predict_seeds(images))
        seed = self.seed_of(seed)
        numbered = self._numbered(images, [seed])
        return Prediction(*(values[0] for values in numbered))

    def predict_seeds(self, images: np.ndarray | Dataset) -> Prediction:
        """Clusters of images under the network of each seed that did not fail.

        Args:
          images: as for ``predict``.

        Returns:
          The prediction of each of ``consensus().seeds``, with a leading axis of seeds, in the
          numbering of ``consensus``.

        Raises:
          UsageError: as from ``predict``.
        """
        self.seed_of()
        return self._numbered(images, [self.seeds[lane] for lane in self.kept_lanes()])

    def embed(self, images: np.ndarray | Dataset, seed: int | None = None) -> np.ndarray:
        """Features of images under one seed's network.

        Args:
          images: as for ``predict``.
          seed: whose network; None for the first seed that did not fail.

        Returns:
          The embedding, float32 (m, d).

        Raises:
          UsageError: as from ``predict``.
        """
        return self._apply(images, [self.seed_of(seed)], "embed")[0]

    def seed_of(self, seed: int | None = None) -> int:
        """A seed that did not fail: the one asked for, or the first.

        Raises:
          UsageError: there is none.
        """
        kept = [self.seeds[lane] for lane in self.kept_lanes()]
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
        return taken(states.variables, 0)

    def states(self, lanes: list[int]) -> Any:
        """The algorithm's states of some lanes, with a leading axis, from memory or the folder.

        Args:
          lanes: places in ``seeds``.

        Raises:
          UsageError: the run's folder has no checkpoint that can be used.
        """
        return taken(self._lanes().state, np.array(lanes))

    def _lanes(self) -> Lanes:
        if "cluster" in self.phases:
            return self.phases["cluster"].lanes
        if self.directory is None:
            raise UsageError("run: must have its states or a folder, has neither")
        place = self.directory / "checkpoint"
        return engine.restore(self.method, self.settings.data.shape, self.seeds, place)

    def check_new_images(self) -> None:
        """Refuses a run that cannot take new images, before any image is read.

        Raises:
          UsageError: the run is not finished, is on features that no network computes, or is of
            an unknown method.
        """
        where = "" if self.directory is None else f"{self.directory} "
        if not self.finished:
            raise UsageError(f"run: {where}must be finished, has no {RESULTS}")
        if not feature_inputs.takes_new_images(self.settings):
            rule = f"run: {where}must be on images or on a network's features to take new ones"
            raise UsageError(f"{rule}, is on {self.settings.features}")
        _ = self.method

    def kept_lanes(self) -> list[int]:
        """The places of the seeds that did not fail."""
        failed = self.failed
        return [lane for lane, seed in enumerate(self.seeds) if seed not in failed]

    def _numbered(self, images: np.ndarray | Dataset, seeds: list[int]) -> Prediction:
        """Predictions of some seeds with a leading axis, in the numbering of the consensus."""
        each = self._apply(images, seeds, "predict")
        return self.consensus().numbered(each, seeds)

    def _apply(
        self, images: np.ndarray | Dataset, seeds: list[int], function: Literal["embed", "predict"]
    ) -> Any:
        """What a function of the method gives under some seeds, with a leading axis."""
        self.check_new_images()
        inputs = feature_inputs.of_new_images(self.settings, images)
        return self.apply_to_inputs(inputs, seeds, function)

    def apply_to_inputs(
        self, inputs: np.ndarray, seeds: list[int], function: Literal["embed", "predict"]
    ) -> Any:
        """What a function of the method gives under some seeds, with a leading axis.

        Args:
          inputs: what the network takes, images or features, (m, h, w, c) of the run's shape.
          seeds: of the run.
          function: its name.
        """
        states = self.states([self.seeds.index(seed) for seed in seeds])
        return engine.apply(self.method, states, inputs, function)

    def save(self, directory: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes the run's folder, as the command writes it.

        Args:
          directory: the folder; must not exist unless ``overwrite``.
          overwrite: replace an earlier run there, and nothing else.

        Raises:
          UsageError: the run is not finished, or the folder is its own or must not be written to.
        """
        saving.save(self, Path(directory), overwrite)

    def write_clusters(
        self, folder: Path, called: Callable[[int], str | int] | None = None
    ) -> None:
        """Writes the clusters of the images to a folder's ``clusters.csv``.

        No file is written where every seed failed.

        Args:
          folder: where to write.
          called: gives the name of the image at a place; None for ``files``, or for the place where
            there are none.
        """
        saving.write_run_clusters(self, folder, called)

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
        able = (
            "labels, scores(labels), consensus(), table(), predict(images), embed(images), save()"
        )
        return "\n".join([*lines, f"{state} compilation{failed}", f"  {able}"])
