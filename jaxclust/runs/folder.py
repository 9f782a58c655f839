"""TODO"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxclust.engine.checkpoint import differences
from jaxclust.runs.files import write_file
from jaxclust.runs.rows import labelings
from jaxclust.runs.settings import read_settings

FILES = ("results.jsonl", "baseline.jsonl", "history.csv", "unreadable.csv")
FOLDERS = {
    "figures": ("curves.png", "embedding.png", "cluster-[0-9]*.png"),
    "tensorboard": ("seed-*/events.out.tfevents.*.jaxclust", "seed-*"),
    "checkpoint": ("pretrain", "cluster"),
}
"""What a run writes beside its settings and labels: files, and patterns in folders, which users may add to."""
MARK = ".config.json.part"
"""Where settings are written; alone it is of a run that a kill or ``delete`` has left without them."""


def check_out(directory: Path, resume: bool, overwrite: bool) -> None:
    """ValueError where a folder is there and neither flag is given, or both are, or something else is in its place."""
    if resume and overwrite:
        raise ValueError("resume: must not be given together with overwrite")
    if directory.exists() and not (resume or overwrite):
        raise ValueError(f"out: must not exist without --resume or --overwrite, got {directory}")
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: must be a folder, got {directory}")


def open_folder(
    directory: Path,
    wanted: dict[str, Any],
    resume: bool,
    overwrite: bool,
    origin: dict[str, Any] | None = None,
) -> None:
    """Makes a run's folder, or finds it again, so that nothing in it is lost unasked.

    Args:
      directory: the run's folder.
      wanted: ``settings`` of the run.
      resume: go on in a folder of the same settings.
      overwrite: delete an earlier run's files there, and nothing else.
      origin: where the run's inputs are from, kept beside ``wanted``; it decides no number, so that the run goes on
        from copies elsewhere.

    Raises:
      ValueError: the folder exists and neither flag is given, or both are, or it holds another run, or it cannot be
        written to.
    """
    check_out(directory, resume, overwrite)
    found = directory / "config.json"
    if resume and found.exists():
        kept = read_settings(directory)
        differing = differences({name: kept[name] for name in kept if name != "origin"}, wanted)
        if differing:
            raise ValueError(
                f"resume: {directory} must hold the same run, differs in {'; '.join(differing)}"
            )
    elif (
        resume
        and directory.exists()
        and any(directory.iterdir())
        and not (directory / MARK).exists()
    ):
        raise ValueError(f"resume: {directory} must hold a run, has no config.json")
    if overwrite and directory.exists() and any(directory.iterdir()):
        _clear(directory, read_settings(directory)["method"])  # Only a run's folder is touched.
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Also where it is there already: that shows the folder to be writable before any long work.
        write_file(found, json.dumps(wanted | {"origin": origin or {}}, indent=2) + "\n")
    except OSError as error:
        raise ValueError(
            f"out: must be a folder that can be written to, got {directory} ({error.strerror})"
        ) from error


def delete_runs(directories: Sequence[Path]) -> None:
    """The files of runs, and nothing else; a folder with more in it keeps the mark of one, where --resume may begin.

    Raises:
      ValueError: a folder holds something, and no run; then nothing is deleted.
    """
    methods = {}
    for directory in directories:
        marked = (directory / MARK).exists() and not (directory / "config.json").exists()
        if directory.is_dir() and any(directory.iterdir()) and not marked:
            methods[directory] = read_settings(directory)["method"]
    for directory, method in methods.items():
        _clear(directory, method)
        os.replace(directory / "config.json", directory / MARK)
        if [path.name for path in directory.iterdir()] == [MARK]:
            (directory / MARK).unlink()


def _clear(directory: Path, method: str) -> None:
    """An earlier run's files but its settings, which the next ones replace: a kill leaves a run's folder."""
    for name in (*FILES, *labelings(method).values()):
        (directory / name).unlink(missing_ok=True)
    for folder, patterns in ((directory / name, patterns) for name, patterns in FOLDERS.items()):
        if folder.is_symlink():
            folder.unlink()
            continue
        for path in [path for pattern in patterns for path in folder.glob(pattern)]:
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            elif folder.name == "checkpoint":
                shutil.rmtree(path)
            elif not any(path.iterdir()):
                path.rmdir()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
