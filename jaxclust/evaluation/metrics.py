"""Scores of a clustering against true classes, on the host: accuracy, mutual information, adjusted Rand index.

All of them read the counts n_ij of samples of class i in cluster j; names and order of the labels do not matter.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from jaxclust.errors import UsageError

Normalisation = Literal["arithmetic", "sqrt", "max"]

_NORMALISERS = {
    "arithmetic": lambda a, b: (a + b) / 2,
    "sqrt": lambda a, b: np.sqrt(a * b),
    "max": max,
}


def accuracy(true: ArrayLike, predicted: ArrayLike) -> float:
    """The part of the samples in their class's cluster, under the best one-to-one mapping of clusters to classes.

    The mapping is the Hungarian algorithm's. Where there are more clusters than classes, the samples of those left over
    count as wrong.

    Args:
      true: integers, (n,).
      predicted: integers, (n,).

    Returns:
      In (0, 1].

    Raises:
      ValueError: if the labels are not two integer vectors of the same length, at least 1.
    """
    table = _table(true, predicted)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def nmi(
    true: ArrayLike, predicted: ArrayLike, normalisation: Normalisation = "arithmetic"
) -> float:
    """Mutual information of classes and clusters, divided by a mean of their entropies.

    Two labelings of one single class agree: 1, as in scikit-learn. If only one of them has a single class: 0.

    Args:
      true: integers, (n,).
      predicted: integers, (n,).
      normalisation: "arithmetic" mean (scikit-learn's default), "sqrt" (geometric; the CCNN and JULE papers) or "max"
        (DBC).

    Returns:
      In [0, 1].

    Raises:
      ValueError: if the labels are not two integer vectors of the same length, at least 1, or the normalisation is
        unknown.
    """
    if normalisation not in _NORMALISERS:
        raise UsageError(
            f"normalisation must be one of {', '.join(_NORMALISERS)}, got {normalisation!r}"
        )
    n = np.size(true)
    cells, rows, columns, classes, clusters = _counts(true, predicted)
    if classes.size == clusters.size == 1:
        return 1.0
    information = float((cells / n * np.log(n * cells / (classes[rows] * clusters[columns]))).sum())
    # The terms of independent labelings cancel to rounding, also below zero; and a single class has no entropy to
    # divide by.
    if information <= np.finfo(np.float64).eps:
        return 0.0
    entropies = [float((counts / n * np.log(n / counts)).sum()) for counts in (classes, clusters)]
    return min(1.0, information / float(_NORMALISERS[normalisation](*entropies)))


def ari(true: ArrayLike, predicted: ArrayLike) -> float:
    """Rand index adjusted for chance (Hubert & Arabie 1985): 0 on average for random labels, 1 for equal ones.

    Args:
      true: integers, (n,).
      predicted: integers, (n,).

    Returns:
      In [-0.5, 1].

    Raises:
      ValueError: if the labels are not two integer vectors of the same length, at least 1.
    """
    # Products of numbers of pairs pass 2^63 at n = 80,000: Python's integers have no such end.
    cells, _, _, classes, clusters = _counts(true, predicted)
    both, same_class, same_cluster = (
        int((c * (c - 1) // 2).sum()) for c in (cells, classes, clusters)
    )
    n = int(np.size(true))
    pairs = n * (n - 1) // 2
    # Multiplied by 2 pairs: (index - expected) / (mean - expected).
    above_chance = 2 * (both * pairs - same_class * same_cluster)
    possible = (same_class + same_cluster) * pairs - 2 * same_class * same_cluster
    return above_chance / possible if both != same_class or both != same_cluster else 1.0


def confusion(true: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """Counts of samples, classes by clusters, with ``accuracy``'s mapping on the diagonal.

    Args:
      true: integers, (n,).
      predicted: integers, (n,).

    Returns:
      int64, (classes, max(classes, clusters)): row i is the i-th class in ascending order, column i the cluster mapped
      to it, of zeros where it has none; clusters without a class follow. The diagonal's sum divided by n is the
      accuracy.

    Raises:
      ValueError: if the labels are not two integer vectors of the same length, at least 1.
    """
    table = _table(true, predicted)
    order = _order(table)
    return np.where(order >= 0, table[:, order], 0)


def confusion_clusters(true: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """The cluster of each of ``confusion``'s columns, as it is called in ``predicted``; -1 where it has none.

    Args:
      true: as there.
      predicted: as there.

    Returns:
      int64, (max(classes, clusters),).

    Raises:
      ValueError: as there.
    """
    order = _order(_table(true, predicted))
    return np.where(order >= 0, np.unique(np.asarray(predicted))[order], -1)


def _order(table: np.ndarray) -> np.ndarray:
    """Of each column of the confusion its cluster's column in the table, -1 where it has none."""
    classes, clusters = table.shape
    rows, columns = linear_sum_assignment(table, maximize=True)
    order = np.full(max(classes, clusters), -1)
    order[rows] = columns
    order[classes:] = np.setdiff1d(np.arange(clusters), columns)
    return order


def scores(true: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """All scores of one clustering.

    Args:
      true: integers, (n,).
      predicted: integers, (n,).

    Returns:
      ``acc``, ``nmi`` (arithmetic), ``nmi_sqrt``, ``nmi_max`` and ``ari``.

    Raises:
      ValueError: if the labels are not two integer vectors of the same length, at least 1.
    """
    return {
        "acc": accuracy(true, predicted),
        "nmi": nmi(true, predicted),
        "nmi_sqrt": nmi(true, predicted, "sqrt"),
        "nmi_max": nmi(true, predicted, "max"),
        "ari": ari(true, predicted),
    }


def _encode(labels: ArrayLike, name: str) -> tuple[np.ndarray, int]:
    """Labels as 0..k-1, int64, (n,), and k."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise UsageError(f"{name} must be a vector of at least one label, got shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"{name} must be integers, got {labels.dtype}")
    values, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), values.size


def _pair(true: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray, int, int]:
    (rows, classes), (columns, clusters) = _encode(true, "true"), _encode(predicted, "predicted")
    if rows.size != columns.size:
        raise UsageError(
            f"true and predicted must have the same length, got {rows.size} and {columns.size}"
        )
    return rows, columns, classes, clusters


def _table(true: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """Samples of class i in cluster j, int64, (classes, clusters)."""
    rows, columns, classes, clusters = _pair(true, predicted)
    return np.bincount(rows * clusters + columns, minlength=classes * clusters).reshape(
        classes, clusters
    )


def _counts(true: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, ...]:
    """Non-empty cells: their samples, classes and clusters; then samples per class and per cluster.

    All int64, (cells,), (classes,) or (clusters,): the whole table might be n by n.
    """
    rows, columns, _, clusters = _pair(true, predicted)
    cells, counts = np.unique(rows * clusters + columns, return_counts=True)
    return counts, cells // clusters, cells % clusters, np.bincount(rows), np.bincount(columns)
