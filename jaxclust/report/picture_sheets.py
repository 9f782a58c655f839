"""Sheets of the picture files of a set: the pictures as they are in their files, with their names.

Only the pictures that are shown are read.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxclust.data import listing, pictures
from jaxclust.data.datasets import Dataset
from jaxclust.data.pictures import Unreadable
from jaxclust.runs.files import write_file

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 96
"""Pixels of a picture's longer side."""
COLUMNS = 10
"""Pictures in a row."""
LINE = 15
"""Pixels of a line of words."""
GAP = 6
MOST_ROWS = 100
"""Most rows of the sheet that shows all clusters, unless there are more clusters than fit."""
MOST_READ = 1000
"""Pictures that the sheets of all clusters show together, if each shows ``LEAST``."""
LEAST = 10
MOST = 60
_GROUND, _INK, _EMPTY = (245, 245, 245), (40, 40, 40), (225, 225, 225)


class Tile(NamedTuple):
    """A picture on a sheet.

    Attributes:
      image: at most SIDE pixels a side; None where the file cannot be read any more.
      name: what stands below it.
      title: what stands above it, or "".
    """

    image: "Image | None"
    name: str
    title: str = ""


def count_each(clusters: int) -> int:
    """Pictures on the sheet of each of so many clusters."""
    return min(MOST, max(LEAST, MOST_READ // clusters))


def read_tiles(dataset: Dataset, rows: Sequence[int]) -> list[Tile]:
    """The pictures of some images of a set, from their files.

    Args:
      dataset: read from a folder, an archive or a table.
      rows: places of the images in it.

    Raises:
      UsageError: the folder, archive or table is not there any more.
    """
    assert dataset.root is not None
    assert dataset.files is not None
    files = dataset.files
    listed = listing.listing(dataset.root, listing.NONE)
    places = {name: place for place, name in enumerate(listed.files)}

    def tile(row: int) -> Tile:
        name = listing.shown(os.path.basename(files[row]))
        try:
            content = listed.content(places[files[row]])
            return Tile(_enlarged(pictures.thumbnail(content, SIDE)), name)
        except (Unreadable, KeyError):
            return Tile(None, name)

    threads = min(os.cpu_count() or 1, 8)
    with pictures.quiet(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(tile, rows))


def _enlarged(image: "Image") -> "Image":
    """A small picture at about SIDE pixels; a very small one in whole multiples of its pixels."""
    from PIL.Image import Resampling

    longer = max(image.size)
    if longer >= SIDE:
        return image
    factor = SIDE // longer
    if factor >= 2:
        return image.resize((image.width * factor, image.height * factor), Resampling.NEAREST)
    size = (max(image.width * SIDE // longer, 1), max(image.height * SIDE // longer, 1))
    return image.resize(size, Resampling.BICUBIC)


def write_overview(
    path: Path, dataset: Dataset, labels: np.ndarray, clusters: int
) -> list[np.ndarray]:
    """Writes a sheet on which every cluster has its first pictures beside each other.

    Args:
      path: of the .png file.
      dataset: as of ``read_tiles``.
      labels: clusters, int (n,).
      clusters: number of clusters.

    Returns:
      The places of each cluster's images in the order in which its own sheet shows them.
    """
    chosen = [
        np.random.default_rng(cluster).permutation(np.flatnonzero(labels == cluster))
        for cluster in range(clusters)
    ]
    # Where there are many clusters, two or more share a row.
    each = COLUMNS
    while each > 1 and clusters * each > MOST_ROWS * COLUMNS:
        each //= 2
    tiles = iter(read_tiles(dataset, [int(row) for rows in chosen for row in rows[:each]]))
    sheet: list[Tile | None] = []
    for cluster, rows in enumerate(chosen):
        own: list[Tile | None] = [next(tiles) for _ in rows[:each]]
        own = own or [Tile(None, "empty")]
        words = f"cluster {cluster}" if each == 1 else f"cluster {cluster}: {len(rows):,} images"
        assert own[0] is not None
        own[0] = own[0]._replace(title=words)
        sheet += own + [None] * (each - len(own))
    columns = COLUMNS // each * each
    _write(path, sheet, columns, titles=True)
    return chosen


def write_sheet(path: Path, dataset: Dataset, rows: Sequence[int]) -> None:
    """Writes a sheet of some images of a set, in the order given.

    Args:
      path: of the .png file.
      dataset: as of ``read_tiles``.
      rows: places of the images in it; may be empty.
    """
    _write(path, read_tiles(dataset, rows), COLUMNS, titles=False)


def _write(path: Path, tiles: Sequence[Tile | None], columns: int, titles: bool) -> None:
    """Draws tiles row by row."""
    from PIL import Image, ImageDraw

    font = _font()
    width = SIDE + GAP
    height = SIDE + LINE + GAP + (LINE if titles else 0)
    lines = max(1, -(-len(tiles) // columns))
    sheet = Image.new("RGB", (columns * width + GAP, lines * height + GAP), _GROUND)
    draw = ImageDraw.Draw(sheet)
    for place, tile in enumerate(tiles):
        if tile is None:
            continue
        left = GAP + place % columns * width
        top = GAP + place // columns * height
        if titles:
            draw.text((left, top), tile.title, _INK, font)
            top += LINE
        if tile.image is None:
            draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), _EMPTY)
        else:
            inset = ((SIDE - tile.image.width) // 2, (SIDE - tile.image.height) // 2)
            sheet.paste(tile.image, (left + inset[0], top + inset[1]))
        draw.text((left, top + SIDE + 1), _short(tile.name, font), _INK, font)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_file(path, content.getvalue())


def _font() -> Any:
    """A font that is wherever matplotlib is, which draws the other figures."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 10)


def _short(name: str, font: Any) -> str:
    """A name that is as wide as a picture at most, without its ending and its middle if need be."""
    if font.getlength(name) <= SIDE:
        return name
    name = os.path.splitext(name)[0]
    if font.getlength(name) <= SIDE:
        return name
    for kept in range(len(name) - 1, 1, -1):
        # The end tells numbered files apart.
        end = kept * 2 // 3
        short = f"{name[: kept - end]}\u2026{name[-end:]}"
        if font.getlength(short) <= SIDE:
            return short
    return "\u2026"
