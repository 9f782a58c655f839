"""The images of a run on the page: the map of its embedding, and a sheet for each cluster."""

import json
from typing import NamedTuple

import numpy as np

from jaxclust.report import charts, elements, image_grid
from jaxclust.report.elements import Link, text
from jaxclust.report.look import Embedding
from jaxclust.report.run_images import Pictures

SHOWN = 24
"""Number of images on a sheet of a cluster, and of the most and the least certain images."""
THUMBNAIL = 32
"""Largest side, in pixels, of an image that is shown over the embedding."""
COLUMNS = 40
"""Number of thumbnails in a row of their sheet."""


class Shown(NamedTuple):
    """The clusters that the page shows, and their images.

    Attributes:
      seed: the seed whose embedding is shown.
      labels: clusters of the consensus, int (n,).
      rows: places of the images in the set, int (n,).
      pictures: the images and true labels.
      voters: number of seeds whose consensus the clusters are.
    """

    seed: int
    labels: np.ndarray
    rows: np.ndarray
    pictures: Pictures
    voters: int = 1


def embedding_map(number: int, shown: Shown, embedding: Embedding, sprites: dict[str, str]) -> str:
    """The map of a run's images, as HTML.

    Args:
      number: place of the run's section.
      shown: the images and their clusters.
      embedding: of a sample of the images.
      sprites: classes of the sheets of thumbnails, by their address; the run's sheet is added to
        them if it is new.
    """
    sample = embedding.sample
    labels = shown.labels[sample]
    classes = None if shown.pictures.labels is None else shown.pictures.labels[sample]
    thumbs = _thumbnails(shown.pictures, sample)
    thumbs_class = sprites.setdefault(elements.uri(_sprite(thumbs)), f"thumbs-{len(sprites)}")
    points = {
        "rows": shown.rows[sample].tolist(),
        "clusters": labels.tolist(),
        "classes": None if classes is None else classes.tolist(),
        "names": shown.pictures.names(sample),
        "addresses": _known(shown.pictures.addresses(sample)),
        "called": None if classes is None else _called(shown.pictures, classes),
        "size": (thumbs.shape[2], thumbs.shape[1]),
        "columns": COLUMNS,
        "colors": charts.COLORS,
    }
    title = f"Embedding of {len(labels):,} images in two dimensions, colored by cluster"
    chart = charts.scatter(embedding.places, labels, title)
    clusters = ""
    if shown.voters > 1:
        clusters = f" The clusters are those of the consensus of {shown.voters} seeds."
    about = (
        f"t-SNE of the features of {len(labels):,} images, seed {shown.seed}.{clusters} Point at "
        "an image to see it; on the keyboard, arrow keys go to the nearest image in that "
        "direction. Distances between groups that are far apart mean little."
    )
    return (
        f"<h3>Embedding</h3>{'' if classes is None else _switch(number)}"
        f'<figure class="embedding" data-points="{text(json.dumps(points))}">'
        f'<div class="stage" tabindex="0" role="application" aria-describedby="how-{number}" '
        f'aria-label="{text(title)}">{chart}</div>'
        f'<div class="thumb {thumbs_class}" aria-hidden="true"></div>'
        '<p class="readout" role="status" aria-live="polite"></p>'
        f'<figcaption id="how-{number}">{about}</figcaption></figure>'
    )


def _known(addresses: list[str | None]) -> list[str]:
    """Addresses of files, or none of them where one has none."""
    known = [address for address in addresses if address is not None]
    return known if len(known) == len(addresses) else []


def _links(pictures: Pictures, rows: np.ndarray) -> list[Link]:
    """The files of some images, for their sheet."""
    names = pictures.names(rows)
    if not names:
        return []
    return [Link(*link) for link in zip(names, pictures.addresses(rows), strict=True)]


def _called(pictures: Pictures, classes: np.ndarray) -> list[str]:
    """The names of the classes by their number."""
    return [pictures.class_name(number) for number in range(int(classes.max(initial=-1)) + 1)]


def _thumbnails(pictures: Pictures, sample: np.ndarray) -> np.ndarray:
    """The sample's images in color, at most THUMBNAIL pixels a side: uint8 (m, h, w, 3)."""
    images = pictures.read(sample)
    stride = -(-max(images.shape[1:3]) // THUMBNAIL)
    return image_grid.as_color(images[:, ::stride, ::stride])


def _sprite(thumbs: np.ndarray) -> np.ndarray:
    """Thumbnails in rows of COLUMNS as one picture, uint8 (height, width, 3)."""
    width = thumbs.shape[2]
    blank = np.zeros((-len(thumbs) % COLUMNS, *thumbs.shape[1:]), np.uint8)
    rows = np.concatenate([thumbs, blank]).reshape(-1, COLUMNS, *thumbs.shape[1:])
    return rows.transpose(0, 2, 1, 3, 4).reshape(-1, COLUMNS * width, 3)


def _switch(number: int) -> str:
    """Buttons that choose the colors: by cluster or by class."""
    name = f'type="radio" name="color-{number}"'
    return (
        '<fieldset class="switch"><legend>Color</legend>'
        f'<label><input {name} value="clusters" checked> by cluster</label>'
        f'<label><input {name} value="classes"> by class</label></fieldset>'
    )


def cluster_sheets(shown: Shown, clusters: int) -> str:
    """A sheet of images for each cluster, as HTML."""
    sheets = "".join(
        _cluster(cluster, np.flatnonzero(shown.labels == cluster), shown.pictures)
        for cluster in range(clusters)
    )
    about = ""
    if shown.pictures.files is not None:
        about = '<p class="small">Point at an image to see its file\'s name'
        if None not in shown.pictures.addresses(np.arange(1)):
            about += ", and follow it to the file, as long as it is on this machine"
        about += ".</p>"
    return f'<h3>Clusters</h3>{about}<div class="sheets">{sheets}</div>'


def _cluster(cluster: int, members: np.ndarray, pictures: Pictures) -> str:
    """The sheet of a cluster; ``members`` are the places of its images."""
    words = f"cluster {cluster}: {len(members):,} images"
    if not members.size:
        return f"<p>{words}</p>"
    if pictures.labels is not None:
        known = pictures.labels[members]
        known = known[known >= 0]
        if known.size:
            counts = np.bincount(known)
            most = pictures.class_name(int(counts.argmax()))
            words += f", {100 * counts.max() / known.size:.0f} % of {most}"
    chosen = np.random.default_rng(cluster).permutation(members)[:SHOWN]
    links = _links(pictures, chosen)
    return elements.sheet(pictures.read(chosen), f"{len(chosen)} of {words}", words, links=links)


def certain_sheets(shown: Shown, ranked: np.ndarray) -> str:
    """The most and the least certain images, as HTML; ``ranked`` are places in this order."""
    sheets = ""
    for kind, rows in (("Most", ranked[:SHOWN]), ("Least", ranked[::-1][:SHOWN])):
        clusters = ", ".join(str(shown.labels[row]) for row in rows)
        alt = f"{kind} certain, of clusters {clusters}"
        links = _links(shown.pictures, rows)
        images = shown.pictures.read(rows)
        sheets += elements.sheet(images, alt, f"{kind} certain", 12, links)
    return (
        f'<h3>Most and least certain images</h3><div class="sheets wide">{sheets}</div>'
        f'<p class="small">{len(ranked):,} images are ranked by how much nearer they are to the '
        f"mean of their own cluster than to the next mean, in the embedding of seed {shown.seed}."
        "</p>"
    )
