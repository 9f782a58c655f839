"""Image sets: by name, or a user's own .npz file; and the checks every set passes before any work starts."""

import hashlib
import lzma
import os
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

_FILES = {
    "mnist": "mnist.npz",
    "mnist-test": "mnist.npz",
    "fashion-mnist": "fashion_mnist.npz",
    "usps": "usps_9298.npz",
    "usps-11000": "usps_11000.npz",
    "coil20": "coil20.npz",
    "coil20-32": "coil20_32.npz",
    "coil100-32": "coil100_32.npz",
    "yaleb": "yaleb_48x42.npz",
}
_PARTS = {"mnist-test": slice(-10_000, None)}
NAMES = ("digits", *_FILES)


class Dataset(NamedTuple):
    """Images to cluster.

    Attributes:
      name: as typed for a named set, the file's stem otherwise.
      images: uint8 in 0..255 or float32 in [0, 1], (n, h, w, c).
      labels: true classes for scoring, int32 (n,) in 0..classes-1, or None.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None

    @property
    def classes(self) -> int | None:
        """Number of classes, None without labels."""
        return None if self.labels is None else len(np.unique(self.labels))


def load(name: str) -> Dataset:
    """A set by name, or from a path to an .npz file with ``images`` and, if known, ``labels``.

    "digits" ships with scikit-learn; its 0..16 become uint8 0..255. The other names are files in the folder that
    $JAXCLUST_DATA names.

    Args:
      name: one of ``NAMES`` or a path.

    Raises:
      ValueError: an unknown name, a missing or unreadable file, or images that ``checked`` refuses.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return checked(name, np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target)
    if name in _FILES:
        folder = os.environ.get("JAXCLUST_DATA")
        if not folder:
            raise ValueError(
                f"data: {name} needs the environment variable JAXCLUST_DATA to name a folder with {_FILES[name]}"
            )
        path = Path(folder) / _FILES[name]
        part = _PARTS.get(name, slice(None))
        images, labels = _read(path)
        return checked(name, images[part], None if labels is None else labels[part])
    path = Path(name)
    if path.suffix != ".npz":
        raise ValueError(f"data: must be one of {', '.join(NAMES)} or a path to an .npz file, got {name!r}")
    return checked(path.stem, *_read(path))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if not path.is_file():
        raise ValueError(f"data: {path} must be a file, and is not there")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name in ("images", "labels")}
            names = archive.files
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"data: {path} must be a readable .npz file of plain arrays ({error})") from error
    if "images" not in arrays:
        raise ValueError(f"data: {path} must hold an array 'images', got {names}")
    return arrays["images"], arrays.get("labels")


def checked(name: str, images: np.ndarray, labels: np.ndarray | None = None) -> Dataset:
    """A set of arrays that can be clustered.

    Args:
      name: how results call it.
      images: uint8 in 0..255 or float in [0, 1]; (n, h, w) or (n, h, w, c).
      labels: integers (n,), any values; renumbered from 0 in sorted order. Or None.

    Raises:
      ValueError: images or labels break their rule.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"images: must be of rank 3 (n, h, w) or 4 (n, h, w, c), got shape {images.shape}")
    if 0 in images.shape:
        raise ValueError(f"images: must not be empty, got shape {images.shape}")
    if len(images) < 2:
        raise ValueError(f"images: must be at least 2, got {len(images)}")
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images: must be uint8 in 0..255 or float in [0, 1], got dtype {images.dtype}")
        if not np.isfinite(images).all():
            count = int((~np.isfinite(images)).sum())
            raise ValueError(f"images: must be finite, got NaN or inf in {count} of {images.size} values")
        low, high = float(images.min()), float(images.max())
        if low < 0 or high > 1:
            raise ValueError(f"images: floats must lie in [0, 1], got {low:g} to {high:g}")
        images = images.astype(np.float32)
    if labels is not None:
        if labels.shape != images.shape[:1]:
            raise ValueError(f"labels: must have shape ({len(images)},) like the images, got {labels.shape}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels: must be integers, got dtype {labels.dtype}")
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    return Dataset(name, np.ascontiguousarray(images), labels)


def check_clusters(dataset: Dataset, clusters: int) -> None:
    """Refuses a number of clusters that these images cannot have: ValueError."""
    if clusters < 2:
        raise ValueError(f"clusters: must be at least 2, got {clusters}")
    if clusters > len(dataset.images):
        raise ValueError(f"clusters: must be at most the number of images, {len(dataset.images)}, got {clusters}")
    distinct = set()
    for image in dataset.images:
        distinct.add(image.tobytes())
        if len(distinct) >= clusters:
            return
    raise ValueError(f"clusters: must be at most the number of distinct images, {len(distinct)}, got {clusters}")


def fingerprint(dataset: Dataset) -> dict:
    """What tells one set from another, for a run's settings: name, shape, dtype, and SHA-256 of images and labels."""
    digest = hashlib.sha256(dataset.images.tobytes())
    digest.update(b"" if dataset.labels is None else dataset.labels.tobytes())
    return {
        "name": dataset.name,
        "shape": list(dataset.images.shape),
        "dtype": str(dataset.images.dtype),
        "sha256": digest.hexdigest(),
    }
