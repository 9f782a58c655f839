"""The pictures of a listing as one array.

- The set is gray if every file is stored as gray, and RGB otherwise.
- If at least 90 % of the pictures have one size of at most 128 pixels a side, that is the size of
  the set. Otherwise it is 64 x 64. A size that is asked for comes first.
- Files that cannot be read are left out and named with the reason.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.data import archives, known_labels, pictures
from jaxclust.data import listing as listings
from jaxclust.data.array_images import Layout
from jaxclust.data.in_threads import Done, each_shown
from jaxclust.data.listing import Listing, shown
from jaxclust.data.pictures import Resize, Unreadable
from jaxclust.errors import UsageError

LARGEST_KEPT = 128
"""Pixels a side up to which pictures of one size keep it."""
MOST = 0.9
"""Share of the pictures that decides on the size of all."""
DEFAULT_SIZE = (64, 64)
LARGEST_ASKED = 1024
FEW_VALUES = 32
"""Pictures of 16 bits whose values are all below this in 8 bits have fewer bits (our choice)."""
NAMED = 10
"""Number of unreadable files that a message names."""
CLASSES_NAMED = 5
"""Number of classes that a summary names."""


class Reading(NamedTuple):
    """How pictures are read.

    Attributes:
      size: (height, width) of the result; None for the rule above.
      channels: 1 or 3; None for the rule above.
      resize: how a picture gets to the size, see ``pictures.decode``.
      labels: where classes come from, see ``listing.listing``.
      strict: refuse a set with files that cannot be read.
      progress: show a bar on stderr for many pictures where it is a terminal.
      layout: of arrays, where their channels are, see ``array_images.channels_last``.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    resize: Resize = "crop"
    labels: str | Path = listings.FOLDERS
    strict: bool = False
    progress: bool = True
    layout: Layout | None = None


USUAL = Reading()
"""How pictures are read of which nothing else is said."""


class Survey(NamedTuple):
    """Pictures before they are read.

    Attributes:
      source: the folder, archive or table.
      listed: the files.
      shape: (h, w, c) that all are brought to.
      reading: how they are read.
      unreadable: places of files without a readable header, and why.
      sizes: the smallest and the largest (height, width), by area; None where no file is readable.
      notes: sentences about the files that a reader of results has to know.
      deep: how many files have 16 bits for a pixel.
    """

    source: Path
    listed: Listing
    shape: tuple[int, int, int]
    reading: Reading
    unreadable: dict[int, str]
    sizes: tuple[tuple[int, int], tuple[int, int]] | None
    notes: tuple[str, ...] = ()
    deep: int = 0

    @property
    def name(self) -> str:
        """The name of the folder, archive or table, without an ending."""
        whole = self.source.resolve()
        if whole.is_dir():
            return shown(whole.name)
        return shown(archives.stem(whole) if archives.is_archive(whole) else whole.stem)

    @property
    def summary(self) -> str:
        """What is there and what was left out, in one line, as far as headers tell."""
        return _summary(self, self.listed.labels, self.unreadable)

    def read(self, index: int) -> np.ndarray:
        """One picture, uint8 (h, w, c).

        Raises:
          Unreadable: the file gives no picture.
        """
        return pictures.decode(self.listed.content(index), self.shape, self.reading.resize)


