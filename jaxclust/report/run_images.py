"""The images of a run, found again by their checksum, and what its network was given in their place."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.data import datasets, features, sources
from jaxclust.data.image_folder import Unreadable
from jaxclust.engine import fit
from jaxclust.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Streamed:
    """Images of a source, read when an array of places asks for them; ``rows`` are their places in the source."""

    source: sources.Source
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        try:
            return np.stack([self.source.read(int(row)) for row in self.rows[places]])
        except Unreadable as error:
            raise UsageError(
                f"data: {self.source.name} must be readable as it was in the run ({error})"
            ) from error


Found = tuple[datasets.Dataset, frozenset[str]]
"""A set, whose images may be ``Streamed``, and the checksums that it may have in a run's settings."""


def cache() -> Callable[[str, tuple[int, int], bool], Found]:
    """``opened`` for many runs, which keeps the last few sets."""
    return functools.lru_cache(maxsize=4)(opened)


def opened(path: str, size: tuple[int, int], streamed: bool) -> Found:
    """A set by name or path; ValueError as ``datasets.load`` and ``sources.open_source``.

    Args:
      path: its name or path.
      size: (height, width) to which a folder's images are scaled.
      streamed: whether it is for a stream, which has other checksums and whose images are not all read.
    """
    folder = path not in datasets.NAMES and Path(path).is_dir()
    if streamed and (folder or path.startswith(sources.SET) or path.endswith(".npy")):
        source = sources.open_source(path, size if folder else None)
        images = Streamed(source, np.arange(len(source)))
        return datasets.Dataset(source.name, images, source.labels), frozenset([source.digest])
    return _with_checksums(datasets.load(path, size if folder else None))


def _with_checksums(dataset: datasets.Dataset) -> Found:
    """A stream's checksum is of pixels alone."""
    return dataset, frozenset(
        [datasets.fingerprint(dataset)["sha256"], fit.pixels_digest(dataset.images)]
    )


def find(
    settings: dict[str, Any],
    own: Sequence[datasets.Dataset | str],
    notes: list[str],
    reader: Callable[[str, tuple[int, int], bool], Found] = opened,
) -> datasets.Dataset | None:
    """The images of a run, whatever its network was given in their place.

    Args:
      settings: of the run.
      own: sets, or names or paths of sets, to look among, before the one of the run's own name.
      notes: what is missing is said here.
      reader: reads a set, as ``opened`` does.

    Returns:
      Images, that may be ``Streamed``, and labels; None where no set has the checksum.
    """
    origin, name = settings.get("origin", {}), settings["data"]["name"]
    if "features" in settings and "images" not in origin:
        notes.append(f"no pictures: the run does not say of which images the features {name} are")
        return None
    wanted = origin.get("images", settings["data"])
    name, size = wanted["name"], tuple(wanted["shape"][1:3])
    known = [name] if name in datasets.NAMES and name not in own else []
    reasons = []
    for one in [*own, *known]:
        try:
            read = isinstance(one, datasets.Dataset)
            dataset, checksums = (
                _with_checksums(one) if read else reader(one, size, "stream" in settings)
            )
        except ValueError as error:
            reasons.append(str(error))
            continue
        if wanted["sha256"] in checksums:
            return dataset
        reasons.append(f"{one.name if read else one} has another checksum")
    if reasons:
        notes.append(f"no pictures: the images of {name} are not to be had: {'; '.join(reasons)}")
    else:
        notes.append(f"no pictures: --data PATH must say where the images of {name} are")
    return None


def part(dataset: datasets.Dataset, rows: np.ndarray) -> datasets.Dataset:
    """The images of some rows, int (m,), and their labels."""
    images = dataset.images
    images = (
        Streamed(images.source, images.rows[rows]) if isinstance(images, Streamed) else images[rows]
    )
    return dataset._replace(
        images=images, labels=None if dataset.labels is None else dataset.labels[rows]
    )


def inputs(settings: dict[str, Any], dataset: datasets.Dataset) -> np.ndarray | Streamed:
    """What the run's network was given: the images, or features in their place.

    Raises:
      ValueError: the features cannot be read, or are not the run's any more.
    """
    if "features" not in settings:
        return dataset.images
    which = settings["origin"]["features"]
    replaced = features.replaced(dataset, which)
    if settings["data"]["sha256"] not in _with_checksums(replaced)[1]:
        raise UsageError(f"features: {which} must be those of the run, has another checksum")
    return replaced.images
