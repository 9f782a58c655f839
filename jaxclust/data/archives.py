"""Files in a .zip or .tar archive, which are read without being extracted."""

import contextlib
import gzip
import os
import tarfile
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from jaxclust.data.pictures import Unreadable, check_length
from jaxclust.errors import UsageError, reading, reason

GZIPPED = (".tar.gz", ".tgz")
ENDINGS = (".zip", ".tar", *GZIPPED)
LARGEST_RATIO = 100
"""How many times its own size an archive may unpack to, above ``ALWAYS_SAFE``."""
ALWAYS_SAFE = 2**30
"""Bytes to which any archive may unpack."""
BLOCK = 2**20
"""Bytes that are unpacked at once."""


class Archive(NamedTuple):
    """The files in an archive.

    Attributes:
      lengths: each file's length in bytes by its name. A name is relative, with forward slashes,
        and never leads out of the archive. -1 stands for a link.
      read: ``read(name)`` gives a file's content, or raises Unreadable. Threads may share it.
    """

    lengths: Mapping[str, int]
    read: Callable[[str], bytes]


def is_archive(path: Path) -> bool:
    """Whether a path has an archive's ending."""
    return path.name.lower().endswith(ENDINGS)


def stem(path: Path) -> str:
    """An archive's name without its ending."""
    lowered = path.name.lower()
    ending = max((end for end in ENDINGS if lowered.endswith(end)), key=len, default="")
    return path.name[: len(path.name) - len(ending)]


def open_archive(path: Path) -> Archive:
    """The files in an archive, hidden ones left out.

    A .tar.gz is unpacked as a whole into a nameless file of the system's folder for such.

    Args:
      path: a .zip, .tar, .tar.gz or .tgz file.

    Raises:
      UsageError: the archive is damaged, unpacks to more than is safe, or has a name that leads out
        of it.
    """
    with reading(f"data: {path} must be a readable archive", path):
        return _zip(path) if path.name.lower().endswith(".zip") else _tar(path)


def _zip(path: Path) -> Archive:
    archive = zipfile.ZipFile(path)
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        # Some programs of Windows write backslashes.
        name = _safe_name(member.filename.replace("\\", "/"), path)
        if not member.is_dir() and name is not None:
            members[name] = member
    lengths = {name: member.file_size for name, member in members.items()}
    _check_total(sum(lengths.values()), path)

    def read(name: str) -> bytes:
        check_length(lengths[name])
        with _refusals():
            return archive.read(members[name])

    return Archive(lengths, read)


def _tar(path: Path) -> Archive:
    descriptor = _unpacked(path) if path.name.lower().endswith(GZIPPED) else _descriptor(path)
    places: dict[str, tuple[int, int]] = {}
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    name = _safe_name(member.name, path)
                    if name is not None and not member.isdir():
                        places[name] = _place(member, places)
                # Python ends in silence where the next header is damaged or missing.
                end = os.pread(descriptor, tarfile.BLOCKSIZE, archive.offset)
                if end != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("a member's header is damaged or missing")
    except BaseException:
        os.close(descriptor)
        raise
    lengths = {name: length for name, (_, length) in places.items()}

    def read(name: str) -> bytes:
        first, length = places[name]
        if length < 0:
            raise Unreadable("a link in an archive")
        check_length(length)
        with _refusals():
            content = os.pread(descriptor, length, first)
        if len(content) < length:
            raise Unreadable("the archive ends before the file does")
        return content

    weakref.finalize(read, os.close, descriptor)
    return Archive(lengths, read)


def _place(member: tarfile.TarInfo, places: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Offset and length of a member; a second name of an earlier member has its place."""
    if member.islnk():
        parts = [part for part in member.linkname.split("/") if part not in ("", ".")]
        return places.get("/".join(parts), (0, -1))
    if not member.isreg() or member.issparse():
        return 0, -1
    return member.offset_data, member.size


def _descriptor(path: Path) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def _unpacked(path: Path) -> int:
    """The descriptor of a nameless file with what a gzipped file unpacks to."""
    limit = max(ALWAYS_SAFE, LARGEST_RATIO * path.stat().st_size)
    with gzip.open(path) as packed, tempfile.TemporaryFile() as unpacked:
        _copy(packed, unpacked, limit, path)
        unpacked.flush()
        return os.dup(unpacked.fileno())


def _copy(packed: gzip.GzipFile, unpacked: BinaryIO, limit: int, path: Path) -> None:
    total = 0
    while block := packed.read(BLOCK):
        total += len(block)
        if total > limit:
            _check_total(total, path)
        unpacked.write(block)


def _check_total(total: int, path: Path) -> None:
    """Refuses an archive that unpacks to far more than it is."""
    limit = max(ALWAYS_SAFE, LARGEST_RATIO * path.stat().st_size)
    if total > limit:
        rule = f"data: {path} must not unpack to more than {LARGEST_RATIO} times its size"
        raise UsageError(f"{rule}, got at least {total:,} bytes")


def _safe_name(name: str, path: Path) -> str | None:
    """A member's name relative to the archive; None for a hidden file."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageError(f"data: names in {path} must not lead out of it, got {name!r}")
    if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    return "/".join(parts)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Damaged archives make Python raise nearly anything.
        raise Unreadable(reason(error)) from error
