"""Features in the images' place, for every method.

They are dense SIFT with PCA, a user's own from an .npy or .parquet file, or those of a network,
which ``runs.features`` computes. A vector of d features becomes an image of one channel and h x w
pixels, row by row. h is the largest divisor of d that is at most its root (300: 15 x 20). All
networks take it that do not need larger images. Features are divided by one number, the root of
their mean square, so that step sizes that suit images suit them (as Xie et al. 2016 scale theirs);
distances keep their proportions. They are float32 and of either sign.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxclust.data import cache_files, feature_files
from jaxclust.data.datasets import Dataset
from jaxclust.errors import UsageError, did_you_mean

DSIFT_PCA = "dsift-pca"
NETWORKS = ("efficientnet-lite0", "squeezenet")
"""Names of networks whose features ``runs.features`` computes."""
KNOWN = (*NETWORKS, DSIFT_PCA)
"""The names that --features takes."""
DIMENSIONS = 300
"""Number of principal components that are kept (DCTL, section 4)."""
PATCH = 16
"""Pixels of a descriptor's side (our choice)."""
STEP = 8
"""Pixels between two descriptors (our choice)."""
LEAST_SIDE = 40
"""Smaller images are enlarged by a whole factor until their shorter side has this many pixels (our
choice)."""
ROWS_AT_ONCE = 4096
"""Features that are scaled in float64 at once."""
LEAST_SPREAD = 1e-5
"""Least root mean square distance of features from their means, for a mean square of 1."""
SETTINGS = ("2", DIMENSIONS, PATCH, STEP, LEAST_SIDE)
"""What the features depend on beside the images; the first entry is the version of this code."""


class Scale(NamedTuple):
    """What features are divided by, one after the other.

    Attributes:
      largest: the largest absolute value.
      root: the root of the mean square of what is left.
    """

    largest: float
    root: float


def replaced(dataset: Dataset, which: str) -> Dataset:
    """The set with features in the images' place that need no network.

    Args:
      dataset: the images.
      which: "dsift-pca", or the path of an .npy or .parquet file with features of each image.

    Returns:
      A set whose ``images`` are float32, (n, h, w, 1), and whose name says which features they are;
      labels and files are as they were.

    Raises:
      UsageError: ``which`` is neither, the file cannot be read, or there are not as many features
        as images, or ``scale_of`` refuses them.
    """
    features = vectors(dataset, which)
    return with_vectors(dataset, which, features, scale_of(features))


def vectors(dataset: Dataset, which: str) -> np.ndarray:
    """Features of a set's images that need no network, numbers (n, d), unscaled.

    Args:
      dataset: the images.
      which: as for ``replaced``.

    Raises:
      UsageError: ``which`` is neither, or the file cannot be read.
    """
    if which == DSIFT_PCA:
        return cached(dataset.images)
    if which.endswith(".npy"):
        return feature_files.read_npy(Path(which))
    if which.endswith(".parquet"):
        return feature_files.read_parquet(Path(which), dataset.files)
    names = f"{', '.join(KNOWN)}, onnx:FILE or the path of an .npy or .parquet file"
    raise UsageError(f"features: must be {names}, got {which!r}{did_you_mean(which, KNOWN)}")


def with_vectors(dataset: Dataset, which: str, features: np.ndarray, scale: Scale) -> Dataset:
    """The set with features in the images' place.

    Args:
      dataset: the images.
      which: as --features has it.
      features: numbers, (n, d), a row for each image.
      scale: what they are divided by.

    Raises:
      UsageError: there are not as many features as images.
    """
    n = len(dataset.images)
    if len(features) != n:
        rule = f"features: must have a row for each of the {n} images"
        raise UsageError(f"{rule}, got {len(features)} in {which}")
    name = which if which in KNOWN else Path(which).stem
    return dataset._replace(name=f"{dataset.name}+{name}", images=scaled(features, scale))


def as_images(features: np.ndarray) -> np.ndarray:
    """Vectors as images of h x w pixels, divided by the root of their mean square.

    Args:
      features: numbers, (n, d).

    Returns:
      float32, (n, h, w, 1), h * w = d.

    Raises:
      UsageError: as from ``scale_of``.
    """
    return scaled(features, scale_of(features))


def scale_of(features: np.ndarray) -> Scale:
    """What features are divided by so that their mean square is 1.

    Args:
      features: numbers, (n, d).

    Raises:
      UsageError: the features are no such array, are empty, hold a NaN or inf, or are the same for
        all images up to rounding.
    """
    floating = np.issubdtype(features.dtype, np.floating)
    if features.ndim != 2 or not (floating or features.dtype.kind in "iu"):
        rule = "features: must be numbers of shape (n, d)"
        raise UsageError(f"{rule}, got {features.dtype} {features.shape}")
    if 0 in features.shape:
        raise UsageError(f"features: must not be empty, got shape {features.shape}")
    features = features.astype(np.float64)
    if not np.isfinite(features).all():
        count = int((~np.isfinite(features)).sum())
        rule = "features: must be finite"
        raise UsageError(f"{rule}, got NaN or inf in {count} of {features.size} values")
    if (features == features[0]).all():
        rule = "features: must differ between images"
        raise UsageError(f"{rule}, got the same {features.shape[1]} for all")
    largest = np.abs(features).max()
    features /= largest  # So that no square overflows or vanishes.
    root = np.sqrt(np.mean(features**2))
    features /= root
    spread = np.sqrt(np.mean((features - features.mean(axis=0)) ** 2))
    if spread < LEAST_SPREAD:
        rule = f"features: must differ between images by {LEAST_SPREAD:g} of their size or more"
        reason = "for float32 to tell them apart"
        raise UsageError(f"{rule}, {reason}, got {spread:.2g}; subtract their mean")
    return Scale(float(largest), float(root))


