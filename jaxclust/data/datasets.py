"""Image sets by name, from a folder or from a file; and the checks that every set passes first."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jaxclust.data import array_files, array_images, known_labels, listing, picture_sets, tfds
from jaxclust.data.array_images import check_layout
from jaxclust.data.named_sets import SETS, Named
from jaxclust.data.picture_sets import USUAL, Reading
from jaxclust.data.pictures import Resize
from jaxclust.errors import UsageError, did_you_mean

NAMES = tuple(SETS)
_NOTHING: Mapping[str, str] = MappingProxyType({})


def names() -> tuple[str, ...]:
    """The names that ``load`` and the command's --data take."""
    return NAMES


class Fingerprint(NamedTuple):
    """What tells one set of images from another.

    Attributes:
      name: the set's name.
      shape: (n, h, w, c).
      dtype: of the images, such as "uint8".
      sha256: SHA-256 of the images' and labels' bytes; of a stream, ``Source.digest``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    sha256: str


class Dataset(NamedTuple):
    """Images to cluster.

    Attributes:
      name: as typed for a named set, the file's stem or the folder's name otherwise.
      images: uint8 in 0..255 or float32 in [0, 1], (n, h, w, c).
      labels: true classes for scoring, int32 (n,) in 0..classes-1, -1 for an image whose class is
        not known; None where no class is known.
      files: the pictures' names relative to the folder, archive or table's folder they were read
        from, or None.
      folder_digest: ``picture_sets.listing_digest`` of the files there, or None.
      class_names: the classes' names by their number, or None where they have none.
      unreadable: the names of picture files that could not be read and are no images of the set,
        and why.
      summary: one line on the pictures that were read and the files that were left out; "" for a
        set of arrays.
      resize: how pictures got to their size.
      root: that folder, archive or table, or None.
      reading: how its pictures were read, or None.
      notes: sentences about the images that a reader of results has to know.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None
    files: tuple[str, ...] | None = None
    folder_digest: str | None = None
    class_names: tuple[str, ...] | None = None
    unreadable: Mapping[str, str] = _NOTHING
    summary: str = ""
    resize: Resize = "crop"
    root: Path | None = None
    reading: Reading | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        n, *shape = self.images.shape
        size = " x ".join(map(str, shape))
        classes = "without labels" if self.labels is None else f"{self.classes} classes"
        lost = f", {len(self.unreadable):,} not readable" if self.unreadable else ""
        return f"Dataset {self.name}: {n:,} images of {size}, {self.images.dtype}, {classes}{lost}"

    @property
    def classes(self) -> int | None:
        """Number of known classes, None without labels."""
        return None if self.labels is None else int(self.labels.max()) + 1


def load(
    name: str | os.PathLike,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    resize: Resize = "crop",
    labels: str | os.PathLike = listing.FOLDERS,
    strict: bool = False,
    layout: str | None = None,
) -> Dataset:
    """A set by name, or from a path.

    A path is an .npz file with ``images`` and, if known, ``labels``, or an .npy file of images, or
    pictures. Pictures are a folder, a .zip, .tar or .tar.gz archive, or a .csv or .parquet table
    with a column ``file`` and, if known, ``label``. The rules for pictures are those of
    ``listing``, ``pictures`` and ``picture_sets``. A name comes before a folder of the same name;
    ./NAME is the folder.

    "digits" ships with scikit-learn; its 0..16 become uint8 0..255. The other names are files in
    the folder that $JAXCLUST_DATA names. Where the file is missing, tensorflow-datasets gives the
    set if it has it: the same images and labels in another order.

    Args:
      name: one of ``names()`` or a path.
      size: (height, width) that the images must have. Pictures are brought to it.
      channels: color channels that the images must have. Pictures are turned to gray (1) or RGB
        (3).
      resize: how pictures get to the size: "crop", "pad" or "stretch", see ``pictures.decode``.
      labels: where the classes of pictures come from: "folders", "none", or the path of a table
        with the columns ``file`` and ``label``. A picture without a class has the label -1.
      strict: refuse picture files that cannot be read. They are left out otherwise, and
        ``Dataset.unreadable`` names them.
      layout: "nchw" for arrays (n, c, h, w), "nhwc" for (n, h, w, c). Without it an array whose
        last axis is longer than 4 while axis 1 has 1, 3 or 4 entries is refused.

    Raises:
      UsageError: the name is unknown, or the file is missing or cannot be read. A named set is not
        the one known under its name. The images break a rule of ``checked``, or are not of the size
        or channels asked for. More than half of the picture files cannot be read.
      OSError: a folder cannot be listed.
    """
    source = labels if isinstance(labels, str) else Path(labels)
    reading = Reading(size, channels, resize, source, strict, layout=check_layout(layout))
    return read(name, reading)


