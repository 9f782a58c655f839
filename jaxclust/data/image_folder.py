"""A folder of image files as one array.

- Every file is decoded to 8 bits and turned as its EXIF orientation says. 16-bit gray values are
  divided by 257 and rounded, alpha is dropped, and palettes, CMYK and all other color become RGB.
  The first of several frames counts.
- The set is gray if every file is stored as gray, and RGB otherwise.
- If all images have one size of at most 128 pixels a side, it stays. Otherwise each is scaled with
  antialiasing until it just covers 64 x 64, and is cropped around its center. A size that is asked
  for is reached in the same way.
- Files without an image's ending are passed over, and so is whatever begins with a dot.
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
"""Number of unreadable files that an error names."""
_GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's modes of gray images."""


def read(
    folder: Path, size: tuple[int, int] | None = None, channels: int | None = None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """All images of a folder, in sorted order.

    Images in sub-folders are labeled by the first folder on their way, wherever they lie below it;
    sub-folders without images are no class. Images that lie in the folder itself have no labels.
    Links to folders are followed at the first level alone. One image at a time is held in full.

    Args:
      folder: what to read.
      size: (height, width) of the result; None for the rule above.
      channels: 1 or 3; None for the rule above.

    Returns:
      Images, uint8 (n, h, w, c); classes, int32 (n,), numbered in the order of their names, or
      None; the files' names relative to the folder, with forward slashes.

    Raises:
      UsageError: there are no images, or images both in the folder and below it; files cannot be
        read, of which the first ten are named; or the size or the channels are out of range.
      OSError: a folder cannot be listed.
    """
    listed = survey(folder, size, channels)
    files = listed.files
    images = np.empty((len(files), *listed.shape), np.uint8)
    unreadable = dict(listed.unreadable)
    for index in range(len(files)):
        if index not in unreadable:
            try:
                images[index] = listed.read(index)
            except Unreadable as error:
                unreadable[index] = str(error)
    if unreadable:
        places = sorted(unreadable)[:NAMED]
        named = ", ".join(f"{files[index]} ({unreadable[index]})" for index in places)
        more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
        raise UsageError(f"data: every image in {folder} must be readable, got {named}{more}")
    return images, listed.labels, files


def listing_digest(folder: Path, files: Iterable[str]) -> str:
    """SHA-256 of the files' names and sizes, which tells folders apart without reading them.

    Args:
      folder: where the files are.
      files: their names relative to it.
    """
    digest = hashlib.sha256()
    separator = ""
    for name in files:
        try:
            size = (folder / name).stat().st_size
        except OSError:
            size = -1  # Such as a link to nothing, which is unreadable like a damaged file.
        digest.update(f"{separator}{name} {size}".encode())
        separator = "\n"
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
        """One image, uint8 (h, w, c).

        Raises:
          Unreadable: the file gives no image.
        """
        path = self.folder / self.files[index]
        try:
            return _pixels(path, *self.shape)
        except _unreadable() as error:
            raise Unreadable(_reason(path, error)) from error


def survey(
    folder: Path, size: tuple[int, int] | None = None, channels: int | None = None
) -> Survey:
    """What ``read`` would read, from the files' headers alone.

    Args:
      folder: as for ``read``.
      size: as for ``read``.
      channels: as for ``read``.

    Raises:
      UsageError: as from ``read``, except for files that cannot be read.
      OSError: a folder cannot be listed.
    """
    if size is not None and not (
        len(size) == 2 and all(1 <= side <= LARGEST_ASKED for side in size)
    ):
        rule = f"size: must be height and width, each from 1 to {LARGEST_ASKED}"
        raise UsageError(f"{rule}, got {size}")
    if channels not in (None, 1, 3):
        raise UsageError(f"channels: must be 1 or 3 for a folder of images, got {channels}")
    files, labels = _listed(folder)
    unreadable: dict[int, str] = {}
    sizes: set[tuple[int, int]] = set()
    gray = True
    for index, name in enumerate(files):
        path = folder / name
        try:
            own_size, mode = _header(path)
        except _unreadable() as error:
            unreadable[index] = _reason(path, error)
            continue
        sizes.add(own_size)
        gray = gray and mode in _GRAY
    height, width = size or _size(sizes)
    shape = (height, width, channels or (1 if gray else 3))
    return Survey(folder, tuple(files), labels, shape, unreadable)


def _listed(folder: Path) -> tuple[list[str], np.ndarray | None]:
    """Names of image files in sorted order, and their classes if they lie in sub-folders."""
    with os.scandir(folder) as listed:
        entries = sorted(
            (entry.name, entry.is_dir()) for entry in listed if not entry.name.startswith(".")
        )
    flat = [name for name, is_folder in entries if _is_image(name) and not is_folder]
    below = [(name, _below(folder, name)) for name, is_folder in entries if is_folder]
    classes = [(name, files) for name, files in below if files]
    if flat and classes:
        rule = f"data: {folder} must hold either images or a sub-folder for each class"
        raise UsageError(f"{rule}, got both {flat[0]} and {classes[0][0]}/")
    if flat:
        return flat, None
    if not classes:
        endings = ", ".join(ENDINGS)
        rule = f"data: {folder} must hold images ({endings}) or sub-folders of them"
        raise UsageError(f"{rule}, got none")
    numbers = np.arange(len(classes), dtype=np.int32)
    labels = np.repeat(numbers, [len(files) for _, files in classes])
    return [name for _, files in classes for name in files], labels


def _below(folder: Path, first: str) -> list[str]:
    """Image files in and below the sub-folder ``first``, by their names relative to the folder."""

    def refuse(error: OSError) -> None:
        raise error

    files = []
    for place, folders, names in os.walk(folder / first, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(place).relative_to(folder).as_posix()
        files += [f"{relative}/{name}" for name in names if _is_image(name)]
    # Folder by folder: a shorter name comes before those that begin with it.
    return sorted(files, key=lambda name: name.replace("/", "\0"))


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
    """(height, width) as seen upright, and Pillow's mode.

    Nothing is decoded where the format allows it.
    """
    from PIL import ExifTags

    with _opened(path) as image:
        width, height = image.size
        mode = image.mode
        # Images of orientations 5 to 8 lie on their side; of a TIFF Pillow gives the upright size
        # already.
        lying = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return ((width, height) if lying else (height, width)), mode


def decode(content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The image of a file's content, turned upright, scaled and cropped as ``read`` does.

    Args:
      content: the file's bytes.
      shape: (h, w, c) of the result, c is 1 for gray or 3 for RGB.

    Returns:
      uint8 (h, w, c).

    Raises:
      Unreadable: the content is no image.
    """
    try:
        return _pixels(content, *shape)
    except _unreadable() as error:
        raise Unreadable(_reason(content, error)) from error


def _pixels(source: Path | bytes, height: int, width: int, channels: int) -> np.ndarray:
    """One file's image, uint8 (height, width, channels)."""
    from PIL import Image, ImageOps

    with _opened(source) as image:
        upright = _eight_bit(ImageOps.exif_transpose(image), image.format)
    upright = upright.convert("L" if channels == 1 else "RGB")
    fitted = ImageOps.fit(upright, (width, height), method=Image.Resampling.BILINEAR)
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)


def decoded(content: bytes, channels: int) -> np.ndarray:
    """The image of a file's content.

    Args:
      content: the file's bytes.
      channels: 1 for gray or 3 for RGB.

    Returns:
      uint8 (h, w, channels).

    Raises:
      Unreadable: the content is no image.
    """
    try:
        with _opened(content) as image:
            converted = _eight_bit(image, image.format).convert("L" if channels == 1 else "RGB")
    except _unreadable() as error:
        raise Unreadable(_reason(content, error)) from error
    return np.asarray(converted).reshape(converted.height, converted.width, channels)


@contextlib.contextmanager
def _opened(source: Path | bytes) -> Iterator["Image"]:
    from PIL import Image

    # From an open file: by its path Pillow maps an uncompressed TIFF into memory, and then mixes up
    # the pixels of one that lies on its side (seen in 13.0).
    opened = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    with warnings.catch_warnings(), opened as file:
        # More pixels than Pillow deems safe are refused at its first limit already, where it only
        # warns.
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
        raise Unreadable("32-bit pixels without a stated range")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("L" if image.mode in _GRAY else "RGB")


def _unreadable() -> tuple[type[Exception], ...]:
    """What Pillow raises on files that are damaged, or no images."""
    from PIL import Image

    return (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    )


def _reason(source: Path | bytes, error: Exception) -> str:
    """Why a file gives no image, in a few words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "more pixels than is safe"
    if isinstance(error, UnidentifiedImageError):
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        return "no image" if size else "empty"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
