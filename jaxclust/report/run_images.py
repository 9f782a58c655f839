"""The images of a run, found by their checksum, and what its network got in their place."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.data import archives, datasets, listing, sources
from jaxclust.data.datasets import Dataset, Fingerprint
from jaxclust.data.picture_sets import USUAL, Reading
from jaxclust.data.pictures import Unreadable
from jaxclust.engine.weights import pixels_digest
from jaxclust.errors import UsageError
from jaxclust.runs import feature_inputs
from jaxclust.runs.settings import Settings


class Streamed(NamedTuple):
    """Images of a stream, which are read when an array of places asks for them.

    Attributes:
      source: the stream.
      places: the images' places in it, int (n,).
    """

    source: sources.Source
    places: np.ndarray

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of some rows, int (m,): (m, h, w, c).

        Raises:
          UsageError: an image cannot be read any more.
        """
        try:
            return np.stack([self.source.read(int(place)) for place in self.places[rows]])
        except Unreadable as error:
            rule = f"data: {self.source.name} must be readable as it was in the run"
            raise UsageError(f"{rule} ({error})") from error


class Pictures(NamedTuple):
    """Images and true labels that a page shows.

    Attributes:
      name: the set's name.
      images: uint8 or float32 in [0, 1], (n, h, w, c); or a stream's.
      labels: true classes, int32 (n,), -1 where one is not known; or None.
      files: the images' names in the folder that they were read from, or None.
      root: that folder, archive or table, or None.
      class_names: the classes' names by their number, or None where they have none.
    """

    name: str
    images: np.ndarray | Streamed
    labels: np.ndarray | None
    files: tuple[str, ...] | None = None
    root: Path | None = None
    class_names: tuple[str, ...] | None = None

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of some rows, int (m,): (m, h, w, c)."""
        if isinstance(self.images, Streamed):
            return self.images.read(rows)
        return self.images[rows]

    def part(self, rows: np.ndarray) -> "Pictures":
        """The images of some rows, int (m,), and their labels."""
        if isinstance(self.images, Streamed):
            images = self.images._replace(places=self.images.places[rows])
        else:
            images = self.images[rows]
        labels = None if self.labels is None else self.labels[rows]
        files = None if self.files is None else tuple(self.files[row] for row in rows)
        return self._replace(images=images, labels=labels, files=files)

    def names(self, rows: np.ndarray) -> list[str]:
        """The files' names of some rows, int (m,), on one line each; none where there are none."""
        return [] if self.files is None else [listing.shown(self.files[row]) for row in rows]

    def addresses(self, rows: np.ndarray) -> list[str | None]:
        """The files' addresses of some rows, int (m,), None for one in an archive."""
        root = self.root
        if self.files is None or root is None or archives.is_archive(root):
            return [None for _ in rows]
        folder = root.parent if listing.is_table(root) else root
        return [(folder / self.files[row]).resolve().as_uri() for row in rows]

    def class_name(self, number: int) -> str:
        """What a class is called: by its name, or by its number where it has none."""
        if self.class_names is None:
            return f"class {number}"
        return listing.shown(self.class_names[number])


class CheckedSet(NamedTuple):
    """A set, and the checksums that a run's settings may have of it.

    Attributes:
      pictures: the images and labels.
      checksums: of images with labels; of a stream, of the pixels alone.
    """

    pictures: Pictures
    checksums: frozenset[str]


Reader = Callable[[str, Reading, bool], CheckedSet]
"""Reads a set, as ``open_set`` does."""


def cached_reader() -> Reader:
    """``open_set`` for many runs, which keeps the last few sets."""
    return functools.lru_cache(maxsize=4)(open_set)


def open_set(path: str, reading: Reading, streamed: bool) -> CheckedSet:
    """A set by its name or path.

    Args:
      path: its name or path.
      reading: how pictures are read; other sets are read as they are.
      streamed: whether the run read a stream. It has another checksum, and not all of its images
        are read.

    Raises:
      UsageError: the set cannot be read.
    """
    listed = path not in datasets.NAMES and listing.is_listed(Path(path))
    as_read = reading if listed else USUAL
    if streamed and (listed or path.startswith(sources.SET) or path.endswith(".npy")):
        source = sources.open_source(path, reading=as_read)
        images = Streamed(source, np.arange(len(source)))
        pictures = Pictures(source.name, images, source.labels, class_names=source.class_names)
        if listed:
            files = tuple(source.called(place) for place in range(len(source)))
            pictures = pictures._replace(files=files, root=Path(path))
        return CheckedSet(pictures, frozenset([source.digest]))
    return _of_dataset(datasets.read(path, as_read))


def _of_dataset(dataset: Dataset) -> CheckedSet:
    pictures = Pictures(
        dataset.name,
        dataset.images,
        dataset.labels,
        dataset.files,
        dataset.root,
        dataset.class_names,
    )
    return CheckedSet(pictures, _checksums(dataset))


def _checksums(dataset: Dataset) -> frozenset[str]:
    """The checksum of a set, and that of a stream of its images."""
    pixels = pixels_digest(dataset.images)
    return frozenset([datasets.fingerprint(dataset).sha256, pixels])


