"""What tells pictures that are streamed from others of the same names and sizes."""

import hashlib
import os
import zipfile
from pathlib import Path

from jaxclust.data.in_threads import Done, each_shown
from jaxclust.data.listing import Listing
from jaxclust.data.pictures import Unreadable
from jaxclust.errors import check_regular

SAMPLE = 4096
"""Bytes that are read at a file's begin, in its middle and at its end."""


def content_digest(listed: Listing, progress: Done | bool = False) -> str:
    """SHA-256 of parts of all files, which stays cheap beside a look at each file's header.

    Of a file in a folder or a table these are up to three parts of SAMPLE bytes. A .zip file has a
    checksum of each of its members, and a tar archive is read as a whole. Times of change do not
    count, so that a copy is the same.

    Args:
      listed: the files.
      progress: shows how far it is, as of ``in_threads.each_shown``.
    """
    digest = hashlib.sha256()
    if listed.archive is not None:
        _add_archive(digest, listed.root)
        return digest.hexdigest()

    def sample(index: int) -> bytes:
        return _sample(listed.root / listed.files[index])

    places = range(len(listed.files))
    for result in each_shown(sample, places, "contents of pictures", progress):
        digest.update(b"?" if isinstance(result, Unreadable) else result)
    return digest.hexdigest()


def _sample(path: Path) -> bytes:
    """A digest of some of a file's bytes."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= 3 * SAMPLE:
                return hashlib.sha256(file.read(3 * SAMPLE)).digest()
            parts = []
            for place in (0, (size - SAMPLE) // 2, size - SAMPLE):
                file.seek(place)
                parts.append(file.read(SAMPLE))
            return hashlib.sha256(b"".join(parts)).digest()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error


def _add_archive(digest, path: Path) -> None:
    """Adds an archive's content to a digest."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                digest.update(member.CRC.to_bytes(4, "little"))
        return
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
