"""What ``group`` writes for people: corrections applied, names given, the table, page and map."""

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import numpy as np

from jaxclust.data.listing import shown as plain
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.groups import files as written
from jaxclust.groups.edits import Edits, apply_edits
from jaxclust.groups.files import Shown
from jaxclust.groups.partition import (
    Partition,
    distance_to_centers,
    levels,
    most_similar,
    most_typical_first,
    names_by_labels,
)
from jaxclust.report.gallery import Gallery, write_gallery
from jaxclust.report.projection import in_two_dimensions
from jaxclust.runs.files import write_file

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PLACED = 10_000
"""Pictures up to which t-SNE gives the places of a map; it would take minutes for more."""


class Pictures(NamedTuple):
    """The pictures that could be read, and how to get at them.

    Attributes:
      title: the name of their folder.
      files: n names, relative to the folder.
      vectors: float32 (n, p).
      content: gives the bytes of the picture at a place.
      path: gives its path on disk; None in an archive.
      thumbnail: gives it upright in RGB, at 320 pixels a side or somewhat more.
    """

    title: str
    files: tuple[str, ...]
    vectors: np.ndarray
    content: Callable[[int], bytes]
    path: Callable[[int], Path | None]
    thumbnail: Callable[[int], "Image"]


class View(NamedTuple):
    """How the groups are to be shown.

    Attributes:
      known: the kind of each of n pictures, None where it is not known; they name the groups.
        None for no names.
      edits: corrections, in the order in which they were made.
      levels: whether there are coarser and finer groups, too.
      outliers: whether pictures that fit no group are set apart.
    """

    known: Sequence[str | None] | None
    edits: Sequence[Edits]
    levels: bool
    outliers: bool


def make_shown(pictures: Pictures, partition: Partition, k: int, view: View) -> Shown:
    """The groups as people see them.

    Args:
      pictures: n of them.
      partition: their groups, none of which is -1.
      k: number of groups.
      view: how they are to be shown.

    Raises:
      UsageError: corrections cannot be applied; or there are too few pictures for levels.
    """
    found: dict[str, np.ndarray] = {}
    if view.levels:
        if len(pictures.files) < 3 * k:
            rule = "levels: must be of three pictures or more for each group"
            raise UsageError(f"{rule}, got {len(pictures.files)} for {k} groups")
        found = levels(pictures.vectors, partition.groups)
    groups = partition.groups
    if view.outliers:
        groups = np.where(partition.certain, groups, -1).astype(np.int32)
    names = [""] * k if view.known is None else names_by_labels(groups, view.known, k)
    for edits in view.edits:
        groups, names = apply_edits(edits, pictures.files, groups, names)
        files = edits.moved_files
        moved = np.array([name in files for name in pictures.files], bool)
        # A person has decided about these.
        certain = np.where(moved, groups >= 0, partition.certain)
        sure = np.where(moved, groups >= 0, partition.sure)
        partition = partition._replace(certain=certain, sure=sure.astype(np.float64))
    if view.edits:
        distance = distance_to_centers(pictures.vectors, groups, len(names), partition.distance)
        partition = partition._replace(distance=distance)
    partition = partition._replace(groups=groups.astype(np.int32))
    typical = np.zeros(len(groups), np.int64)
    for own in most_typical_first(groups, partition.distance, len(names)):
        typical[own] = np.arange(1, len(own) + 1)
    return Shown(partition, tuple(names), typical, found)


def write_page(
    out: Path,
    pictures: Pictures,
    shown: Shown,
    about: Sequence[str],
    progress: Callable[[int, int], None],
) -> None:
    """Writes the gallery, ``groups.html``.

    Args:
      out: the folder of results.
      pictures: n of them.
      shown: their groups.
      about: sentences for the head of the page.
      progress: is called with the number of thumbnails that are made, and n.
    """
    partition = shown.partition
    targets = [_target(out, pictures.path(place)) for place in range(len(pictures.files))]
    gallery = Gallery(
        title=pictures.title,
        names=pictures.files,
        targets=targets if any(targets) else None,
        groups=partition.groups,
        sure=partition.sure,
        order=most_typical_first(partition.groups, partition.distance, len(shown.names)),
        neighbors=most_similar(pictures.vectors),
        group_names=shown.names,
        levels=shown.levels or None,
        about=about,
    )
    write_gallery(out / written.PAGE, gallery, pictures.thumbnail, progress)


