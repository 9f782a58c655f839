"""A run's files from a run in memory: its clusters, its checkpoints, its whole folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxclust.engine import checkpoint
from jaxclust.engine import fit as engine
from jaxclust.engine.driver import Training
from jaxclust.errors import UsageError
from jaxclust.runs.consensus import CLUSTERS_CSV, cluster_columns, write_clusters
from jaxclust.runs.files import write_csv, write_file, write_labels
from jaxclust.runs.folder import RESULTS, check_out, open_folder
from jaxclust.runs.history import history_csv
from jaxclust.runs.lock import held
from jaxclust.runs.notes import write_notes
from jaxclust.runs.rows import labeling_files, write_rows
from jaxclust.whole_files import whole

if TYPE_CHECKING:
    from jaxclust.runs.run import Run

UNREADABLE = "unreadable.csv"
"""The file of a run's folder that names what could not be read."""
COPIED = ("history.csv", "baseline.jsonl", UNREADABLE, CLUSTERS_CSV)
"""Files of a run that a copy of its folder takes as they are."""


def save(run: "Run", target: Path, overwrite: bool) -> None:
    """Writes a run's folder, see ``Run.save``.

    Args:
      run: finished.
      target: the folder.
      overwrite: replace an earlier run there.

    Raises:
      UsageError: as from ``Run.save``.
    """
    if not run.finished:
        raise UsageError("save: must be of a finished run, this one was stopped before its end")
    if run.directory is not None and target.resolve() == run.directory.resolve():
        raise UsageError(f"save: must be to another folder than the run's own, got {target}")
    check_out(target, False, overwrite)
    with held(target):
        open_folder(target, run.settings, False, overwrite)
        if run.phases:
            _save_phases(run, target)
        if run.directory is not None:
            _copy_missing(run.directory, target)
        write_unreadable(run, target)
        for name, file in labeling_files(run.settings).items():
            write_labels(target / file, run.labelings[name])
        if not (target / CLUSTERS_CSV).exists():
            run.write_clusters(target)
        write_notes(target, run.notes)
        write_rows(target / RESULTS, run.rows)


def write_run_clusters(
    run: "Run", folder: Path, called: Callable[[int], str | int] | None = None
) -> None:
    """Writes the clusters of a run's images to a folder, see ``Run.write_clusters``."""
    if not run.kept_lanes():
        return
    if called is None:
        called = int if run.names is None else run.names.__getitem__
    write_clusters(folder / CLUSTERS_CSV, called, vote_columns(run))


def vote_columns(run: "Run") -> dict[str, np.ndarray]:
    """The columns of ``clusters.csv`` behind the images' names, as far as the run has them.

    Raises:
      UsageError: every seed failed.
    """
    votes = run.consensus()
    each = dict(zip(votes.seeds, votes.seed_labels, strict=True))
    predicted = None
    if run.predictions is not None:
        lanes = run.kept_lanes()
        predicted = jax.tree.map(lambda values: values[lanes], run.predictions)
    return cluster_columns(votes.labels, votes.share, each, predicted)


def write_unreadable(run: "Run", folder: Path) -> None:
    """Names picture files that could not be read in a folder; no file where there are none."""
    if run.unreadable_files:
        write_csv(folder / UNREADABLE, ["file", "reason"], run.unreadable_files.items())


def _save_phases(run: "Run", target: Path) -> None:
    """Writes checkpoints and history of a run that is in memory."""
    for name, phase in run.phases.items():
        training = Training(phase.lanes, phase.history, phase.finished)
        checkpoint.save(target / "checkpoint" / name, phase.about, training, phase.times)
    steps = engine.steps_per_window(run.method, run.settings.images_at_once)
    histories = {name: phase.history for name, phase in run.phases.items()}
    write_file(target / "history.csv", history_csv(histories, run.seeds, steps))


def _copy_missing(source: Path, target: Path) -> None:
    """Copies what a run's folder has beside settings, labels and rows, and another lacks."""
    kept = source / "checkpoint"
    if kept.is_dir() and not (target / "checkpoint").exists():
        beside = target / ".checkpoint.part"
        shutil.rmtree(beside, ignore_errors=True)  # A process that was killed left it.
        try:
            shutil.copytree(kept, beside)
            os.replace(beside, target / "checkpoint")
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    for name in COPIED:
        if (source / name).exists() and not (target / name).exists():
            with whole(target / name) as beside:
                shutil.copy2(source / name, beside)
