"""A run's folder: made, found again, cleared of an earlier run, and nothing else touched."""

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from jaxclust.engine.checkpoint import differences
from jaxclust.engine.devices import same_bits
from jaxclust.errors import UsageError
from jaxclust.runs.files import write_file
from jaxclust.runs.lock import LOCK, check_free, is_empty
from jaxclust.runs.rows import labeling_files
from jaxclust.runs.settings import CONTENT, Settings, data_json, read_settings
from jaxclust.types import Json

VOTE_CSV = "vote.csv"
"""What ``jaxclust vote`` writes into a run's folder."""
FILES = (
    *("results.jsonl", "clusters.csv", "baseline.jsonl", "history.csv", "unreadable.csv"),
    "notes.json",
    VOTE_CSV,
)
FOLDERS = {
    "figures": ("curves.png", "embedding.png", "clusters.png", "cluster-[0-9]*.png"),
    "tensorboard": ("seed-*/events.out.tfevents.*.jaxclust", "seed-*"),
    "checkpoint": (
        *("pretrain", "cluster", "pretrain-window.npz", "cluster-window.npz"),
        "process-[0-9]*-of-[0-9]*",
    ),
}
"""What a run writes beside its settings and labels: files, and patterns in folders to which users
may add files of their own."""
MARK = ".config.json.part"
"""Where settings are written. A folder that holds it without settings is a run's that was killed
as it began, or that ``delete_runs`` has emptied."""
RESULTS = "results.jsonl"
"""The file that a run writes last: with it the run is finished."""


def is_finished(directory: Path) -> bool:
    """Whether a folder holds a run that has ended."""
    return (directory / RESULTS).exists()


def check_out(directory: Path, resume: bool, overwrite: bool) -> None:
    """Refuses a folder that a run must not be written to.

    Raises:
      UsageError: it exists and neither flag is given, or both are, or it is no folder.
    """
    if resume and overwrite:
        raise UsageError("resume: must not be given together with overwrite")
    if directory.exists() and not _is_new(directory) and not (resume or overwrite):
        raise UsageError(f"out: must not exist without --resume or --overwrite, got {directory}")
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"out: must be a folder, got {directory}")


def _is_new(directory: Path) -> bool:
    """Whether a folder holds a lock and nothing else: this start has made it."""
    return (directory / LOCK).exists() and is_empty(directory)


def open_folder(directory: Path, settings: Settings, resume: bool, overwrite: bool) -> Settings:
    """Makes a run's folder, or finds it again, so that nothing in it is lost unasked.

    Args:
      directory: the run's folder.
      settings: of the run. Their ``origin`` and the name of their preset decide no number and may
        differ from those of an earlier start. So a run goes on from copies of its inputs
        elsewhere, and where another version called the preset otherwise. The same holds for the
        name of images with the same content, and for the number of devices where it decides no
        number, see ``devices.same_bits``.
      resume: go on in a folder of the same settings.
      overwrite: delete an earlier run's files there, and nothing else.

    Returns:
      The settings, with those names and that way to run seeds that the run began with.

    Raises:
      UsageError: the folder exists and neither flag is given, or both are, or it holds another
        run, or it cannot be written to.
    """
    check_out(directory, resume, overwrite)
    try:
        str(directory.absolute()).encode()
    except UnicodeEncodeError as error:
        rule = "out: must be a folder whose name is UTF-8, which checkpoints need"
        raise UsageError(f"{rule}, got {directory}") from error
    path = directory / "config.json"
    filled = directory.exists() and not is_empty(directory)
    if resume and path.exists():
        kept = read_settings(directory)
        differing = _differing(kept, settings)
        if differing:
            rule = f"resume: {directory} must hold the same run"
            raise UsageError(f"{rule}, differs in {'; '.join(differing)}")
        settings = dataclasses.replace(settings, preset=kept.preset, data=kept.data, over=kept.over)
    elif resume and filled and not (directory / MARK).exists():
        raise UsageError(f"resume: {directory} must hold a run, has no config.json")
    if overwrite and filled:
        _clear(directory, read_settings(directory))  # Only a run's folder is touched.
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Also where it is there already: that shows the folder to be writable before long work.
        content = settings.to_json() | {"origin": settings.origin}
        write_file(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        rule = "out: must be a folder that can be written to"
        raise UsageError(f"{rule}, got {directory} ({error.strerror})") from error
    return settings


def default_folder(settings: Settings, parent: Path = Path("runs")) -> Path:
    """A folder for a run for which nobody named one: ``runs/METHOD-DATA``.

    Where another run is in it, the folder is ``runs/METHOD-DATA-2`` and so on. A folder that holds
    a run of the same settings is taken, so that the run goes on there.
    """
    name = f"{settings.method}-{settings.data.name}".replace("/", "-")
    number = 1
    while True:
        directory = parent / (name if number == 1 else f"{name}-{number}")
        if not directory.exists() or (directory.is_dir() and is_empty(directory)):
            return directory
        if (directory / "config.json").exists():
            try:
                kept = read_settings(directory)
            except UsageError:
                kept = None
            if kept is not None and not _differing(kept, settings):
                return directory
        number += 1


def _differing(kept: Settings, settings: Settings) -> list[str]:
    """What decides a number and differs between a run's settings and those of another start."""
    differing = differences(_deciding(kept, settings), _deciding(settings, kept))
    contents = [one.origin.get(CONTENT) for one in (kept, settings)]
    if None not in contents and contents[0] != contents[1]:
        differing.append("the content of the pictures' files")
    return differing


def _deciding(settings: Settings, other: Settings) -> dict[str, Json]:
    """Settings without what decides nothing: names, and devices that give the same bits."""
    values = {name: value for name, value in settings.to_json().items() if name != "preset"}
    values["over"] = same_bits(settings.over)
    values["data"] = data_json(settings, other)
    return values


def delete_runs(directories: Sequence[Path]) -> None:
    """Deletes the files of runs, and nothing else.

    A folder with more in it keeps the mark of a run, so that --resume may begin there.

    Raises:
      UsageError: a folder holds something, and no run; then nothing is deleted.
    """
    kept: dict[Path, Settings] = {}
    for directory in directories:
        check_free(directory)
        marked = (directory / MARK).exists() and not (directory / "config.json").exists()
        if directory.is_dir() and any(directory.iterdir()) and not marked:
            kept[directory] = read_settings(directory)
    for directory, settings in kept.items():
        _clear(directory, settings)
        os.replace(directory / "config.json", directory / MARK)
        if [path.name for path in directory.iterdir()] == [MARK]:
            (directory / MARK).unlink()


def _clear(directory: Path, settings: Settings) -> None:
    """Deletes an earlier run's files but its settings, which the next ones replace.

    If the process is killed on the way, a run's folder is left.
    """
    for name in (*FILES, *labeling_files(settings).values()):
        (directory / name).unlink(missing_ok=True)
    for name, patterns in FOLDERS.items():
        folder = directory / name
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
