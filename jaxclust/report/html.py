"""The pieces of HTML that the report's sections are made of: tables, matrices, pictures, notes and escaped text."""

import base64
import html
from collections.abc import Sequence

import numpy as np

from jaxclust.comparison import tables
from jaxclust.report import image_grid

MOST_CELLS = 30
"""Classes, clusters or seeds up to which a matrix is a table; a larger one is a picture."""


def table(content: tables.Table) -> str:
    """A table that scrolls by itself; its last column stands left where it has words."""
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
    words = ' class="words"' * any(letter.isalpha() for row in content.rows for letter in row[-1])
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(content.title)}"><table{words}>'
        f"{_caption(content.title)}<thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def matrix(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    shade: np.ndarray,
) -> str:
    """A table whose cells are shaded from 0 to 1, or where it is large a picture of them."""
    if max(shade.shape) > MOST_CELLS:
        size = max(1, 480 // max(shade.shape))
        pixels = (
            np.round(255 * (1 - shade))
            .astype(np.uint8)
            .repeat(size, axis=0)
            .repeat(size, axis=1)[..., None]
        )
        what = f"{title}: {shade.shape[0]} rows, {shade.shape[1]} columns; black is 1, or all of a row, white 0"
        return _picture(pixels, what, what)
    head = "<td></td>" + "".join(f'<th scope="col">{text(name)}</th>' for name in columns)
    lines = []
    for name, line, shades in zip(rows, cells, shade, strict=True):
        body = "".join(
            f'<td style="--s:{s:.2f}">{text(cell)}</td>'
            for cell, s in zip(line, shades, strict=True)
        )
        lines.append(f'<tr><th scope="row">{text(name)}</th>{body}</tr>')
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(title)}"><table class="matrix">'
        f"{_caption(title)}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def sheet(images: np.ndarray, alt: str, caption: str, columns: int = 8) -> str:
    """Images in rows, each of at most 64 pixels a side, as one picture."""
    stride = -(-max(images.shape[1:3]) // 64)
    pixels = image_grid.grid(images[:, ::stride, ::stride], columns)
    return _picture(pixels, alt, caption)


def _picture(pixels: np.ndarray, alt: str, caption: str) -> str:
    return (
        f'<figure><img src="{uri(pixels)}" width="{pixels.shape[1]}" height="{pixels.shape[0]}" '
        f'alt="{text(alt)}"><figcaption>{text(caption)}</figcaption></figure>'
    )


def _caption(title: str) -> str:
    """Stays in sight where the table is scrolled."""
    return f"<caption><span>{text(title)}</span></caption>"


def notes(lines: Sequence[str]) -> str:
    """A list; nothing where there are none."""
    return (
        f'<ul class="notes">{"".join(f"<li>{text(line)}</li>" for line in lines)}</ul>'
        if lines
        else ""
    )


def number(value: float | None, form: str = ".3f") -> str:
    """As ``form`` says; a stroke where there is none."""
    return "-" if value is None or not np.isfinite(value) else format(value, form)


def uri(pixels: np.ndarray) -> str:
    """A picture's address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(image_grid.png(pixels)).decode()


def text(plain: str) -> str:
    """Escaped, for an element or an attribute."""
    return html.escape(plain, quote=True)