def read(name: str | os.PathLike, reading: Reading = USUAL, least: int = 2) -> Dataset:
    """A set by name, or from a path, as ``load`` reads it.

    Args:
      name: as for ``load``.
      reading: what else ``load`` can be told.
      least: how many images of a path there must be. Clustering needs 2, prediction 1.

    Raises:
      UsageError: as from ``load``.
      OSError: a folder cannot be listed.
    """
    name = os.fspath(name)
    path = Path(name)
    if name not in SETS and listing.is_listed(path):
        dataset = _of_pictures(picture_sets.read(path, reading, least), least)
        return dataset._replace(resize=reading.resize, root=path, reading=reading)
    if name in SETS:
        dataset = _named(name)
    elif path.suffix in array_files.ENDINGS:
        dataset = checked(path.stem, *array_files.read(path), least, reading.layout)
    else:
        files = "a folder, archive or table of pictures, or a path to an .npz or .npy file"
        known = f"{', '.join(NAMES)}, {files}"
        hint = did_you_mean(name, NAMES)
        raise UsageError(f"data: must be one of {known}, got {name!r}{hint}")
    shape = dataset.images.shape
    expected = (*(reading.size or shape[1:3]), reading.channels or shape[3])
    if expected != shape[1:]:
        rule = f"images: must be of shape (n, {', '.join(map(str, expected))})"
        raise UsageError(f"{rule}, got {shape}; only a folder's images are scaled")
    if reading.labels != listing.FOLDERS:
        dataset = dataset._replace(labels=_other_labels(reading.labels, dataset.name))
    return dataset


def _of_pictures(pictures: picture_sets.PictureSet, least: int) -> Dataset:
    if len(pictures.images) < least:
        raise UsageError(f"images: must be at least {least}, got {len(pictures.images)}")
    return Dataset(
        pictures.name,
        pictures.images,
        pictures.labels,
        files=pictures.files,
        folder_digest=pictures.digest,
        class_names=pictures.class_names,
        unreadable=pictures.unreadable,
        summary=pictures.summary,
        notes=pictures.notes,
    )


def _other_labels(labels: str | Path, name: str) -> None:
    """The labels of arrays that are not to have their own: none."""
    if labels != listing.NONE:
        rule = "labels: must not be a table for a set of arrays, whose images have no names"
        raise UsageError(f"{rule}, got {labels} with {name}")


def _named(name: str) -> Dataset:
    """A named set, which must be the one known under its name."""
    known = SETS[name]
    path = known.path
    if known.file is None:
        images, labels = _digits()
        origin = "scikit-learn"
    elif path is not None:
        images, labels = array_files.read(path)
        part = slice(None) if known.last is None else slice(-known.last, None)
        images = images[part]
        labels = None if labels is None else labels[part]
        origin = str(path)
    else:
        images, labels = _from_tensorflow_datasets(name, known)
        origin = "tensorflow-datasets"
    dataset = checked(name, images, labels, layout="nhwc")
    digest = content(dataset)
    if digest != known.sha256:
        rule = f"data: {origin} must hold the images and labels known as {name}"
        expected = f"{known.n} of shape {known.shape}, SHA-256 {known.sha256}"
        raise UsageError(f"{rule}: {expected}; got {dataset.images.shape}, {digest}")
    return dataset


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (n, 8, 8), and classes of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target


