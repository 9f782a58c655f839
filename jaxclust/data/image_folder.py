"""A folder of image files as one array, by these rules:

- Every file is decoded to 8 bits: turned as its EXIF orientation says; 16-bit grey divided by 257 and rounded; alpha
  dropped; palettes, CMYK and all other colour turned to RGB; of several frames the first.
- The set is grey if every file is stored as grey, RGB otherwise.
- If all images have one size of at most 128 pixels a side, it stays. Otherwise each is scaled with antialiasing until
  it just covers 64 x 64, and cropped around its centre. A size that is asked for is reached in the same way.
- Files without an image's ending, and whatever begins with a dot, are passed over.
"""

import contextlib
import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxclust.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
LARGEST_KEPT = 128
"""Pixels a side up to which images of one size keep it."""
DEFAULT_SIZE = (64, 64)
LARGEST_ASKED = 1024
NAMED = 10
"""Unreadable files that an error names."""
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def read(
    folder: Path, size: tuple[int, int] | None = None, channels: int | None = None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """All images of a folder, in sorted order.

    Images in sub-folders are labelled by the first folder on their way, wherever they lie below it; sub-folders without
    images are no class. Images that lie in the folder itself have no labels. Links to folders are followed at
    the first level alone. One image at a time is held in full.

    Args:
      folder: what to read.
      size: (height, width) wanted; None for the rule above.
      channels: 1 or 3 wanted; None for the rule above.

    Returns:
      Images, uint8 (n, h, w, c); classes, int32 (n,), numbered in the order of their names, or None; the files'
      names relative to the folder, with forward slashes.

    Raises:
      ValueError: no images, images both in the folder and below it, files that cannot be read (the first ten by
        name), or a size or channels out of range.
      OSError: a folder cannot be listed.
    """
    found = survey(folder, size, channels)
    images, unreadable = (
        np.empty((len(found.files), *found.shape), np.uint8),
        dict(found.unreadable),
    )
    for index in range(len(images)):
        if index not in unreadable:
            try:
                images[index] = found.read(index)
            except Unreadable as error:
                unreadable[index] = str(error)
    if unreadable:
        named = [
            f"{found.files[index]} ({unreadable[index]})" for index in sorted(unreadable)[:NAMED]
        ]
        more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
        raise UsageError(
            f"data: every image in {folder} must be readable, got {', '.join(named)}{more}"
        )
    return images, found.labels, found.files


def listing_digest(folder: Path, files: Iterable[str]) -> str:
    """SHA-256 of the files' names and sizes: what tells one folder from another without reading it."""
    digest, rule = hashlib.sha256(), ""
    for name in files:
        try:
            size = (folder / name).stat().st_size
        except OSError:
            size = -1  # Such as a link to nothing, which is unreadable like a damaged file.
        digest.update(f"{rule}{name} {size}".encode())
        rule = "\n"
    return digest.hexdigest()


class Unreadable(Exception):
    """Says why a file gives no image."""


class Survey(NamedTuple):
    """A folder's images before they are read.

    Attributes:
      folder: where they are.
      files: their names relative to it, in sorted order.
      labels: classes, int32 (n,), or None.
      shape: (h, w, c) that all are brought to.
      unreadable: places of files without a readable header, and why.
    """

    folder: Path
    files: tuple[str, ...]
    labels: np.ndarray | None
    shape: tuple[int, int, int]
    unreadable: dict[int, str]

    def read(self, index: int) -> np.ndarray:
        """One image, uint8 (h, w, c); raises Unreadable."""
        path = self.folder / self.files[index]
        try:
            return _pixels(path, *self.shape)
        except _unreadable() as error:
            raise Unreadable(_reason(path, error)) from error


def survey(
    folder: Path, size: tuple[int, int] | None = None, channels: int | None = None
) -> Survey:
    """What ``read`` would read, from the files' headers; arguments and errors as there, unreadable files aside."""
    if size is not None and not (
        len(size) == 2 and all(1 <= side <= LARGEST_ASKED for side in size)
    ):
        raise UsageError(
            f"size: must be height and width, each from 1 to {LARGEST_ASKED}, got {size}"
        )
    if channels not in (None, 1, 3):
        raise UsageError(f"channels: must be 1 or 3 for a folder of images, got {channels}")
    files, labels = _found(folder)
    unreadable: dict[int, str] = {}
    sizes, grey = set(), True
    for index, name in enumerate(files):
        path = folder / name
        try:
            one, mode = _header(path)
        except _unreadable() as error:
            unreadable[index] = _reason(path, error)
            continue
        sizes.add(one)
        grey = grey and mode in _GREY
    height, width = size or _size(sizes)
    return Survey(
        folder, tuple(files), labels, (height, width, channels or (1 if grey else 3)), unreadable
    )


def _found(folder: Path) -> tuple[list[str], np.ndarray | None]:
    """Names of image files in sorted order, and their classes if they lie in sub-folders."""
    with os.scandir(folder) as listed:
        entries = sorted(
            (entry.name, entry.is_dir()) for entry in listed if not entry.name.startswith(".")
        )
    flat = [name for name, is_folder in entries if _is_image(name) and not is_folder]
    below = [(name, _below(folder, name)) for name, is_folder in entries if is_folder]
    classes = [(name, found) for name, found in below if found]
    if flat and classes:
        raise UsageError(
            f"data: {folder} must hold either images or a sub-folder for each class, "
            f"got both {flat[0]} and {classes[0][0]}/"
        )
    if flat:
        return flat, None
    if not classes:
        raise UsageError(
            f"data: {folder} must hold images ({', '.join(ENDINGS)}) or sub-folders of them, got none"
        )
    labels = np.repeat(
        np.arange(len(classes), dtype=np.int32), [len(found) for _, found in classes]
    )
    return [name for _, found in classes for name in found], labels


def _below(folder: Path, first: str) -> list[str]:
    """Those in a sub-folder, by their names relative to the folder."""

    def refuse(error: OSError) -> None:
        raise error

    found = []
    for place, folders, names in os.walk(folder / first, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(place).relative_to(folder).as_posix()
        found += [f"{relative}/{name}" for name in names if _is_image(name)]
    # Folder by folder: a shorter name comes before those it begins.
    return sorted(found, key=lambda name: name.replace("/", "\0"))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(ENDINGS)


def _size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """(height, width) of the set, from those of its images."""
    if len(sizes) == 1:
        (only,) = sizes
        if max(only) <= LARGEST_KEPT:
            return only
    return DEFAULT_SIZE


def _header(path: Path) -> tuple[tuple[int, int], str]:
    """(height, width) as seen upright, and Pillow's mode, without decoding where the format allows it."""
    from PIL import ExifTags

    with _opened(path) as image:
        width, height = image.size
        mode = image.mode
        # Orientations 5 to 8 lie on their side; of a TIFF Pillow gives the upright size already.
        lying = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return ((width, height) if lying else (height, width)), mode


def _pixels(path: Path, height: int, width: int, channels: int) -> np.ndarray:
    """uint8 (height, width, channels) of one file."""
    from PIL import Image, ImageOps

    with _opened(path) as image:
        upright = _eight_bit(ImageOps.exif_transpose(image), image.format)
    upright = upright.convert("L" if channels == 1 else "RGB")
    fitted = ImageOps.fit(upright, (width, height), method=Image.Resampling.BILINEAR)
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)


def decoded(content: bytes, channels: int) -> np.ndarray:
    """The image of a file by its content, uint8 (h, w, channels), 1 or 3 of them; raises Unreadable."""
    try:
        with _opened(content) as image:
            converted = _eight_bit(image, image.format).convert("L" if channels == 1 else "RGB")
    except _unreadable() as error:
        raise Unreadable(_reason(content, error)) from error
    return np.asarray(converted).reshape(converted.height, converted.width, channels)


@contextlib.contextmanager
def _opened(source: Path | bytes) -> Iterator["Image"]:
    from PIL import Image

    # From an open file: by its path Pillow maps an uncompressed TIFF into memory, and then mixes up the pixels of one
    # that lies on its side (seen in 13.0).
    opened = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    with warnings.catch_warnings(), opened as file:
        # More pixels than Pillow deems safe are refused at its first limit already, where it only warns.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as image:
            yield image


def _eight_bit(image: "Image", file_format: str | None) -> "Image":
    """The image in mode L or RGB."""
    from PIL import Image

    # Pillow widens a PNM file's 16 bits to 32.
    if image.mode.startswith("I;16") or (image.mode == "I" and file_format == "PPM"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UsageError("32-bit pixels without a stated range")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("L" if image.mode in _GREY else "RGB")


def _unreadable() -> tuple[type[Exception], ...]:
    """What Pillow raises on files that are damaged, or no images."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    return (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        struct.error,
        zlib.error,
        *bombs,
    )


def _reason(source: Path | bytes, error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return "more pixels than is safe"
    if isinstance(error, UnidentifiedImageError):
        return (
            "no image"
            if (source if isinstance(source, bytes) else source.stat().st_size)
            else "empty"
        )
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
