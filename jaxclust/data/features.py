"""Features in the images' place, for every method: dense SIFT with PCA, or a user's own from an .npy file.

A vector of d features becomes an image of one channel and h x w pixels, row by row, h the largest divisor of d that is
at most its root (300: 15 x 20), which networks take that do not ask for larger images. Features are divided by one
number, the root of their mean square, so that step sizes that suit images suit them (as Xie et al. 2016 scale theirs);
distances keep their proportions. They are float32 and of either sign.
"""

import contextlib
import hashlib
import importlib.metadata
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.data.datasets import UNREADABLE, Dataset
from jaxclust.errors import UsageError

DSIFT_PCA = "dsift-pca"
DIMENSIONS = 300
"""Of the principal components (DCTL, section 4)."""
PATCH, STEP = 16, 8
"""Pixels of a descriptor's side, and between two descriptors (ours)."""
LEAST_SIDE = 40
"""Smaller images are enlarged by a whole factor until their shorter side has this many pixels (ours)."""
LEAST_SPREAD = 1e-5
"""Of features around their means, for a mean square of 1."""
SETTINGS = ("2", DIMENSIONS, PATCH, STEP, LEAST_SIDE)
"""What the features depend on beside the images; the first entry is the version of this code."""


def replaced(dataset: Dataset, which: str) -> Dataset:
    """The set with features in the images' place.

    Args:
      dataset: the images.
      which: "dsift-pca", or the path of an .npy file with a row of features for each image.

    Returns:
      ``images`` float32, (n, h, w, 1), and a name that says which features they are; labels and files as they were.

    Raises:
      ValueError: neither of the two, a file that cannot be read, or features that ``as_images`` refuses or of another
        number than the images.
    """
    if which == DSIFT_PCA:
        name, images = which, as_images(cached(dataset.images))
    elif which.endswith(".npy"):
        name, images = Path(which).stem, as_images(_read(Path(which)))
    else:
        raise UsageError(
            f"features: must be {DSIFT_PCA} or the path of an .npy file, got {which!r}"
        )
    n = len(dataset.images)
    if len(images) != n:
        raise UsageError(
            f"features: must have a row for each of the {n} images, got {len(images)} in {which}"
        )
    return dataset._replace(name=f"{dataset.name}+{name}", images=images)


