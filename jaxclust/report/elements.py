"""The HTML elements of the report's sections: tables, matrices, pictures, notes, escaped text."""

import base64
import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxclust.comparison import table_cells
from jaxclust.report import image_grid

MOST_CELLS = 30
"""Most rows or columns of a matrix that is shown as a table; a larger one is a picture."""


def document(title: str, policy: str, style: str, body: str) -> str:
    """A page for phones, keyboards and the dark, which asks for nothing but itself.

    Args:
      title: as HTML.
      policy: its Content-Security-Policy.
      style: its style sheet.
      body: what stands in it, as HTML.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def table(content: table_cells.Table) -> str:
    """A table that scrolls by itself; the last column is aligned left where it has words."""
    kinds = ['class="name" '] * content.names + [""] * (len(content.header) - content.names)
    head = "".join(
        f'<th {kind}scope="col">{text(cell)}</th>'
        for kind, cell in zip(kinds, content.header, strict=True)
    )
    lines = []
    for row in content.rows:
        cells = [
            f'<th scope="row">{text(cell)}</th>'
            if place < content.names
            else f"<td>{text(cell)}</td>"
            for place, cell in enumerate(row)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    has_words = any(letter.isalpha() for row in content.rows for letter in row[-1])
    kind = ' class="words"' if has_words else ""
    return _scrolling(content.title, kind, head, lines)


def matrix(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    shade: np.ndarray,
) -> str:
    """A table with shaded cells; a large one is a picture.

    Args:
      title: of the table.
      rows: their names.
      columns: their names.
      cells: text of the cells, (rows, columns).
      shade: of the cells, float (rows, columns) in [0, 1].
    """
    if max(shade.shape) > MOST_CELLS:
        size = max(1, 480 // max(shade.shape))
        gray = np.round(255 * (1 - shade)).astype(np.uint8)
        pixels = gray.repeat(size, axis=0).repeat(size, axis=1)[..., None]
        sides = f"{shade.shape[0]} rows, {shade.shape[1]} columns"
        words = f"{title}: {sides}; black is 1, or all of a row, white 0"
        return _picture(pixels, words, words)
    head = "<td></td>" + "".join(f'<th scope="col">{text(name)}</th>' for name in columns)
    lines = []
    for name, line, shades in zip(rows, cells, shade, strict=True):
        body = "".join(
            f'<td style="--s:{s:.2f}">{text(cell)}</td>'
            for cell, s in zip(line, shades, strict=True)
        )
        lines.append(f'<tr><th scope="row">{text(name)}</th>{body}</tr>')
    return _scrolling(title, ' class="matrix"', head, lines)


def _scrolling(title: str, kind: str, head: str, lines: list[str]) -> str:
    """A table that scrolls by itself, of HTML; its title stays in sight."""
    caption = f"<caption><span>{text(title)}</span></caption>"
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(title)}">'
        f"<table{kind}>{caption}{body}</table></div>"
    )


class Link(NamedTuple):
    """What stands over an image of a sheet.

    Attributes:
      name: the file's name, which is shown when one points at the image.
      address: of the file, or None where it has none of its own.
    """

    name: str
    address: str | None


def sheet(
    images: np.ndarray, alt: str, caption: str, columns: int = 8, links: Sequence[Link] = ()
) -> str:
    """Images in rows, each of at most 64 pixels a side, as one picture.

    Args:
      images: as of ``image_grid.grid``.
      alt: the text that is read in place of the picture.
      caption: the text below it.
      columns: images in a row.
      links: of each image; none where the images have no files.
    """
    stride = -(-max(images.shape[1:3]) // 64)
    pixels = image_grid.grid(images[:, ::stride, ::stride], columns)
    return _picture(pixels, alt, caption, _over(links, columns))


def _over(links: Sequence[Link], columns: int) -> str:
    """Names and links over the images of a sheet, which may be shown smaller than it is."""
    lines = max(1, -(-len(links) // columns))
    parts = []
    for place, (name, address) in enumerate(links):
        left = 100 * (place % columns) / columns
        top = 100 * (place // columns) / lines
        place_of = f"left:{left:.3f}%;top:{top:.3f}%"
        style = f"{place_of};width:{100 / columns:.3f}%;height:{100 / lines:.3f}%"
        words = f'style="{style}" title="{text(name)}"'
        if address is None:
            parts.append(f"<span {words}></span>")
        else:
            parts.append(f'<a {words} aria-label="{text(name)}" href="{text(address)}"></a>')
    return "".join(parts)


def _picture(pixels: np.ndarray, alt: str, caption: str, over: str = "") -> str:
    image = (
        f'<img src="{uri(pixels)}" width="{pixels.shape[1]}" height="{pixels.shape[0]}" '
        f'alt="{text(alt)}">'
    )
    if over:
        image = f'<div class="files">{image}{over}</div>'
    return f"<figure>{image}<figcaption>{text(caption)}</figcaption></figure>"


def notes(lines: Sequence[str]) -> str:
    """A list of sentences; "" where there are none."""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<ul class="notes">{items}</ul>' if lines else ""


def number(value: float | None, form: str = ".3f") -> str:
    """A number in a format; "-" for None, nan and infinity."""
    return "-" if value is None or not np.isfinite(value) else format(value, form)


def uri(pixels: np.ndarray) -> str:
    """An address that holds the picture itself, uint8 (height, width, 1 or 3)."""
    return "data:image/png;base64," + base64.b64encode(image_grid.png(pixels)).decode()


def text(plain: str) -> str:
    """Text that is escaped for an element or an attribute."""
    return html.escape(plain, quote=True)