def _fingerprint(settings: Settings) -> Fingerprint:
    """What tells the images of a run from others, whatever its network got in their place."""
    images = settings.origin.get("images")
    if not isinstance(images, dict):
        return settings.data
    shape = images.get("shape")
    sides = [side for side in shape if isinstance(side, int)] if isinstance(shape, list) else []
    if len(sides) != 4:
        raise UsageError(f"run: origin must hold the shape of its images, got {shape}")
    name, dtype, digest = (str(images.get(key, "")) for key in ("name", "dtype", "sha256"))
    return Fingerprint(name, tuple(sides), dtype, digest)


def find(
    settings: Settings,
    own: Sequence[Dataset | str],
    notes: list[str],
    reader: Reader = open_set,
    folder: Path | None = None,
) -> Pictures | None:
    """The images of a run, whatever its network got in their place.

    Args:
      settings: of the run.
      own: sets, or names or paths of sets. They are looked at first, then the path that the run
        read its images from, then the set of the run's own name.
      notes: gets a sentence on what is missing, and on where it was looked for.
      reader: reads a set.
      folder: the run's folder. A relative path of the run is tried from the current directory and
        from the folders above this one.

    Returns:
      Images and labels; None where no set has the checksum.
    """
    if settings.features is not None and "images" not in settings.origin:
        features_name = settings.data.name
        notes.append(
            f"no pictures: the run does not say of which images the features {features_name} are"
        )
        return None
    fingerprint = _fingerprint(settings)
    name = fingerprint.name
    height, width, channels = fingerprint.shape[1:]
    reading = settings.reading._replace(size=(height, width), channels=channels)
    known = [name] if name in datasets.NAMES else []
    found, missing = _read_from(settings, folder)
    reasons = []
    tries = [(one, reading) for one in (*own, *known)]
    tries[len(own) : len(own)] = [(str(path), _near(reading, base)) for path, base in found]
    for candidate, own_reading in _distinct(tries):
        try:
            if isinstance(candidate, Dataset):
                checked = _of_dataset(candidate)
            else:
                checked = reader(candidate, own_reading, settings.stream is not None)
        except UsageError as error:
            reasons.append(str(error))
            continue
        if fingerprint.sha256 in checked.checksums:
            return checked.pictures
        called = candidate.name if isinstance(candidate, Dataset) else candidate
        reasons.append(f"{called} has another checksum")
    reasons += missing
    if reasons:
        notes.append(f"no pictures: the images of {name} are not to be had: {'; '.join(reasons)}")
    else:
        notes.append(f"no pictures: --data PATH must say where the images of {name} are")
    return None


def _read_from(
    settings: Settings, folder: Path | None
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Where the path is now that a run read its images from.

    Args:
      settings: of the run.
      folder: the run's folder, or None.

    Returns:
      Paths that exist, each with the folder that it is relative to; and, where there are none, a
      sentence on where they were looked for.
    """
    kept = settings.origin.get("data")
    if not isinstance(kept, str) or kept in datasets.NAMES or kept.startswith(sources.SET):
        return [], []
    path = Path(kept)
    bases = [Path.cwd()]
    if folder is not None and not path.is_absolute():
        bases += folder.resolve().parents
    places = {base / path: base for base in reversed(bases)}
    found = [(place, base) for place, base in reversed(places.items()) if place.exists()]
    if found:
        return found, []
    looked = f"{kept} is not there any more"
    if not path.is_absolute():
        above = "" if folder is None else f" nor in a folder above {folder}"
        looked = f"{kept} is neither in {Path.cwd()}{above}"
    return [], [f"{looked}; --data PATH can say where they are"]


def _near(reading: Reading, base: Path) -> Reading:
    """How pictures are read whose table of labels may be relative to a folder."""
    labels = base / reading.labels
    if reading.labels in (listing.FOLDERS, listing.NONE) or not labels.exists():
        return reading
    return reading._replace(labels=str(labels))


def _distinct(tries: list[tuple[Dataset | str, Reading]]) -> list[tuple[Dataset | str, Reading]]:
    """Sets without those whose path is there already."""
    kept = []
    paths = set()
    for candidate, reading in tries:
        path = None if isinstance(candidate, Dataset) else os.path.abspath(candidate)
        if path is None or path not in paths:
            kept.append((candidate, reading))
        paths.add(path)
    return kept


def inputs(settings: Settings, pictures: Pictures) -> Pictures:
    """What the run's network got: the images, or features in their place.

    Raises:
      UsageError: the features cannot be read, or are no longer those of the run.
    """
    if settings.features is None:
        return pictures
    if isinstance(pictures.images, Streamed):
        raise UsageError("features: must be of images in memory, got a stream")
    which = str(settings.origin.get("features", settings.features))
    dataset = Dataset(
        pictures.name,
        pictures.images,
        pictures.labels,
        pictures.files,
        resize=settings.reading.resize,
        root=pictures.root,
    )
    replaced, _ = feature_inputs.replaced(dataset, which)
    # Another machine rounds a network's features otherwise; the images were compared already.
    computed = feature_inputs.takes_new_images(settings)
    if not computed and settings.data.sha256 not in _checksums(replaced):
        raise UsageError(f"features: {which} must be those of the run, has another checksum")
    return Pictures(replaced.name, replaced.images, replaced.labels)