def scaled(features: np.ndarray, scale: Scale) -> np.ndarray:
    """Vectors, numbers (n, d), as images of h x w pixels, float32 (n, h, w, 1), divided by a scale.

    The quotients are rounded to float32 once.
    """
    d = features.shape[1]
    quotients = np.empty((len(features), *grid(d), 1), np.float32)
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        values = features[rows].astype(np.float64) / scale.largest / scale.root
        quotients[rows] = values.reshape(-1, *grid(d), 1)
    return quotients


def grid(dimension: int) -> tuple[int, int]:
    """(height, width) of the image that a vector becomes."""
    height = next(h for h in range(math.isqrt(dimension), 0, -1) if dimension % h == 0)
    return height, dimension // height


def dense_sift(images: np.ndarray, patch: int = PATCH, step: int = STEP) -> np.ndarray:
    """SIFT descriptors (Lowe 2004) of unit length, upright, on a grid of overlapping patches.

    Args:
      images: uint8 or float32 in [0, 1], (n, h, w, c); color is turned to gray, without its fourth
        channel.
      patch: pixels of a descriptor's side, after the enlargement of small images.
      step: pixels between two descriptors.

    Returns:
      float32, (n, patches * 128); zeros for a patch without any gradient.

    Raises:
      UsageError: OpenCV is not installed, or the images have another number of channels than 1, 3
        and 4.
    """
    cv2 = _opencv()
    if images.shape[3] not in (1, 3, 4):
        rule = f"features: {DSIFT_PCA} needs images of 1, 3 or 4 channels"
        raise UsageError(f"{rule}, got {images.shape[3]}")
    if images.dtype != np.uint8:
        images = np.round(images * 255).astype(np.uint8)
    factor = -(-LEAST_SIDE // min(images.shape[1:3]))
    height, width = (factor * size for size in images.shape[1:3])
    rows, columns = (np.arange(patch / 2, size - patch / 2 + 1, step) for size in (height, width))
    # A descriptor has 4 x 4 cells of 3 * size / 2 pixels.
    keypoints = [cv2.KeyPoint(float(x), float(y), patch / 6, 0.0) for y in rows for x in columns]
    sift = cv2.SIFT_create()
    described = []
    for image in images:
        gray = image[..., 0]
        if image.shape[2] > 1:
            gray = cv2.cvtColor(image[..., :3], cv2.COLOR_RGB2GRAY)
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_LINEAR)
        kept, descriptors = sift.compute(gray, keypoints)
        if len(kept) != len(keypoints):
            raise UsageError(f"features: OpenCV kept {len(kept)} of {len(keypoints)} patches")
        lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
        described.append((descriptors / np.maximum(lengths, 1e-12)).ravel().astype(np.float32))
    return np.stack(described)


def dsift_pca(images: np.ndarray, patch: int = PATCH, step: int = STEP) -> np.ndarray:
    """The first 300 principal components of dense SIFT (DCTL, section 4).

    They are computed in float64 and without a random solver, so that another machine gives the same
    up to rounding.

    Args:
      images: uint8 or float32 in [0, 1], (n, h, w, c).
      patch: as for ``dense_sift``.
      step: as for ``dense_sift``.

    Returns:
      float32, (n, d), where d is 300 or the number of components that there are.

    Raises:
      UsageError: OpenCV is not installed, or all images have the same descriptors.
    """
    from sklearn.decomposition import PCA

    descriptors = dense_sift(images, patch, step)
    if (descriptors == descriptors[0]).all():
        rule = f"features: {DSIFT_PCA} must differ between images"
        raise UsageError(f"{rule}, got the same for all {len(images)}")
    n, d = descriptors.shape
    pca = PCA(min(DIMENSIONS, n, d), svd_solver="covariance_eigh" if n >= d else "full")
    return pca.fit_transform(descriptors.astype(np.float64)).astype(np.float32)


def cached(images: np.ndarray) -> np.ndarray:
    """``dsift_pca`` of the images, from the cache if it was computed before.

    The files in ``cache_folder`` are named after the images' content, the settings and the versions
    of the packages that compute. What cannot be read there is computed again; where nothing can be
    written, nothing is kept.

    Args:
      images: as for ``dsift_pca``.

    Raises:
      UsageError: as from ``dsift_pca``.
    """
    path = cache_folder() / f"{DSIFT_PCA}-{_cache_key(images)}.npy"
    with contextlib.suppress(UsageError):
        features = feature_files.read_npy(path)
        if (
            features.dtype == np.float32
            and features.ndim == 2
            and len(features) == len(images)
            and np.isfinite(features).all()
        ):
            return features
    features = dsift_pca(images)
    content = io.BytesIO()
    np.save(content, features, allow_pickle=False)
    cache_files.keep(path, content.getvalue())
    return features


def cache_folder() -> Path:
    """Where what took long to compute is kept.

    It is $JAXCLUST_CACHE, or jaxclust in $XDG_CACHE_HOME or ~/.cache.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxclust"
    return Path(os.environ.get("JAXCLUST_CACHE") or usual)


def _cache_key(images: np.ndarray) -> str:
    """A digest of all that decides the features."""
    versions = [importlib.metadata.version(name) for name in ("numpy", "scikit-learn")]
    versions.append(_opencv().__version__)
    settings = (*SETTINGS, *versions, images.shape, str(images.dtype))
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(np.ascontiguousarray(images).tobytes())
    return digest.hexdigest()[:32]


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        rule = f"features: {DSIFT_PCA} needs OpenCV"
        raise UsageError(f"{rule}: pip install 'jaxclust[features]'") from None
    return cv2