def _target(out: Path, path: Path | None) -> str:
    """The address of a picture, seen from the page's folder; "" in an archive."""
    if path is None:
        return ""
    relative = os.path.relpath(path.resolve(), out.resolve())
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def write_map(path: Path, pictures: Pictures, shown: Shown) -> tuple[str, ...]:
    """Writes a .parquet table for interactive maps, with a row for each picture.

    Its columns are ``path``; ``x`` and ``y``, by t-SNE; ``cluster``, the group, -1 for
    none; ``name`` of the group; ``votes``, the share of the seeds' votes.

    Returns:
      Sentences: where the file is, and what ``x`` and ``y`` are otherwise.

    Raises:
      UsageError: the file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    n = len(pictures.files)
    notes = [f"map: {path}"]
    if n <= MOST_PLACED:
        places = in_two_dimensions(pictures.vectors)
    else:
        places = pictures.vectors[:, :2]
        reason = f"since there are more than {MOST_PLACED:,} pictures"
        notes.append(f"x and y are the first two principal components, {reason}.")
    groups = shown.partition.groups
    names = [shown.names[group] if group >= 0 else "" for group in groups.tolist()]
    paths = [pictures.path(place) or pictures.files[place] for place in range(n)]
    table = pyarrow.table(
        {
            "path": [plain(str(name)) for name in paths],
            "x": places[:, 0].astype(np.float32),
            "y": np.ascontiguousarray(places[:, 1]).astype(np.float32),
            "cluster": groups.astype(np.int32),
            "name": names,
            "votes": shown.partition.sure.astype(np.float32),
        }
    )
    content = io.BytesIO()
    parquet.write_table(table, content)
    try:
        write_file(path, content.getvalue())
    except OSError as error:
        raise UsageError(f"export: {path} must be writable ({error.strerror})") from error
    return tuple(notes)


def count_of(shown: Shown) -> str:
    """How many pictures are in how many groups."""
    groups = shown.partition.groups[shown.partition.groups >= 0]
    apart = len(shown.partition.groups) - len(groups)
    others = f"; {apart:,} fit no group" if apart else ""
    return f"{len(groups):,} pictures in {len(np.unique(groups)):,} groups{others}."


def notes_of(partition: Partition, labels: np.ndarray | None, unreadable: int) -> tuple[str, ...]:
    """Sentences on the pictures and the groups, for summary and page.

    Args:
      partition: of n pictures.
      labels: known kinds of the first m of them, int (m,), -1 where one is not known; or None.
      unreadable: number of files that gave no picture.
    """
    notes = []
    doubtful = int((~partition.certain & (partition.groups >= 0)).sum())
    if doubtful:
        whose = "its" if doubtful == 1 else "their"
        rule = f"between two groups, or far from the center of {whose} own"
        notes.append(f"{_counted(doubtful, 'picture')} doubtful: {rule}.")
    if unreadable:
        notes.append(f"{_counted(unreadable, 'file')} not readable: {written.UNREADABLE}.")
    if labels is not None:
        groups = partition.groups[: len(labels)]
        scores, _ = metrics.known_scores(labels, groups)
        has = np.flatnonzero((labels >= 0) & (groups >= 0))
        if scores:
            kinds = len(np.unique(labels[has]))
            measured = f"ACC {scores['acc']:.3f}, NMI {scores['nmi']:.3f}, ARI {scores['ari']:.3f}"
            notes.append(f"Compared with {kinds} known kinds of {len(has):,} pictures: {measured}.")
    return tuple(notes)


def _counted(count: int, word: str) -> str:
    """Such as "1 picture is" or "2 pictures are"."""
    return f"1 {word} is" if count == 1 else f"{count:,} {word}s are"