class PictureSet(NamedTuple):
    """Pictures that have been read.

    Attributes:
      name: the name of the folder, archive or table.
      images: uint8 (n, h, w, c).
      labels: classes, int32 (n,) in 0..classes-1, -1 where one is not known; or None.
      files: the pictures' names relative to the listing's root.
      class_names: the classes' names by their number; None without labels.
      unreadable: the names of files that could not be read, and why.
      digest: ``listing_digest`` of all files that are listed.
      summary: one line that says what was read and what was left out.
      notes: sentences about the pictures that a reader of results has to know.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None
    files: tuple[str, ...]
    class_names: tuple[str, ...] | None
    unreadable: Mapping[str, str]
    digest: str
    summary: str
    notes: tuple[str, ...] = ()


def survey(source: Path, reading: Reading = USUAL) -> Survey:
    """What ``read`` would read, from the files' headers alone.

    Args:
      source: a folder, an archive or a table, see ``listing.listing``.
      reading: how pictures are read.

    Raises:
      UsageError: as from ``listing.listing``; the reading asks for what cannot be; more than half
        of the files cannot be read, or any and the reading is strict.
      OSError: a folder cannot be listed.
    """
    surveyed = _surveyed(source, reading)
    check_readable(source, surveyed.listed, surveyed.unreadable, reading.strict)
    return surveyed


def _surveyed(source: Path, reading: Reading, done: Done | None = None) -> Survey:
    """``survey``, whatever cannot be read."""
    _check(reading)
    listed = listings.listing(source, reading.labels)
    unreadable: dict[int, str] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()

    def header(index: int) -> tuple[tuple[int, int], str]:
        return pictures.header(listed.path(index) or listed.content(index))

    places = range(len(listed.files))
    found = each_shown(header, places, "sizes of pictures", done or reading.progress)
    for index, result in enumerate(found):
        if isinstance(result, Unreadable):
            unreadable[index] = str(result)
            continue
        sizes[result[0]] += 1
        modes[result[1]] += 1
    gray = all(map(pictures.is_gray, modes))
    height, width = reading.size or _size(sizes)
    shape = (height, width, reading.channels or (1 if gray else 3))
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    extremes = (by_area[0], by_area[-1]) if by_area else None
    notes = () if reading.size is not None else _odd_sizes(sizes, (height, width))
    deep = sum(count for mode, count in modes.items() if pictures.is_deep(mode))
    return Survey(source, listed, shape, reading, unreadable, extremes, notes, deep)


def read(
    source: Path, reading: Reading = USUAL, least: int = 1, done: Done | None = None
) -> PictureSet:
    """All pictures of a folder, an archive or a table, in the order of their names.

    Several threads read. The result does not depend on their number.

    Args:
      source: see ``listing.listing``.
      reading: how pictures are read.
      least: how many readable pictures there must be.
      done: as for ``each``, for the headers first and then for the pictures; None for a bar where
        the reading has one.

    Raises:
      UsageError: as from ``survey``, or there are too few pictures.
      OSError: a folder cannot be listed.
    """
    surveyed = _surveyed(source, reading, done)
    # A strict reading names all files at the end, and not only those whose headers are damaged.
    check_readable(source, surveyed.listed, surveyed.unreadable, strict=False)
    listed = surveyed.listed
    unreadable = dict(surveyed.unreadable)
    left = [index for index in range(len(listed.files)) if index not in unreadable]
    images = np.empty((len(left), *surveyed.shape), np.uint8)
    kept: list[int] = []
    results = each_shown(surveyed.read, left, "reading pictures", done or reading.progress)
    for index, result in zip(left, results, strict=True):
        if isinstance(result, Unreadable):
            unreadable[index] = str(result)
        else:
            images[len(kept)] = result
            kept.append(index)
    check_readable(source, listed, unreadable, reading.strict)
    if len(kept) < least:
        lost = f"; not readable: {_named(listed, unreadable)}" if unreadable else ""
        raise UsageError(f"images: must be at least {least}, got {len(kept)}{lost}")
    known = None if listed.labels is None else listed.labels[kept]
    labels, class_names = numbered_labels(known, listed.classes)
    return PictureSet(
        name=surveyed.name,
        images=images[: len(kept)],
        labels=labels,
        files=tuple(listed.files[index] for index in kept),
        class_names=class_names,
        unreadable={listed.files[index]: unreadable[index] for index in sorted(unreadable)},
        digest=listing_digest(listed),
        summary=_summary(surveyed, known, unreadable),
        notes=(*surveyed.notes, *_few_values(surveyed, images[: len(kept)])),
    )


def listing_digest(listed: Listing) -> str:
    """SHA-256 of the files' names and lengths, which tells sets apart without reading them."""
    digest = hashlib.sha256()
    separator = ""
    for index, name in enumerate(listed.files):
        line = f"{separator}{name} {listed.length(index)}"
        digest.update(line.encode(errors="surrogateescape"))
        separator = "\n"
    return digest.hexdigest()


