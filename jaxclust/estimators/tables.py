"""Tables of numbers for methods that see an image as a vector: which these are, and scaling."""

from typing import Any, NamedTuple

import numpy as np

from jaxclust.data import features
from jaxclust.errors import UsageError
from jaxclust.networks.autoencoders import pixels, sae, tied_sae
from jaxclust.types import NetworkFactory

SCALES = ("minmax", "standard", None)
OF_VECTORS = (pixels, sae, tied_sae)
"""Networks for which neighboring pixels are no more alike than others."""
LARGEST = 1e150
"""Largest absolute value of a table that is clustered: sums of squares stay finite in float64."""
LARGEST_SQUARE = float(np.finfo(np.float32).max) / 16
"""Largest sum of squares of a scaled row: squared distances stay finite in float32."""


class Scaling(NamedTuple):
    """How the columns of a table become a network's inputs: ``(x - shift) / factor``.

    Attributes:
      shift: float64 (d,).
      factor: float64 (d,), above 0.
    """

    shift: np.ndarray
    factor: np.ndarray


def takes_tables(network: NetworkFactory) -> bool:
    """Whether a network sees an image as a vector, so that it may be a row of any table."""
    return getattr(network, "func", network) in OF_VECTORS


def embeds_inputs(network: NetworkFactory) -> bool:
    """Whether a network's embedding is what it is given, as that of k-means on pixels is."""
    return network is pixels


def learned(scale: Any, table: np.ndarray) -> Scaling:
    """The scaling that a table asks for.

    Args:
      scale: "minmax" brings each column to [0, 1], "standard" to mean 0 and variance 1. None
        divides all columns by the same number, so that the mean square of the table is 1 and
        distances keep their proportions.
      table: finite numbers, (n, d).

    Raises:
      UsageError: there is no such scaling, a value is above 1e150 or below its negative, or with
        None the rows do not differ enough for float32.
    """
    table = table.astype(np.float64)
    largest = np.abs(table).max()
    if largest > LARGEST:
        rule = (
            f"X: must have no value beyond {LARGEST:g} of either sign, so that squares are finite"
        )
        raise UsageError(f"{rule}, got one of size {largest:g}")
    if scale == "minmax":
        from sklearn.preprocessing import MinMaxScaler

        ranges = MinMaxScaler().fit(table)
        return Scaling(ranges.data_min_, 1 / ranges.scale_)
    if scale == "standard":
        from sklearn.preprocessing import StandardScaler

        moments: Any = StandardScaler().fit(table)
        return Scaling(moments.mean_, moments.scale_)
    if scale is not None:
        raise UsageError(f"scale: must be minmax, standard or None, got {scale!r}")
    size = features.scale_of(table)
    d = table.shape[1]
    return Scaling(np.zeros(d), np.full(d, size.largest * size.root))


def as_images(table: np.ndarray, scaling: Scaling) -> np.ndarray:
    """A table as scaled images of one channel.

    Args:
      table: finite numbers, (n, d).
      scaling: what ``learned`` gave.

    Returns:
      float32 (n, h, w, 1), h * w = d.

    Raises:
      UsageError: float32 cannot hold the squares of a row's quotients.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        inputs = (table.astype(np.float64) - scaling.shift) / scaling.factor
        squares = (inputs**2).sum(axis=1)
    if not (squares <= LARGEST_SQUARE).all():  # A NaN is not, either.
        rule = "X: must have scaled rows whose squares float32 can hold"
        largest = np.abs(table).max()
        raise UsageError(f"{rule}, got a value of size {largest:g}, too far from those of fit")
    return inputs.astype(np.float32).reshape(-1, *features.grid(table.shape[1]), 1)


def unscaled(points: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Points among a network's inputs, (k, d), in the units of the table, float64."""
    return points.astype(np.float64) * scaling.factor + scaling.shift
