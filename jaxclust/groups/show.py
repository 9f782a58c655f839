"""What ``group`` writes for people: corrections applied, names given, the table, page and map."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxclust.data.listing import shown as plain
from jaxclust.errors import UsageError
from jaxclust.groups import files as written
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
from jaxclust.runs.group_edits import read_edits
from jaxclust.runs.progress import Bars

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
      edits: files of corrections, in the order in which they were made.
      levels: whether there are coarser and finer groups, too.
      outliers: whether pictures that fit no group are set apart.
    """

    known: Sequence[str | None] | None
    edits: Sequence[Path]
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
      UsageError: a file of corrections cannot be applied; or there are too few pictures for levels.
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
    for path in view.edits:
        before = groups
        groups, names = read_edits(path, pictures.files, groups, names)
        moved = groups != before
        # A person has decided about these.
        partition = partition._replace(certain=partition.certain | moved)
    if view.edits:
        distance = distance_to_centers(pictures.vectors, groups, len(names), partition.distance)
        partition = partition._replace(distance=distance)
    partition = partition._replace(groups=groups.astype(np.int32))
    typical = np.zeros(len(groups), np.int64)
    for own in most_typical_first(groups, partition.distance, len(names)):
        typical[own] = np.arange(1, len(own) + 1)
    return Shown(partition, tuple(names), typical, found)


def write_page(
    out: Path, pictures: Pictures, shown: Shown, about: Sequence[str], bars: Bars
) -> None:
    """Writes the gallery, ``groups.html``."""
    partition = shown.partition
    targets = [_target(pictures.path(place)) for place in range(len(pictures.files))]
    gallery = Gallery(
        title=pictures.title,
        names=pictures.files,
        targets=None if None in targets else [target or "" for target in targets],
        groups=partition.groups,
        sure=partition.sure,
        order=most_typical_first(partition.groups, partition.distance, len(shown.names)),
        neighbors=most_similar(pictures.vectors),
        group_names=shown.names,
        levels=shown.levels or None,
        about=about,
    )
    write_gallery(
        out / written.PAGE, gallery, pictures.thumbnail, partial(bars.count, "thumbnails")
    )


def _target(path: Path | None) -> str | None:
    return None if path is None else path.resolve().as_uri()


def write_map(path: Path, pictures: Pictures, shown: Shown) -> tuple[str, ...]:
    """Writes a .parquet table for interactive maps, with a row for each picture.

    Its columns are ``path``; ``x`` and ``y``, by t-SNE; ``cluster``, the group, -1 for
    none; ``name`` of the group; ``votes``, the share of the seeds' votes.

    Returns:
      Sentences: where the file is, and what ``x`` and ``y`` are otherwise.

    Raises:
      UsageError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        rule = "export: needs pyarrow"
        raise UsageError(f"{rule}: pip install 'jaxclust[photos]'") from None
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
    try:
        written.replace_file(path, lambda beside: parquet.write_table(table, beside))
    except OSError as error:
        raise UsageError(f"export: {path} must be writable ({error.strerror})") from error
    return tuple(notes)
