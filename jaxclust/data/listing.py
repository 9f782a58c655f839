"""The picture files of a folder, an archive or a table, and their classes.

- A file is a picture if Pillow can read its format, by its ending. The others are counted by their
  ending. What begins with a dot is hidden and passed over. A table's files may have any ending.
- The folder that holds a picture is its class, by the folder's own name: train/cat and test/cat are
  one class. Pictures that lie in the root or beside sub-folders of pictures have no class. There
  are no labels at all where fewer than two classes come out.
- Links to folders are followed, and no folder is read twice.
"""

import os
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.data import archives, pictures, tables
from jaxclust.data.archives import Archive
from jaxclust.errors import UsageError

FOLDERS = "folders"
"""Says that folders are classes."""
NONE = "none"
"""Says that there are no labels."""
SPECIAL = "pipe, socket or device"
"""What is counted in the place of an ending."""


class Listing(NamedTuple):
    """Picture files that have not been read.

    Attributes:
      root: the folder that names are relative to: the folder itself, or that of the table; or the
        archive.
      files: names relative to the root with forward slashes, folder by folder, sorted. Absolute
        where a table names a file that is elsewhere.
      labels: classes, int32 (n,), -1 where none is known; or None.
      classes: the classes' names by their number; None without labels.
      left_out: how many files are no pictures, by their ending; "" for those without one.
      archive: what reads the files where they are in an archive.
    """

    root: Path
    files: tuple[str, ...]
    labels: np.ndarray | None
    classes: tuple[str, ...] | None
    left_out: Mapping[str, int]
    archive: Archive | None = None

    def content(self, index: int) -> bytes:
        """The bytes of a file.

        Raises:
          pictures.Unreadable: it cannot be read.
        """
        if self.archive is not None:
            return self.archive.read(self.files[index])
        return pictures.read_file(self.root / self.files[index])

    def path(self, index: int) -> Path | None:
        """Where a file is; None in an archive."""
        return None if self.archive is not None else self.root / self.files[index]

    def length(self, index: int) -> int:
        """Number of a file's bytes; -1 where there is no such file."""
        if self.archive is not None:
            return self.archive.lengths[self.files[index]]
        try:
            return os.stat(self.root / self.files[index]).st_size
        except OSError:
            return -1  # Such as a link to nothing.


def is_listed(source: Path) -> bool:
    """Whether ``listing`` takes a path: a folder, or the ending of an archive or a table."""
    return is_table(source) or archives.is_archive(source) or source.is_dir()


def is_table(source: Path) -> bool:
    """Whether a path is that of a table and not of a folder."""
    return source.suffix.lower() in tables.ENDINGS and not source.is_dir()


def listing(source: Path, labels: str | Path = FOLDERS) -> Listing:
    """Lists the pictures of a folder, an archive or a table without reading them.

    Args:
      source: a folder, or a .zip, .tar, .tar.gz or .tgz file, or a .csv or .parquet file. Such a
        table has a column ``file`` (or ``path`` or ``image``), whose paths are relative to the
        table's folder, and a column ``label`` if classes are known.
      labels: "folders" takes folders for classes, and of a table its column; "none" gives no
        labels. Otherwise the path of a table with the columns ``file`` and ``label``: a picture
        without a row, or with an empty label, has no label.

    Raises:
      UsageError: the source is none of these, is damaged or holds no pictures; a table names a file
        twice; or a table of labels names none of the pictures.
      OSError: a folder cannot be listed.
    """
    if not source.exists():
        raise UsageError(f"data: {source} must be a folder, an archive or a table, is not there")
    table = None
    archive = None
    root = source
    if source.is_dir():
        names = list(_walked(source))
    elif archives.is_archive(source):
        archive = archives.open_archive(source)
        names = list(archive.lengths)
    elif is_table(source):
        root = source.parent
        table = tables.read_table(source, "data")
        names = _named(root, table.files, source)
    else:
        known = ", ".join((*archives.ENDINGS, *tables.ENDINGS))
        raise UsageError(f"data: must be a folder or one of {known}, got {source}")
    files, left_out = (names, {}) if table is not None else _pictures(names)
    if source.is_dir():
        files = _regular(source, files, left_out)
    if not files:
        raise UsageError(_no_pictures(source, left_out))
    if table is not None and labels == FOLDERS:
        words = {} if table.labels is None else dict(zip(names, table.labels, strict=True))
    elif labels == FOLDERS:
        words = None
    elif labels == NONE:
        words = {}
    else:
        words = _words(root, Path(labels), set(files))
    files = tuple(sorted(files, key=_order))
    numbers, classes = _by_folder(files) if words is None else _by_word(files, words)
    return Listing(root, files, numbers, classes, left_out, archive)


def shown(name: str) -> str:
    r"""A file's name as it can be printed on one line.

    Bytes that are no UTF-8 become such as ``\xff``, and line breaks and other control characters
    such as ``\n``.
    """
    return "".join(_shown(character) for character in name)


def left_out_words(left_out: Mapping[str, int]) -> str:
    """Such as "3 .txt, 1 .xmp, 2 without ending": the largest number first."""
    parts = [
        f"{count} {shown(ending) or 'without ending'}"
        for ending, count in sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    ]
    return ", ".join(parts)


def heif_hint(left_out: Mapping[str, int]) -> str:
    """What to do where pictures were left out that an optional package reads; else nothing."""
    missing = [ending for ending in pictures.HEIF if ending in left_out]
    if not missing:
        return ""
    return f"; {' and '.join(missing)} need pip install 'jaxclust[photos]'"


