"""One picture file as an array.

- The first of several frames counts, and the picture is turned as its EXIF orientation says. Where
  the EXIF block is damaged it stays as it is stored.
- 16-bit gray values are divided by 257 and rounded. Palettes, CMYK and all other color become RGB.
  32-bit gray values have no stated range and are refused.
- Transparent pixels are laid over white: a color that nobody sees does not count.
- A large JPEG file is decoded at a half, a quarter or an eighth of its size where that leaves at
  least twice the size that is asked for.
"""

import contextlib
import functools
import io
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from jaxclust.errors import UsageError, check_regular, reason

if TYPE_CHECKING:
    from PIL.Image import Image

Resize = Literal["crop", "pad", "stretch"]
RESIZES: tuple[Resize, ...] = ("crop", "pad", "stretch")
HEIF = (".heic", ".heics", ".heif", ".heifs", ".hif")
"""Endings that need the package ``pillow_heif``."""
LARGEST_FILE = 2**30
"""Bytes of the largest file that is read."""
KEPT = 2
"""A JPEG file is decoded at this many times the size that is asked for, at least."""
_NOT_PICTURES = frozenset(
    ("BUFR", "EPS", "FITS", "FLI", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF")
)
"""Pillow's formats of documents, films and measurements; EPS would start another program."""
_GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's modes of gray images."""
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_OPENING = threading.Lock()
"""Python's filters of warnings belong to all threads."""


class Unreadable(Exception):
    """Says why a file gives no picture."""


@functools.cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read, with HEIF where ``pillow_heif`` is installed."""
    from PIL import Image

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in Image.ID if name in Image.OPEN and name not in _NOT_PICTURES)


@functools.cache
def endings() -> frozenset[str]:
    """Endings of the files that are taken for pictures, in small letters, such as ".jpg"."""
    from PIL import Image

    known = formats()
    return frozenset(
        ending.lower() for ending, name in Image.registered_extensions().items() if name in known
    )


def is_gray(mode: str) -> bool:
    """Whether pictures of one of Pillow's modes are stored as gray."""
    return mode in _GRAY


def is_deep(mode: str) -> bool:
    """Whether pictures of one of Pillow's modes have 16 bits for a pixel, or more."""
    return mode.startswith("I")


def read_file(path: Path) -> bytes:
    """A file's content.

    Raises:
      Unreadable: it is not there, may not be read, is no regular file, or is too large.
    """
    try:
        _check_regular(path)
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(reason(error)) from error


def _check_regular(path: Path) -> None:
    """Refuses what would never end, such as a pipe, and what would not fit."""
    check_regular(path)
    check_length(os.stat(path).st_size)


def check_length(length: int) -> None:
    """Refuses a file of more bytes than are read: Unreadable."""
    if length > LARGEST_FILE:
        raise Unreadable(f"larger than {LARGEST_FILE / 2**30:g} GiB")


def header(source: bytes | Path) -> tuple[tuple[int, int], str]:
    """Size and mode of a picture.

    Nothing is decoded where the format allows it.

    Args:
      source: the file's content, or where it is.

    Returns:
      (height, width) as seen upright, and Pillow's mode.

    Raises:
      Unreadable: the file gives no picture.
    """
    with _refusals(source), _opened(source) as image:
        width, height = image.size
        return ((width, height) if _lies(image) else (height, width)), image.mode


def decode(content: bytes, shape: tuple[int, int, int], resize: Resize = "crop") -> np.ndarray:
    """A picture at a given size.

    Pixels are averaged where the picture shrinks (bilinear, with antialiasing).

    Args:
      content: the file's bytes.
      shape: (h, w, c) of the result, c is 1 for gray or 3 for RGB.
      resize: "crop" scales the picture until it just covers the size, and cuts its middle out.
        "pad" scales it until it just fits into the size, and fills the rest with the mean color of
        the picture's border. "stretch" scales height and width apart.

    Returns:
      uint8 (h, w, c).

    Raises:
      Unreadable: the content is no picture, or is damaged.
      UsageError: there is no such way to resize.
    """
    check_resize(resize)
    height, width, channels = shape
    with _refusals(content), _opened(content) as image:
        if image.format in ("JPEG", "MPO"):
            _shrink(image, (height, width), resize)
        upright = _upright(image, channels)
        fitted = _fitted(upright, (width, height), resize)
    return np.asarray(fitted, dtype=np.uint8).reshape(shape)


def thumbnail(content: bytes, side: int) -> "Image":
    """A picture in RGB and upright, made smaller where it is larger than ``side`` pixels.

    Args:
      content: the file's bytes.
      side: pixels of the longer side.

    Raises:
      Unreadable: the content is no picture, or is damaged.
    """
    with _refusals(content), _opened(content) as image:
        if image.format in ("JPEG", "MPO"):
            _shrink(image, (side, side), "pad")
        upright = _upright(image, 3)
        upright.thumbnail((side, side))
    return upright


def decode_unscaled(content: bytes, channels: int) -> np.ndarray:
    """A picture at its own size, not turned: as data sets of pictures store them.

    Args:
      content: the file's bytes.
      channels: 1 for gray or 3 for RGB.

    Returns:
      uint8 (h, w, channels).

    Raises:
      Unreadable: the content is no picture, or is damaged.
    """
    with _refusals(content), _opened(content) as image:
        converted = _converted(image, image.format, channels)
    return np.asarray(converted).reshape(converted.height, converted.width, channels)


def check_resize(resize: str) -> Resize:
    """The way to resize of a name; UsageError where there is none."""
    for known in RESIZES:
        if known == resize:
            return known
    raise UsageError(f"resize: must be one of {', '.join(RESIZES)}, got {resize!r}")


def _orientation(image: "Image") -> int:
    """The EXIF orientation, 1 to 8; 1 is upright, and stands for none and for a damaged one."""
    from PIL import ExifTags

    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Damaged metadata make Pillow raise nearly anything.
        return 1
    return value if value in range(1, 9) else 1


def _lies(image: "Image") -> bool:
    """Whether the stored picture lies on its side."""
    # Pillow gives a TIFF file's upright size already, and turns it while it loads.
    return image.format != "TIFF" and _orientation(image) >= 5


def _shrink(image: "Image", size: tuple[int, int], resize: Resize) -> None:
    """Lets a JPEG file be decoded at a reduced scale that still has ``KEPT`` times the size."""
    height, width = size
    if _lies(image):
        height, width = width, height
    factors = (width / image.width, height / image.height)
    if resize == "stretch":
        least = (KEPT * width, KEPT * height)
    else:
        factor = KEPT * (max(factors) if resize == "crop" else min(factors))
        least = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    image.draft(None, least)


def _upright(image: "Image", channels: int) -> "Image":
    """The picture as it is seen, in mode L or RGB."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    image.load()
    turn = turns.get(_orientation(image))
    # Not by ImageOps.exif_transpose, which fails where it cannot write the other tags anew.
    converted = _converted(image, image.format, channels)
    return converted if turn is None else converted.transpose(turn)


def _converted(image: "Image", file_format: str | None, channels: int) -> "Image":
    return _eight_bit(image, file_format).convert("L" if channels == 1 else "RGB")


def _fitted(image: "Image", size: tuple[int, int], resize: Resize) -> "Image":
    """The picture at a size, (width, height)."""
    from PIL import Image, ImageOps

    method = Image.Resampling.BILINEAR
    if resize == "crop":
        return ImageOps.fit(image, size, method=method)
    if resize == "stretch":
        return image.resize(size, method)
    factor = min(size[0] / image.width, size[1] / image.height)
    width = min(max(round(image.width * factor), 1), size[0])
    height = min(max(round(image.height * factor), 1), size[1])
    inner = image.resize((width, height), method)
    padded = Image.new(inner.mode, size, _border_color(inner))
    padded.paste(inner, ((size[0] - width) // 2, (size[1] - height) // 2))
    return padded


def _border_color(image: "Image") -> int | tuple[int, ...]:
    """The mean color of the outermost pixels."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1).astype(float)
    inside = np.zeros(pixels.shape[:2], bool)
    inside[1:-1, 1:-1] = True
    color = [int(value) for value in np.round(pixels[~inside].mean(0))]
    return color[0] if len(color) == 1 else tuple(color)


def _eight_bit(image: "Image", file_format: str | None) -> "Image":
    """The image in mode L or RGB, laid over white."""
    from PIL import Image

    # Pillow widens a PNM file's 16 bits to 32.
    if image.mode.startswith("I;16") or (image.mode == "I" and file_format == "PPM"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise Unreadable("32-bit pixels without a stated range")
    gray = image.mode in _GRAY
    if image.has_transparency_data:
        colors = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, colors)
    return image.convert("RGB").convert("L") if gray else image.convert("RGB")


@contextlib.contextmanager
def _opened(source: bytes | Path) -> Iterator["Image"]:
    from PIL import Image

    known = formats()
    # From an open file: by its path Pillow maps an uncompressed TIFF into memory, and then mixes up
    # the pixels of one that lies on its side (seen in 13.0).
    if isinstance(source, Path):
        _check_regular(source)
        file = source.open("rb")
    else:
        file = io.BytesIO(source)
    with file:
        with _OPENING, warnings.catch_warnings():
            # More pixels than Pillow deems safe are refused at its first limit already, where it
            # only warns. Its notes on odd metadata help nobody here.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(file, formats=known)
        with opened as image:
            yield image


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides Pillow's warnings on odd files, in all threads that are used within."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\..*)?")
        yield


@contextlib.contextmanager
def _refusals(source: bytes | Path) -> Iterator[None]:
    """Turns what Pillow raises on files that are damaged, or no images, into ``Unreadable``."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # Damaged files make Pillow raise nearly anything.
        raise Unreadable(_reason(source, error)) from error


def _reason(source: bytes | Path, error: Exception) -> str:
    """Why a file gives no image, in a few words on one line."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "more pixels than is safe"
    if isinstance(error, UnidentifiedImageError):
        start = _start(source)
        if not start:
            return "empty"
        if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS and "HEIF" not in formats():
            return "HEIC needs pip install 'jaxclust[photos]'"
        return "no image"
    return reason(error)


def _start(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source[:16]
    with source.open("rb") as file:
        return file.read(16)
