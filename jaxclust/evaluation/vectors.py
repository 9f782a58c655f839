"""Vectors that pictures are grouped by: principal components of their features, of unit length.

Few features, such as the two of a t-SNE map, have no direction that says more than their place:
their vectors keep their lengths.
"""

from typing import NamedTuple

import numpy as np

from jaxclust.errors import UsageError

DIMENSIONS = 64
"""Principal components that are kept (chosen on ``photos-10``: see docs/photographs.md)."""
LEAST_FOR_UNIT = 16
"""With fewer features than this, vectors keep their lengths."""
BLOCK = 4096
"""Rows that are held in float64 at once."""
LEAST_VARIANCE = 1e-9
"""Components with less than this share of the largest variance are rounding, and are left out."""


class Projection(NamedTuple):
    """What turns features into vectors, for these pictures and for later ones.

    Attributes:
      mean: of the features, float32 (d,).
      components: orthogonal columns, the largest variance first, float32 (d, p). They have unit
        length, or one length that makes the mean square of vectors 1 where ``unit`` is False.
      unit: whether vectors are scaled to unit length.
    """

    mean: np.ndarray
    components: np.ndarray
    unit: bool


def fit_projection(features: np.ndarray) -> Projection:
    """The mean and the principal components of features.

    The covariance is summed in float64, block by block, and no random number is drawn, so that the
    same pictures give the same vectors.

    Args:
      features: float32 (n, d), n at least 2.

    Raises:
      UsageError: all pictures have the same features.
    """
    n, d = features.shape
    mean = np.zeros(d)
    for start in range(0, n, BLOCK):
        mean += features[start : start + BLOCK].sum(axis=0, dtype=np.float64)
    mean /= n
    covariance = np.zeros((d, d))
    for start in range(0, n, BLOCK):
        centered = features[start : start + BLOCK] - mean
        covariance += centered.T @ centered
    variances, directions = np.linalg.eigh(covariance / n)
    variances = variances[::-1]
    if not variances[0] > 0:
        raise UsageError(f"pictures: must differ from each other, got {n} with the same features")
    kept = int(np.sum(variances[:DIMENSIONS] > LEAST_VARIANCE * variances[0]))
    components = directions[:, ::-1][:, :kept]
    # The sign of a component is arbitrary: its largest entry is made positive.
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(kept)])
    unit = d >= LEAST_FOR_UNIT
    if not unit:
        components = components / np.sqrt(variances[:kept].sum())
    return Projection(mean.astype(np.float32), components.astype(np.float32), unit)


def project(projection: Projection, features: np.ndarray) -> np.ndarray:
    """Vectors of pictures; one whose features are the mean has zeros.

    Args:
      projection: of ``fit_projection``.
      features: float32 (n, d).

    Returns:
      float32 (n, p).
    """
    vectors = np.empty((len(features), projection.components.shape[1]), np.float32)
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        vectors[block] = (features[block] - projection.mean) @ projection.components
    if not projection.unit:
        return vectors
    return unit_length(vectors)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors scaled to unit length, (n, d); zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def sampled(vectors: np.ndarray, most: int) -> np.ndarray:
    """All rows, or ``most`` of them, in their order: the same ones each time."""
    if len(vectors) <= most:
        return vectors
    places = np.random.default_rng(0).choice(len(vectors), most, replace=False)
    return vectors[np.sort(places)]