def left_out_note(left_out: Mapping[str, int]) -> str:
    """The end of a line that says what was left out; "" where nothing was."""
    if not left_out:
        return ""
    return f"; left out: {left_out_words(left_out)}{heif_hint(left_out)}"


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # How Python keeps a byte that is no UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode()
    return character


def _order(name: str) -> str:
    # Folder by folder: a shorter name comes before those that begin with it.
    return name.replace("/", "\0")


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _pictures(names: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """The names of pictures, and the number of the others by ending."""
    known = pictures.endings()
    files = [name for name in names if _ending(name) in known]
    left_out = Counter(_ending(name) for name in names if _ending(name) not in known)
    return files, dict(left_out)


def _regular(root: Path, files: Sequence[str], left_out: dict[str, int]) -> list[str]:
    """The files without pipes, sockets and devices, which ``left_out`` counts.

    What is not there, such as the end of a broken link, stays: it is named when it is read.
    """
    regular = []
    for name in files:
        place = os.path.join(root, name)
        if os.path.exists(place) and not os.path.isfile(place):
            left_out[SPECIAL] = left_out.get(SPECIAL, 0) + 1
        else:
            regular.append(name)
    return regular


def _no_pictures(source: Path, left_out: Mapping[str, int]) -> str:
    rule = f"data: {shown(str(source))} must hold pictures such as .jpg, .png, .webp or .tif"
    return f"{rule}, got none{left_out_note(left_out)}"


def _walked(root: Path) -> Iterator[str]:
    """Names of all files that are not hidden, relative to the root."""
    top = os.path.realpath(root)
    seen: set[str] = set()
    # Real folders come first, so that a folder has its own name and not that of a link to it.
    folders = [""]
    links: deque[str] = deque()
    while folders or links:
        place = folders.pop() if folders else links.popleft()
        folder = os.path.join(root, place)
        real = os.path.realpath(folder)
        around = place and (top == real or top.startswith(os.path.join(real, "")))
        if real in seen or around:
            continue
        seen.add(real)
        with os.scandir(folder) as listed:
            entries = sorted(
                (entry.name, entry.is_symlink(), os.path.isdir(entry.path))
                for entry in listed
                if not entry.name.startswith(".")
            )
        for name, is_link, is_folder in entries:
            relative = f"{place}/{name}" if place else name
            if is_folder:
                (links if is_link else folders).append(relative)
            else:
                yield relative


def _named(root: Path, files: Sequence[str], source: Path) -> list[str]:
    """The files of a table by their names in a listing, in the table's order."""

    def exists(name: str) -> bool:
        return os.path.lexists(root / name)

    names = [_relative(root, file, exists) for file in files]
    if "" in names:
        raise UsageError(f"data: {source} must name a file in each row, got an empty one")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        rule = f"data: {source} must name each file once"
        raise UsageError(f"{rule}, got {shown(twice[0])} more than once")
    return names


def _relative(root: Path, file: str, exists: Callable[[str], bool]) -> str:
    """A path in a table by its name in a listing; "" for an empty one.

    Blanks around it belong to the name where ``exists`` says that there is such a file.
    """
    if not file.strip() or "\0" in file:
        return ""
    name = _behind(root, file)
    return name if file == file.strip() or exists(name) else _behind(root, file.strip())


def _behind(root: Path, file: str) -> str:
    """A path as seen from the root with forward slashes; whole where it lies elsewhere."""
    top = os.path.abspath(root)
    whole = os.path.normpath(os.path.join(top, file))
    inside = whole.startswith(os.path.join(top, "")) and whole != top
    return (os.path.relpath(whole, top) if inside else whole).replace(os.sep, "/")


def _words(root: Path, table: Path, files: set[str]) -> dict[str, str]:
    """The label of each picture that a table of labels knows."""
    rows = tables.read_table(table, "labels")
    if rows.labels is None:
        raise UsageError(f"labels: {table} must have a column {tables.LABEL_COLUMN}, has none")
    words: dict[str, str] = {}
    for file, label in zip(rows.files, rows.labels, strict=True):
        name = _relative(root, file, files.__contains__)
        if name not in files or not label:
            continue
        if words.setdefault(name, label) != label:
            rule = f"labels: {table} must give each file one label"
            raise UsageError(f"{rule}, got {words[name]} and {label} for {shown(name)}")
    if not words:
        rule = f"labels: {table} must name the pictures relative to {root}"
        example = shown(rows.files[0]) if rows.files else "no row"
        raise UsageError(f"{rule}, got none of them but such as {example}")
    return words


def _by_word(
    files: Sequence[str], words: Mapping[str, str]
) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Labels and classes by a word for each picture that has one."""
    distinct = {word for word in words.values() if word}
    if not distinct:
        return None, None
    whole_numbers = all(word.isascii() and word.isdecimal() for word in distinct)
    classes = sorted(distinct, key=int) if whole_numbers else sorted(distinct)
    number = {word: place for place, word in enumerate(classes)}
    found = (number.get(words.get(name, ""), -1) for name in files)
    return np.fromiter(found, np.int32, len(files)), tuple(classes)


def _by_folder(files: Sequence[str]) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Labels and classes by the folders that hold the pictures."""
    places = {os.path.dirname(name) for name in files}
    holders = {""}  # Folders with sub-folders of pictures, and the root.
    for place in places:
        above = os.path.dirname(place)
        while above not in holders:
            holders.add(above)
            above = os.path.dirname(above)
    classes = sorted({os.path.basename(place) for place in places - holders})
    if len(classes) < 2:
        return None, None
    number = {word: place for place, word in enumerate(classes)}
    of_folder = {
        place: -1 if place in holders else number[os.path.basename(place)] for place in places
    }
    found = (of_folder[os.path.dirname(name)] for name in files)
    return np.fromiter(found, np.int32, len(files)), tuple(classes)