def numbered_labels(
    labels: np.ndarray | None, classes: tuple[str, ...] | None
) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Labels numbered from 0 without a gap, and the classes' names.

    Args:
      labels: int32 (n,), -1 where none is known; or None.
      classes: the names of all numbers in ``labels``; or None.

    Returns:
      Labels, int32 (n,), -1 where none is known. Both None where fewer than two classes are left.
    """
    if labels is None or classes is None:
        return None, None
    numbers, present = known_labels.numbered(labels)
    if len(present) < 2:
        return None, None
    return numbers, tuple(classes[number] for number in present)


def named(unreadable: Mapping[str, str]) -> str:
    """The first ten files that could not be read, with the reasons, and how many more there are."""
    words = [f"{shown(name)} ({reason})" for name, reason in list(unreadable.items())[:NAMED]]
    more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
    return f"{', '.join(words)}{more}"


def _check(reading: Reading) -> None:
    """Refuses a size, a number of channels or a way to resize that cannot be."""
    size = reading.size
    if size is not None and not (
        len(size) == 2 and all(1 <= side <= LARGEST_ASKED for side in size)
    ):
        rule = f"size: must be height and width, each from 1 to {LARGEST_ASKED}"
        raise UsageError(f"{rule}, got {size}")
    if reading.channels not in (None, 1, 3):
        rule = "channels: must be 1 or 3 for a folder of images"
        raise UsageError(f"{rule}, got {reading.channels}")
    pictures.check_resize(reading.resize)


def check_readable(
    source: Path, listed: Listing, unreadable: Mapping[int, str], strict: bool
) -> None:
    """Refuses pictures of which more cannot be read than damage explains.

    Args:
      source: where they are.
      listed: all of them.
      unreadable: places of files that cannot be read, and why.
      strict: whether each must be readable; half of them otherwise.

    Raises:
      UsageError: too many cannot be read.
    """
    count = len(listed.files)
    words = _named(listed, unreadable)
    place = shown(str(source))
    if unreadable and strict:
        rule = f"data: every picture in {place} must be readable"
        raise UsageError(f"{rule}, got {words}; unless strict, such files are left out")
    if 2 * len(unreadable) > count:
        rule = f"data: half of the pictures in {place} must be readable"
        raise UsageError(f"{rule}, got {len(unreadable)} of {count} that are not: {words}")


def _named(listed: Listing, unreadable: Mapping[int, str]) -> str:
    return named({listed.files[index]: unreadable[index] for index in sorted(unreadable)})


def _size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """(height, width) of the set, from those of its pictures."""
    if sizes:
        ((usual, count),) = sizes.most_common(1)
        if count >= MOST * sizes.total() and max(usual) <= LARGEST_KEPT:
            return usual
    return DEFAULT_SIZE


def _odd_sizes(sizes: Counter[tuple[int, int]], taken: tuple[int, int]) -> tuple[str, ...]:
    """A note where few pictures of other sizes change the size of all others."""
    if len(sizes) < 2:
        return ()
    ((usual, count),) = sizes.most_common(1)
    others = sizes.total() - count
    if usual == taken or max(usual) > LARGEST_KEPT or count <= others:
        return ()
    words = f"{count:,} of {sizes.total():,} pictures have {_times(usual)} pixels"
    scaled = f"since {others:,} have others, all are scaled to {_times(taken)}"
    return (f"{words}; {scaled}; --size {usual[0]},{usual[1]} keeps these as they are",)


def _few_values(surveyed: Survey, images: np.ndarray) -> tuple[str, ...]:
    """A note where 16 bits hold far smaller numbers, such as those of a camera of 12 bits."""
    largest = int(images.max()) if images.size else 0
    if 2 * surveyed.deep <= len(images) or largest >= FEW_VALUES:
        return ()
    words = f"{surveyed.deep:,} pictures have 16 bits and are nearly black"
    left = f"in 8 bits {len(np.unique(images))} values are left, 0 to {largest} of 255"
    return (f"{words}: {left}; multiply them so that they use all 16 bits (12 bits: by 16)",)


def _summary(surveyed: Survey, labels: np.ndarray | None, unreadable: Mapping[int, str]) -> str:
    """What was read and what was left out, in one line.

    Args:
      surveyed: the set.
      labels: those of the pictures that could be read, -1 where one is missing; or None.
      unreadable: places of the files that could not be read, and why.
    """
    listed = surveyed.listed
    count = len(listed.files) - len(unreadable)
    sizes = " to ".join(_times(size) for size in dict.fromkeys(surveyed.sizes or ()))
    classes = _classes(surveyed, labels)
    resize = surveyed.reading.resize
    line = f"{count:,} images of {sizes}, {classes} -> {_times(surveyed.shape)} ({resize})"
    line += listings.left_out_note(listed.left_out)
    if unreadable:
        line += f"; not readable: {len(unreadable):,} of {len(listed.files):,}"
    return line


def _classes(surveyed: Survey, labels: np.ndarray | None) -> str:
    """Where the labels come from, or why there are none."""
    asked = surveyed.reading.labels
    from_table = listings.is_table(surveyed.source) if asked == listings.FOLDERS else True
    names = surveyed.listed.classes
    if labels is None or names is None:
        return "no labels"
    _, present = known_labels.numbered(labels)
    if len(present) < 2:
        return "no labels (all of one class)" if len(present) else "no labels"
    first = ", ".join(shown(names[number]) for number in present[:CLASSES_NAMED])
    more = ", ..." if len(present) > CLASSES_NAMED else ""
    kind = "classes" if from_table else "folders as classes"
    line = f"{len(present):,} {kind} ({first}{more})"
    missing = int((labels == known_labels.NOT_KNOWN).sum())
    if missing:
        why = "" if from_table else " beside sub-folders"
        line += f", {missing:,} of {len(labels):,} without a class{why}"
    return line


def _times(sides: tuple[int, ...]) -> str:
    return " x ".join(map(str, sides))
