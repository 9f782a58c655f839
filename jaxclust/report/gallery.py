"""The gallery of ``jaxclust group``: which pictures belong together, for people to look through."""

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxclust.report import gallery_sheets
from jaxclust.report.assets import STYLE
from jaxclust.report.elements import document, text
from jaxclust.report.gallery_sheets import CELL, COLUMNS, Sheets
from jaxclust.runs.files import write_file

if TYPE_CHECKING:
    from PIL.Image import Image

INSIDE = 300
"""At most this many pictures stand in the page itself, so that it can be mailed."""
TYPICAL = 16
"""The most typical pictures of a group, which the page shows first."""
ODD = 6
"""The least typical pictures of a group, which the page shows beside them."""
NEIGHBORS = 8
"""Similar pictures that the page shows of each picture."""
SCRIPTS = ("gallery.js", "gallery_panel.js", "gallery_corrections.js")

# Scripts, styles and small sets stand in the page; large ones load their sheets and the originals
# from the disk. The page sends no request to anyone.
POLICY = (
    "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


class Gallery(NamedTuple):
    """What the page shows of n pictures in k groups.

    Attributes:
      title: the folder's name.
      names: file names as they are shown: relative, with forward slashes.
      targets: links to the originals, relative to the page's folder or file:// URLs, quoted as
        URLs are, "" for a picture that cannot be opened; None where none can.
      groups: group of each picture in the order in which the groups are shown, int32 (n,), 0..k-1;
        -1 for a picture that fits no group.
      sure: how sure the group of each picture is, float (n,) in [0, 1].
      order: for each group the places of its pictures, the most typical first.
      neighbors: places of the most similar pictures, the nearest first, int32 (n, m). The page has
        the first NEIGHBORS of them.
      group_names: name of each group, "" where it has none.
      levels: other groupings of the same pictures, int32 (n,) each, -1 as in ``groups``, by the
        name of their switch ("coarse", "fine"); None without.
      about: sentences for the head of the page.
    """

    title: str
    names: Sequence[str]
    targets: Sequence[str] | None
    groups: np.ndarray
    sure: np.ndarray
    order: Sequence[np.ndarray]
    neighbors: np.ndarray
    group_names: Sequence[str]
    levels: Mapping[str, np.ndarray] | None
    about: Sequence[str]


def write_gallery(
    page: Path,
    gallery: Gallery,
    thumbnail: Callable[[int], "Image"],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes the page, whole or not at all.

    At most INSIDE pictures stand in the page itself. The thumbnails of more stand as JPEG files in
    the folder ``pictures_folder(page)``, which the page loads as they come into view; the files of
    an earlier page are removed.

    Args:
      page: the .html file.
      gallery: what it shows.
      thumbnail: gives picture i upright, in RGB and at least 160 pixels long where the original is,
        or raises OSError or ValueError; the page then shows the file's name in its place. It is
        called once for each picture, from several threads at once.
      progress: is called with the number of pictures whose thumbnails are made and n, about every
        hundred pictures.

    Raises:
      ValueError: the parts of the gallery do not fit together.
    """
    _check(gallery)
    folder = pictures_folder(page)
    inside = len(gallery.names) <= INSIDE
    sheets = gallery_sheets.pack(
        _sequence(gallery), thumbnail, None if inside else folder, progress
    )
    write_file(page, render(gallery, sheets))
    gallery_sheets.remove_others(folder, sheets)


def pictures_folder(page: Path) -> Path:
    """The folder beside a page with its thumbnails: ``groups-pictures`` of ``groups.html``."""
    return page.with_name(f"{page.stem}-pictures")


def render(gallery: Gallery, sheets: Sheets) -> str:
    """The page.

    Args:
      gallery: what it shows.
      sheets: where its thumbnails stand.
    """
    title = _sound(gallery.title)
    about = list(gallery.about)
    unread = int(np.sum(sheets.sizes[:, 0] == 0))
    if unread:
        about.append(f"{unread:,} of the pictures cannot be shown; their file names stand instead.")
    sentences = "".join(f"<p>{text(_sound(line))}</p>" for line in about)
    # "<" would let a file's name close the script element.
    content = json.dumps(_content(gallery, sheets), separators=(",", ":")).replace("<", "\\u003c")
    script = "\n".join(_asset(name) for name in SCRIPTS)
    title = text(title)
    body = f"""{_asset("gallery.html").format(title=title, about=sentences)}
<script type="application/json" id="data">{content}</script>
<script>{script}</script>"""
    style = f"{STYLE}\n{_asset('gallery.css')}"
    return document(f"{title}: pictures in groups", POLICY, style, body)


def _content(gallery: Gallery, sheets: Sheets) -> dict:
    """What the page's script reads."""
    links = None
    if gallery.targets is not None:
        # What the targets share are characters, not folders.
        start = os.path.commonprefix(list(gallery.targets))  # noqa: RUF071
        links = {"start": start, "ends": [target[len(start) :] for target in gallery.targets]}
    levels = gallery.levels or {}
    order = np.concatenate([*gallery.order, _outside(gallery)])
    return {
        "names": list(gallery.names),
        "links": links,
        "groups": _packed(gallery.groups, "<i4"),
        # Hundredths of a percent.
        "sure": _packed(np.round(np.asarray(gallery.sure) * 10_000), "<u2"),
        "order": _packed(order, "<i4"),
        "neighbors": _packed(gallery.neighbors[:, :NEIGHBORS], "<i4"),
        "similar": min(NEIGHBORS, gallery.neighbors.shape[1]),
        "groupNames": [_sound(name) for name in gallery.group_names],
        "levels": [{"name": key, "groups": _packed(levels[key], "<i4")} for key in levels],
        "places": _packed(sheets.places, "<i4"),
        "sizes": _packed(sheets.sizes, "u1"),
        "sheets": sheets.addresses,
        "cell": CELL,
        "columns": COLUMNS,
        "typical": TYPICAL,
        "odd": ODD,
    }


def _packed(array: np.ndarray, kind: str) -> str:
    """The bytes of an array, row by row, as base64."""
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()


def _sound(words: str) -> str:
    """Text without lone surrogates, which UTF-8 cannot hold: "?" stands in their place."""
    return words.encode("utf-8", "replace").decode()


def _asset(name: str) -> str:
    return resources.files("jaxclust.report").joinpath(name).read_text(encoding="utf-8")


def _outside(gallery: Gallery) -> np.ndarray:
    """Pictures that fit no group, int (m,); the surest first, in the order of their names."""
    places = np.flatnonzero(np.asarray(gallery.groups) == -1)
    return places[np.argsort(-np.asarray(gallery.sure)[places], kind="stable")]


def _sequence(gallery: Gallery) -> np.ndarray:
    """Pictures in the order in which they are packed: first those that the closed groups show."""
    orders = [*gallery.order, _outside(gallery)]
    first = [np.concatenate([order[:TYPICAL], order[TYPICAL:][-ODD:]]) for order in orders]
    rest = [order[TYPICAL:][:-ODD] for order in orders]
    return np.concatenate([*first, *rest]).astype(np.int64)


def _check(gallery: Gallery) -> None:
    """Refuses a gallery whose parts do not fit together."""
    n = len(gallery.names)
    k = len(gallery.group_names)
    lengths = {
        "targets": n if gallery.targets is None else len(gallery.targets),
        "groups": len(gallery.groups),
        "sure": len(gallery.sure),
        "neighbors": len(gallery.neighbors),
        **{f"levels {key}": len(level) for key, level in (gallery.levels or {}).items()},
    }
    for name, length in lengths.items():
        if length != n:
            raise ValueError(f"{name}: must have an entry for each of {n} names, got {length}")
    if len(gallery.order) != k:
        raise ValueError(f"order: must have an entry for each of {k} groups")
    shown = np.concatenate([*gallery.order, _outside(gallery)])
    if not np.array_equal(np.sort(shown), np.arange(n)):
        raise ValueError("order: must have each picture of a group once")
    for group, order in enumerate(gallery.order):
        if np.any(np.asarray(gallery.groups)[order] != group):
            raise ValueError(f"order: must have the pictures of group {group} alone at {group}")
