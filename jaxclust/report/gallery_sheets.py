"""Thumbnails of many pictures, packed into sheets that a page loads as it needs them."""

import base64
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import numpy as np

from jaxclust.runs.files import write_file

if TYPE_CHECKING:
    from PIL.Image import Image

CELL = 160
"""Pixels a side of a thumbnail's cell, a multiple of the 16 pixels that a JPEG codes together."""
THUMB = CELL - 2
"""The longest side of a thumbnail: a pixel of its own edge surrounds it, so that a browser that
scales the sheet mixes no neighbor into it."""
COLUMNS = 10
"""Thumbnails in a row of a sheet."""
SHEET = COLUMNS * COLUMNS
"""Thumbnails on a sheet."""
QUALITY = 80
"""Quality of the JPEG files."""


class Sheets(NamedTuple):
    """Where the thumbnails of n pictures stand.

    Attributes:
      addresses: of each sheet: a relative URL, or a data URI that holds the sheet itself.
      places: of each picture, int32 (n,): thumbnail ``place % SHEET`` of sheet ``place // SHEET``,
        counted row by row.
      sizes: width and height of each thumbnail in pixels, uint8 (n, 2); zeros for a picture that
        could not be read.
    """

    addresses: tuple[str, ...]
    places: np.ndarray
    sizes: np.ndarray


def pack(
    sequence: np.ndarray,
    thumbnail: Callable[[int], "Image"],
    folder: Path | None,
    progress: Callable[[int, int], None] | None = None,
) -> Sheets:
    """Packs the thumbnails of all pictures.

    The name of a file holds a checksum of its content, so that the sheets of an earlier page stay
    valid until ``remove_others`` removes them.

    Args:
      sequence: the pictures in the order in which they are packed, a permutation of 0..n-1, int
        (n,). Pictures that are shown together should stand together.
      thumbnail: gives a picture, or raises OSError, ValueError, SyntaxError (Pillow's word for a
        damaged PNG file) or Pillow's DecompressionBombError where it cannot be read. It is called
        from several threads at once.
      folder: where the sheets are written; None puts them into the addresses.
      progress: is called with the number of pictures that are packed and n, after each sheet.
    """
    n = len(sequence)
    places = np.empty(n, np.int32)
    places[sequence] = np.arange(n)
    sizes = np.zeros((n, 2), np.uint8)
    addresses = []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, n, SHEET):
            pictures = sequence[start : start + SHEET]
            cells = list(pool.map(lambda i: _cell(thumbnail, int(i)), pictures))
            sizes[pictures] = [size for _, size in cells]
            content = _jpeg(cell for cell, _ in cells)
            if folder is None:
                addresses.append("data:image/jpeg;base64," + base64.b64encode(content).decode())
            else:
                name = f"{start // SHEET:04d}-{hashlib.sha256(content).hexdigest()[:10]}.jpg"
                write_file(folder / name, content)
                addresses.append(f"{quote(os.fsencode(folder.name))}/{name}")
            if progress is not None:
                progress(start + len(pictures), n)
    return Sheets(tuple(addresses), places, sizes)


def remove_others(folder: Path, sheets: Sheets) -> None:
    """Removes the sheets of an earlier page from a folder, and the folder if nothing is left."""
    if not folder.is_dir():
        return
    kept = {address.rpartition("/")[2] for address in sheets.addresses}
    for path in list(folder.iterdir()):
        if re.fullmatch(r"\d{4,}-[0-9a-f]{10}\.jpg", path.name) and path.name not in kept:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _cell(thumbnail: Callable[[int], "Image"], i: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture's cell, uint8 (CELL, CELL, 3), and the width and height of its thumbnail."""
    from PIL import Image

    try:
        picture = thumbnail(i).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # The page shows the file's name in its place, and says how many there are.
        return np.full((CELL, CELL, 3), 128, np.uint8), (0, 0)
    scale = THUMB / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3))
    below_and_right = (CELL - 1 - height, CELL - 1 - width)
    pads = ((1, below_and_right[0]), (1, below_and_right[1]), (0, 0))
    return np.pad(pixels, pads, mode="edge"), (width, height)


def _jpeg(cells: Iterator[np.ndarray]) -> bytes:
    """A JPEG file of at most SHEET cells; it is COLUMNS cells wide however few there are."""
    from PIL import Image

    rows = list(cells)
    lines = -(-len(rows) // COLUMNS)
    sheet = np.full((lines * CELL, COLUMNS * CELL, 3), 128, np.uint8)
    for place, cell in enumerate(rows):
        top = place // COLUMNS * CELL
        left = place % COLUMNS * CELL
        sheet[top : top + CELL, left : left + CELL] = cell
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "JPEG", quality=QUALITY, optimize=True)
    return content.getvalue()