def _from_tensorflow_datasets(name: str, known: Named) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a named set whose file is missing."""
    folder = os.environ.get("JAXCLUST_DATA")
    state = f"{folder} has none" if folder else "it is not set"
    variable = "the environment variable JAXCLUST_DATA"
    rule = f"data: {name} needs {variable} to name a folder with {known.file} ({state})"
    if known.tfds is None:
        raise UsageError(rule)
    try:
        return tfds.read(*known.tfds)
    except tfds.Unavailable as error:
        raise UsageError(f"{rule}; or tensorflow-datasets, which {error}") from error


def content(dataset: Dataset) -> str:
    """SHA-256 of a set's images with their labels, which does not depend on their order.

    It is the digest of the images' shape and dtype and of the rows' sorted digests. Images without
    labels count as of class -1.
    """
    labels = dataset.labels if dataset.labels is not None else np.full(len(dataset.images), -1)
    rows = zip(dataset.images, labels.astype("<i4"), strict=True)
    digests = sorted(
        hashlib.sha256(image.tobytes() + label.tobytes()).digest() for image, label in rows
    )
    head = f"{dataset.images.shape[1:]} {dataset.images.dtype.str}".encode()
    return hashlib.sha256(head + b"".join(digests)).hexdigest()


def checked(
    name: str,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    least: int = 2,
    layout: str | None = None,
) -> Dataset:
    """A set of arrays that can be clustered.

    Args:
      name: how results call it.
      images: uint8 in 0..255 or float in [0, 1]; (n, h, w) or (n, h, w, c). Floats up to ROUNDING
        beside [0, 1], as a scaler leaves them, become 0 or 1.
      labels: integers (n,), any values; they are renumbered from 0 in sorted order, except -1,
        which says that an image's class is not known. Or words (n,), which become the names of the
        classes; "" says that a class is not known. Or None.
      least: how many images there must be.
      layout: where the channels are, see ``array_images.channels_last``.

    Raises:
      UsageError: images or labels break their rule.
    """
    images = array_images.channels_last(images, layout)
    if len(images) < least:
        raise UsageError(f"images: must be at least {least}, got {len(images)}")
    array_images.check_values(images)
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
        if images.min() < 0 or images.max() > 1:
            images = np.clip(images, 0, 1)
    class_names = None
    if labels is not None:
        if labels.shape != images.shape[:1]:
            rule = f"labels: must have shape ({len(images)},) like the images"
            raise UsageError(f"{rule}, got {labels.shape}")
        labels, class_names = known_labels.of_any(labels)
    images = np.ascontiguousarray(images)
    return Dataset(name, images, labels, class_names=class_names)


def check_clusters(images: np.ndarray, clusters: int, where: str = "") -> None:
    """Refuses a number of clusters that images cannot have.

    Args:
      images: (n, h, w, c).
      clusters: the number.
      where: words that follow "images" in the message, such as " in the first block".

    Raises:
      UsageError: the number is below 2, or above the number of distinct images.
    """
    if clusters < 2:
        raise UsageError(f"clusters: must be at least 2, got {clusters}")
    if clusters > len(images):
        rule = f"clusters: must be at most the number of images{where}, {len(images)}"
        raise UsageError(f"{rule}, got {clusters}")
    distinct = set()
    for image in images:
        distinct.add(image.tobytes())
        if len(distinct) >= clusters:
            return
    rule = f"clusters: must be at most the number of distinct images{where}, {len(distinct)}"
    raise UsageError(f"{rule}, got {clusters}")


def fingerprint(dataset: Dataset) -> Fingerprint:
    """What tells a set from others."""
    images = dataset.images
    digest = hashlib.sha256(images.tobytes())
    digest.update(b"" if dataset.labels is None else dataset.labels.tobytes())
    return Fingerprint(dataset.name, images.shape, str(images.dtype), digest.hexdigest())


def family(data: str) -> str | None:
    """What a named set is a part or a version of, such as "mnist" for "mnist-test".

    Args:
      data: the name of a set, also as tfds:NAME/SPLIT, or anything else that --data takes.

    Returns:
      A word that named sets with images in common share; None where ``data`` is no named set.
    """
    name = data
    if data.startswith("tfds:"):
        name = data.removeprefix("tfds:").partition("/")[0].replace("_", "-")
    return name.partition("-")[0] if name in NAMES else None


def table() -> str:
    """The named sets as a table: size, origin, license, and whether they are here."""
    rows = [("name", "images", "shape", "classes", "source", "license", "here")]
    for name, known in SETS.items():
        if known.file is None:
            here = "ships with scikit-learn"
        elif known.path is not None:
            here = "yes"
        else:
            here = "no, tensorflow-datasets" if known.tfds else "no"
        shape = "x".join(map(str, known.shape))
        rows.append(
            (name, f"{known.n:,}", shape, str(known.classes), known.source, known.license, here)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in rows]
    folder = os.environ.get("JAXCLUST_DATA")
    state = folder if folder else "not set"
    return "\n".join([*lines, f"here: as a file in $JAXCLUST_DATA, {state}"])


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column in (1, 3) else cell.ljust(width)
