"""A finished run read back from its folder."""

import os
from pathlib import Path

import numpy as np

from jaxclust.engine.checkpoint import differences, settings_json
from jaxclust.errors import UsageError
from jaxclust.runs.files import read_labels
from jaxclust.runs.folder import RESULTS, is_finished
from jaxclust.runs.rows import labeling_files, read_results
from jaxclust.runs.run import Run
from jaxclust.runs.settings import Settings, read_settings
from jaxclust.runs.whole import check_hashes
from jaxclust.types import Json, Method


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
    check_hashes(folder, settings, [row.config_hash for row in rows])
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
        _check_labels(
            labelings[name], settings, [row.failed is None for row in rows], folder / file
        )
    return Run(settings, rows, labelings, {}, folder, method)


def _check_labels(labels: np.ndarray, settings: Settings, kept: list[bool], path: Path) -> None:
    """Refuses labels that no run writes: int (seeds, n)."""
    rule = f"run: {path} must hold clusters from 0 to {settings.clusters - 1}"
    if labels.min() < -1 or labels.max() >= settings.clusters:
        raise UsageError(f"{rule}, got {labels.min()} to {labels.max()}")
    lost = np.asarray(labels)[kept[: len(labels)]] < 0
    if lost.size and ((lost != lost[0]).any() or lost[0].all()):
        raise UsageError(f"{rule}, and -1 only where no seed could read an image")


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
