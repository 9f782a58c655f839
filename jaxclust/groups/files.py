"""The files that ``group`` writes: a table of pictures and groups, its state, links and copies."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.errors import UsageError
from jaxclust.groups.edits import Edits
from jaxclust.groups.partition import Partition
from jaxclust.groups.state import STATE
from jaxclust.runs.files import read_csv, write_csv, write_file
from jaxclust.runs.lock import is_empty

TABLE = "groups.csv"
PAGE = "groups.html"
UNREADABLE = "unreadable.csv"
RUN = "run"
PLACED = "groups"
"""The folder that holds a folder of links or copies for each group."""
MADE = "made.csv"
"""Lists the links and copies, so that nothing else is ever deleted."""
_EDITS = "edits-*.csv"
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
_LONGEST = 120
_LONGEST_ENDING = 10


class Shown(NamedTuple):
    """Groups as people see them.

    Attributes:
      partition: of n pictures.
      names: a name for each of k groups, "" without.
      typical: place of each picture in its group, the most typical is 1; int (n,); 0 in no group.
      levels: "coarse" and "fine", int32 (n,); none unless asked for.
    """

    partition: Partition
    names: tuple[str, ...]
    typical: np.ndarray
    levels: Mapping[str, np.ndarray]


def write_groups(path: Path, files: Sequence[str], shown: Shown) -> None:
    """Writes a line for each picture, in the pictures' order.

    The columns are these, and the levels, if there are any:

    - ``file``.
    - ``group``: 0 is the largest; empty for a picture that fits none.
    - ``name``: that of the group.
    - ``sure``: as in ``Partition``.
    - ``certain``: no where votes or distance speak against the group.
    - ``typical``: 1 for the most typical picture of the group.
    - ``kind``: typical for the nearest quarter of a group, and odd for what is not certain.
    - ``distance``: from the group's center.

    Args:
      path: the .csv file.
      files: n names.
      shown: the groups.
    """
    partition = shown.partition
    sizes = np.bincount(np.maximum(partition.groups, 0), minlength=len(shown.names))
    header = ["file", "group", "name", "sure", "certain", "typical", "kind", "distance"]

    def lines():
        for place, file in enumerate(files):
            group = int(partition.groups[place])
            certain = bool(partition.certain[place])
            rank = int(shown.typical[place])
            near = group >= 0 and rank <= max(1, sizes[group] // 4)
            yield [
                file,
                "" if group < 0 else group,
                "" if group < 0 else shown.names[group],
                f"{partition.sure[place]:.4g}",
                "yes" if certain else "no",
                rank or "",
                "odd" if not certain else "typical" if near else "",
                f"{partition.distance[place]:.4f}",
                *(int(level[place]) for level in shown.levels.values()),
            ]

    write_csv(path, [*header, *shown.levels], lines())


def write_unreadable(path: Path, reasons: Mapping[str, str]) -> None:
    """Writes the files that gave no picture, with the reason; no file where there is none."""
    if reasons:
        write_csv(path, ["file", "reason"], reasons.items())
    else:
        path.unlink(missing_ok=True)


def edits_of(out: Path) -> list[Path]:
    """The corrections that a folder keeps, in the order in which they were given."""
    return sorted(out.glob(_EDITS), key=lambda path: int(re.sub(r"\D", "", path.stem) or 0))


def keep_edits(out: Path, edits: Edits) -> None:
    """Adds corrections to the files that a folder keeps, unless they are the last of them."""
    kept = edits_of(out)
    if kept and kept[-1].read_bytes() == edits.content:
        return
    write_file(out / f"edits-{len(kept) + 1}.csv", edits.content)


def delete_results(out: Path) -> None:
    """Deletes what ``group`` has written to a folder: its files, its run, its thumbnails.

    Corrections are set aside, as ``old-edits-1.csv`` and so on.

    Raises:
      UsageError: the folder holds something, and is none of ``group``.
    """
    if not out.exists() or is_empty(out):
        return
    if not (out / STATE).is_file():
        raise UsageError(f"overwrite: {out} must hold groups, has no {STATE}")
    delete_placed(out)
    for path in edits_of(out):
        number = 1
        while (out / f"old-edits-{number}.csv").exists():
            number += 1
        path.rename(out / f"old-edits-{number}.csv")
    for name in (TABLE, PAGE, UNREADABLE):
        (out / name).unlink(missing_ok=True)
    for name in (RUN, Path(PAGE).stem + "-pictures"):
        if (out / name).is_dir() and not (out / name).is_symlink():
            shutil.rmtree(out / name)
    (out / STATE).unlink()


def place(
    out: Path,
    files: Sequence[str],
    shown: Shown,
    path_of: Callable[[int], Path | None],
    content: Callable[[int], bytes] | None,
) -> int:
    """Makes a folder of links or copies for each group.

    Names that meet in one folder are kept apart by a number, also where they differ in case alone.
    Nothing is moved, and only links and copies of an earlier call are deleted.

    Args:
      out: the folder of results.
      files: names of n pictures.
      shown: their groups.
      path_of: the path of a picture on disk; None in an archive.
      content: gives a picture's bytes for a copy; None for links.

    Returns:
      The number of links or copies.

    Raises:
      UsageError: links cannot be made here.
      pictures.Unreadable: a picture that is copied has gone.
    """
    delete_placed(out)
    root = out / PLACED
    taken = {path.relative_to(root).as_posix().casefold() for path in root.rglob("*")}
    made = []
    for index, file in enumerate(files):
        folder = folder_name(int(shown.partition.groups[index]), shown.names)
        made.append([_free(f"{folder}/{safe(file.rpartition('/')[2])}", taken), file])
    root.mkdir(parents=True, exist_ok=True)
    # Before the first of them, so that what an interrupted call has made is known, too.
    write_csv(root / MADE, ["made", "file"], made)
    for index, (target, _) in enumerate(made):
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            write_file(path, content(index))
        else:
            source = path_of(index)
            assert source is not None
            try:
                path.symlink_to(source.resolve())
            except OSError as error:
                rule = f"link: {path.parent} must allow links"
                raise UsageError(f"{rule} ({error.strerror}); --copy makes copies") from error
    return len(made)


def delete_placed(out: Path) -> None:
    """Deletes the links and copies that an earlier call has made, and folders left empty."""
    folder = out / PLACED
    listed = folder / MADE
    if not listed.is_file():
        return
    for line in read_csv(listed):
        path = folder / line["made"]
        if path.parent.parent == folder and ".." not in path.parts:
            path.unlink(missing_ok=True)
    listed.unlink()
    for path in [*folder.iterdir(), folder]:
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()


def folder_name(group: int, names: Sequence[str]) -> str:
    """The folder of a group: "group-02", with its name if it has one; "fits-no-group" for -1."""
    if group < 0:
        return "fits-no-group"
    name = safe(names[group]) if names[group] else ""
    return f"group-{group:02d}" + (f" {name}" if name else "")


def safe(name: str) -> str:
    """A file's name that every system takes, Windows too; a short ending of a long one is kept."""
    name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]', "_", name).strip().rstrip(". ")
    if _RESERVED.fullmatch(name.partition(".")[0]):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > _LONGEST_ENDING:
        stem = name
        dot = ""
        ending = ""
    # Cut by bytes, of which file systems allow 255.
    stem = stem.encode()[:_LONGEST].decode(errors="ignore").rstrip(". ")
    return f"{stem or '_'}{dot}{ending}"


def _free(target: str, taken: set[str]) -> str:
    """The path, or one with a number behind its stem if another file has it."""
    stem, dot, ending = target.rpartition(".")
    if not dot or "/" in ending:
        stem = target
        dot = ""
        ending = ""
    number = 1
    while target.casefold() in taken:
        number += 1
        target = f"{stem} ({number}){dot}{ending}"
    taken.add(target.casefold())
    return target
