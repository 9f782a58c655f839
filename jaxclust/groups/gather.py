"""Finds pictures, and computes their features with progress and within a time."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxclust.data import feature_files, in_threads, picture_sets
from jaxclust.data import features as array_features
from jaxclust.data import pictures as decoding
from jaxclust.data.features import DSIFT_PCA, KNOWN
from jaxclust.data.in_threads import Done
from jaxclust.data.listing import FOLDERS, NONE, Listing, left_out_note, listing, shown
from jaxclust.data.picture_sets import Reading, check_readable, listing_digest
from jaxclust.data.pictures import Unreadable
from jaxclust.errors import UsageError, did_you_mean
from jaxclust.groups.options import Options
from jaxclust.groups.show import Pictures
from jaxclust.runs import features as features_of
from jaxclust.runs.embedders import ONNX, is_embedder
from jaxclust.runs.progress import Bars

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 320
"""Pixels of the longer side of a picture on the page, before the page scales it."""


class OutOfTime(Exception):
    """The time that was given is over."""


class Found(NamedTuple):
    """Pictures that have not been read.

    Attributes:
      source: where they are.
      listing: their files.
      digest: SHA-256 of the files' names and sizes.
      summary: a sentence about them.
    """

    source: Path
    listing: Listing
    digest: str
    summary: str


class Gathered(NamedTuple):
    """The pictures that could be read, and their features.

    Attributes:
      found: the files.
      rows: places of the m readable ones, int (m,).
      features: float32 (m, d).
      unreadable: places of the other files, with reasons.
    """

    found: Found
    rows: np.ndarray
    features: np.ndarray
    unreadable: dict[int, str]

    @property
    def labels(self) -> np.ndarray | None:
        """Known kinds by number, int32 (m,), -1 where it is not known; or None."""
        labels = self.found.listing.labels
        return None if labels is None else labels[self.rows]

    @property
    def kinds(self) -> list[str | None]:
        """The name of each picture's kind, None where it is not known."""
        labels = self.labels
        classes = self.found.listing.classes
        if labels is None or classes is None:
            return [None] * len(self.rows)
        return [classes[label] if label >= 0 else None for label in labels.tolist()]


def find(source: Path, options: Options) -> Found:
    """Lists pictures.

    Args:
      source: a folder, an archive or a table.
      options: say which labels are known.

    Raises:
      UsageError: there are none, or the labels do not fit.
    """
    own = source == options.folder
    labels = options.labels if own and options.labels is not None else FOLDERS
    files = listing(source, labels)
    return Found(source, files, listing_digest(files), _summary(source, files, options))


def digest_of_inputs(options: Options, sources: Sequence[Found]) -> str:
    """SHA-256 of what decides the result beside names and sizes of the pictures.

    These are the files of features and of labels, the times at which pictures were changed, and the
    pictures that are added.

    Args:
      options: name the files.
      sources: the pictures, those that are added among them.
    """
    digest = hashlib.sha256()
    features = options.features.removeprefix(ONNX).partition("?")[0]
    for path in (Path(features), options.labels):
        if isinstance(path, Path) and path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    for found in sources:
        digest.update(found.digest.encode())
        paths = [found.listing.path(index) for index in range(len(found.listing.files))]
        whole = [found.source] if None in paths else paths
        for path in whole:
            changed = path.stat().st_mtime_ns if path is not None and path.exists() else -1
            digest.update(str(changed).encode())
    return digest.hexdigest()


def _summary(source: Path, files: Listing, options: Options) -> str:
    """What was found, in one line."""
    text = f"{len(files.files):,} pictures in {shown(str(source))}"
    if files.classes is not None:
        text += f", {len(files.classes)} known kinds for comparison alone"
    if is_embedder(options.features) or options.features == DSIFT_PCA:
        text += f" -> {options.features} ({options.resize})"
    return text + left_out_note(files.left_out)


