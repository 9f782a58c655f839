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


def learned(scale: Any, table: np.ndarray) -> Scaling:
    """The scaling that a table asks for.

    Args:
      scale: "minmax" brings each column to [0, 1], "standard" to mean 0 and variance 1. None
        divides all columns by the same number, so that the mean square of the table is 1 and
        distances keep their proportions.
      table: finite numbers, (n, d).

    Raises:
      UsageError: there is no such scaling, or with None the rows do not differ enough for float32.
    """
    table = table.astype(np.float64)
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
    """A table, numbers (n, d), as scaled images of one channel, float32 (n, h, w, 1), h * w = d."""
    inputs = (table.astype(np.float64) - scaling.shift) / scaling.factor
    return inputs.astype(np.float32).reshape(-1, *features.grid(table.shape[1]), 1)


def unscaled(points: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Points among a network's inputs, (k, d), in the units of the table, float64."""
    return points.astype(np.float64) * scaling.factor + scaling.shift