def as_images(features: np.ndarray) -> np.ndarray:
    """Vectors as images of h x w pixels, divided by the root of their mean square.

    Args:
      features: numbers, (n, d).

    Returns:
      float32, (n, h, w, 1), h * w = d.

    Raises:
      ValueError: not such an array, empty, NaN or inf, or the same for all images but for rounding.
    """
    if features.ndim != 2 or not (
        np.issubdtype(features.dtype, np.floating) or features.dtype.kind in "iu"
    ):
        raise UsageError(
            f"features: must be numbers of shape (n, d), got {features.dtype} {features.shape}"
        )
    if 0 in features.shape:
        raise UsageError(f"features: must not be empty, got shape {features.shape}")
    features = features.astype(np.float64)
    if not np.isfinite(features).all():
        count = int((~np.isfinite(features)).sum())
        raise UsageError(
            f"features: must be finite, got NaN or inf in {count} of {features.size} values"
        )
    if (features == features[0]).all():
        raise UsageError(
            f"features: must differ between images, got the same {features.shape[1]} for all"
        )
    features /= np.abs(features).max()  # So that no square overflows or vanishes.
    features /= np.sqrt(np.mean(features**2))
    spread = np.sqrt(np.mean((features - features.mean(axis=0)) ** 2))
    if spread < LEAST_SPREAD:
        rule = f"must differ between images by {LEAST_SPREAD:g} of their size or more, for float32 to tell them apart"
        raise UsageError(f"features: {rule}, got {spread:.2g}; subtract their mean")
    features = features.astype(np.float32)
    d = features.shape[1]
    height = next(h for h in range(math.isqrt(d), 0, -1) if d % h == 0)
    return features.reshape(-1, height, d // height, 1)


def dense_sift(images: np.ndarray, patch: int = PATCH, step: int = STEP) -> np.ndarray:
    """SIFT descriptors (Lowe 2004) of unit length, upright, on a grid of overlapping patches.

    Args:
      images: uint8 or float32 in [0, 1], (n, h, w, c); colour is turned to grey, without its fourth channel.
      patch: pixels of a descriptor's side, after the enlargement of small images.
      step: pixels between two descriptors.

    Returns:
      float32, (n, patches * 128); zeros for a patch without any gradient.

    Raises:
      ValueError: OpenCV is not installed, or another number of channels than 1, 3 and 4.
    """
    cv2 = _opencv()
    if images.shape[3] not in (1, 3, 4):
        raise UsageError(
            f"features: {DSIFT_PCA} needs images of 1, 3 or 4 channels, got {images.shape[3]}"
        )
    if images.dtype != np.uint8:
        images = np.round(images * 255).astype(np.uint8)
    factor = -(-LEAST_SIDE // min(images.shape[1:3]))
    height, width = (factor * size for size in images.shape[1:3])
    centres = [np.arange(patch / 2, size - patch / 2 + 1, step) for size in (height, width)]
    # A descriptor has 4 x 4 cells of 3 * size / 2 pixels.
    keypoints = [
        cv2.KeyPoint(float(x), float(y), patch / 6, 0.0) for y in centres[0] for x in centres[1]
    ]
    sift, found = cv2.SIFT_create(), []
    for image in images:
        grey = (
            image[..., 0]
            if image.shape[2] == 1
            else cv2.cvtColor(image[..., :3], cv2.COLOR_RGB2GRAY)
        )
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR)
        kept, descriptors = sift.compute(grey, keypoints)
        if len(kept) != len(keypoints):
            raise UsageError(f"features: OpenCV kept {len(kept)} of {len(keypoints)} patches")
        lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
        found.append((descriptors / np.maximum(lengths, 1e-12)).ravel().astype(np.float32))
    return np.stack(found)


def dsift_pca(images: np.ndarray, patch: int = PATCH, step: int = STEP) -> np.ndarray:
    """Dense SIFT, then the first 300 principal components, or as many as there are: float32, (n, d) (DCTL, section 4).

    In float64 and without a random solver, so that another machine gives the same but for rounding.

    Args:
      images: uint8 or float32 in [0, 1], (n, h, w, c).
      patch: as of ``dense_sift``.
      step: as of ``dense_sift``.

    Raises:
      ValueError: OpenCV is not installed, or all images have the same descriptors.
    """
    from sklearn.decomposition import PCA

    descriptors = dense_sift(images, patch, step)
    if (descriptors == descriptors[0]).all():
        raise UsageError(
            f"features: {DSIFT_PCA} must differ between images, got the same for all {len(images)}"
        )
    n, d = descriptors.shape
    pca = PCA(min(DIMENSIONS, n, d), svd_solver="covariance_eigh" if n >= d else "full")
    return pca.fit_transform(descriptors.astype(np.float64)).astype(np.float32)


def cached(images: np.ndarray) -> np.ndarray:
    """``dsift_pca`` of the images, from the cache if it was computed before.

    The cache is a folder of .npy files named after the images' content, the settings and the versions of what computes:
    $JAXCLUST_CACHE, or jaxclust in $XDG_CACHE_HOME or ~/.cache. What cannot be read there is computed again; where
    nothing can be written, nothing is kept.
    """
    by = [importlib.metadata.version(name) for name in ("numpy", "scikit-learn")] + [
        _opencv().__version__
    ]
    digest = hashlib.sha256(repr((*SETTINGS, *by, images.shape, str(images.dtype))).encode())
    digest.update(np.ascontiguousarray(images).tobytes())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxclust"
    folder = Path(os.environ.get("JAXCLUST_CACHE") or folder)
    path = folder / f"{DSIFT_PCA}-{digest.hexdigest()[:32]}.npy"
    with contextlib.suppress(*UNREADABLE), path.open("rb") as file:
        features = np.load(file, allow_pickle=False)
        sound = (
            isinstance(features, np.ndarray) and features.dtype == np.float32 and features.ndim == 2
        )
        if sound and len(features) == len(images) and np.isfinite(features).all():
            return features
    features = dsift_pca(images)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        # Whole or not at all, whoever else computes the same.
        handle, part = tempfile.mkstemp(".part", dir=folder)
        try:
            with open(handle, "wb") as file:
                np.save(file, features, allow_pickle=False)
            os.replace(part, path)
        except OSError:
            os.unlink(part)
    return features


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise UsageError(
            f"features: {DSIFT_PCA} needs OpenCV: pip install 'jaxclust[features]'"
        ) from None
    return cv2


def _read(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
    except UNREADABLE as error:
        raise UsageError(
            f"features: {path} must be a readable .npy file of plain numbers ({error})"
        ) from error
    if not isinstance(found, np.ndarray):
        raise UsageError(
            f"features: {path} must be a readable .npy file of plain numbers, got an archive"
        )
    return found