def gather(found: Found, options: Options, bars: Bars, check: Callable[[], object]) -> Gathered:
    """Computes features of pictures, or reads them from the cache.

    Args:
      found: the pictures.
      options: name the features, the way to resize, and whether damaged files are refused.
      bars: shows progress.
      check: is called now and then, and raises OutOfTime where the work is to stop.

    Raises:
      UsageError: there are no such features, or more than half of the files cannot be read, or any
        where ``options.strict``.
    """
    files = found.listing
    title = f"features of {found.source.name}"

    def show_reading(done: int, total: int) -> None:
        bars.count("reading pictures", done, total)
        check()

    if options.features == DSIFT_PCA:
        made = _descriptors(found, options, bars, show_reading)
    elif not is_embedder(options.features):
        made = _from_file(found, options, show_reading)
        bars.close()
    else:
        bars.count(title, 0, len(files.files))

        def show(done: int, total: int, _: float) -> None:
            bars.count(title, done, total)
            check()

        def decode(content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
            return decoding.decode(content, shape, options.resize)

        given = features_of.Pictures(files.files, files.content, decode, options.resize)
        with decoding.quiet():
            made = features_of.features_of(options.features, given, show)
        bars.close()
    unreadable = dict(sorted(made.unreadable.items()))
    check_readable(found.source, files, unreadable, options.strict)
    return Gathered(found, made.rows, made.values, unreadable)


def _descriptors(found: Found, options: Options, bars: Bars, show: Done) -> features_of.Features:
    """Dense SIFT with PCA of the pictures, brought to one size as ``fit`` does.

    Raises:
      UsageError: more than half of the pictures cannot be read, all are alike, or OpenCV is not
        installed.
    """
    reading = Reading(resize=options.resize, labels=NONE)
    pictures = picture_sets.read(found.source, reading, done=show)
    bars.stage(f"features {DSIFT_PCA}")
    values = array_features.cached(pictures.images)
    bars.close()
    places = {name: place for place, name in enumerate(found.listing.files)}
    rows = np.array([places[name] for name in pictures.files], np.int64)
    unreadable = {places[name]: reason for name, reason in pictures.unreadable.items()}
    return features_of.Features(values, rows, unreadable)


def _from_file(found: Found, options: Options, show: Done) -> features_of.Features:
    """Features of the pictures' files from a table that was computed elsewhere.

    Raises:
      UsageError: the table cannot be read, or has no features of some picture.
    """
    name = options.features
    files = found.listing.files
    if name.endswith(".npy"):
        values = feature_files.read_npy(Path(name))
    elif name.endswith(".parquet"):
        values = feature_files.read_parquet(Path(name), files)
    else:
        known = f"{', '.join(KNOWN)}, onnx:FILE or the path of an .npy or .parquet file"
        raise UsageError(f"features: must be {known}, got {name!r}{did_you_mean(name, KNOWN)}")
    if values.ndim != 2 or len(values) != len(files) or values.dtype.kind not in "fiu":
        rule = f"features: {name} must have numbers of shape ({len(files)}, d)"
        source = shown(str(found.source))
        raise UsageError(f"{rule}, a row for each of {source}, got {values.dtype} {values.shape}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        rule = f"features: {name} must have finite numbers below 1e38"
        raise UsageError(f"{rule}, got others in {int((~np.isfinite(values)).sum())} places")

    def header(index: int) -> object:
        return decoding.header(found.listing.path(index) or found.listing.content(index))

    headers = enumerate(in_threads.each(header, range(len(files)), show))
    unreadable = {index: str(read) for index, read in headers if isinstance(read, Unreadable)}
    rows = np.setdiff1d(np.arange(len(files)), list(unreadable)).astype(np.int64)
    return features_of.Features(values[rows], rows, unreadable)


def joined(parts: Sequence[Gathered], vectors: np.ndarray) -> Pictures:
    """The readable pictures of several sources as one.

    Args:
      parts: the first has the pictures that names are relative to.
      vectors: of all of them, float32 (n, p).
    """
    places = [(part, int(row)) for part in parts for row in part.rows]
    first = parts[0].found
    names = [_name(first, part.found, row) for part, row in places]

    def content(index: int) -> bytes:
        part, row = places[index]
        return part.found.listing.content(row)

    def path(index: int) -> Path | None:
        part, row = places[index]
        return part.found.listing.path(row)

    def thumbnail(index: int) -> "Image":
        try:
            return decoding.thumbnail(content(index), THUMBNAIL)
        except Unreadable as error:  # It was readable when its features were computed.
            raise OSError(str(error)) from error

    title = first.source.resolve().name
    return Pictures(title, tuple(names), vectors, content, path, thumbnail)


def unreadable_of(parts: Sequence[Gathered]) -> dict[str, str]:
    """The files of several sources that could not be read, named as ``joined`` names pictures."""
    return {
        _name(parts[0].found, part.found, row): reason
        for part in parts
        for row, reason in part.unreadable.items()
    }


def _name(first: Found, other: Found, row: int) -> str:
    """The name of a picture, seen from the folder of the first ones."""
    if other is first:
        return first.listing.files[row]
    path = other.listing.path(row)
    if path is None:
        archive = os.path.relpath(other.source.resolve(), first.listing.root.resolve())
        return f"{archive}/{other.listing.files[row]}".replace(os.sep, "/")
    return os.path.relpath(path.resolve(), first.listing.root.resolve()).replace(os.sep, "/")
