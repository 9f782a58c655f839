"""Scores of a clustering against true classes: accuracy, mutual information, adjusted Rand index.

All of them read the counts n_ij of the samples of class i in cluster j. They depend neither on the
names of the labels nor on their order.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from jaxclust.errors import UsageError

Normalization = Literal["arithmetic", "sqrt", "max"]

_MEANS = {
    "arithmetic": lambda a, b: (a + b) / 2,
    "sqrt": lambda a, b: np.sqrt(a * b),
    "max": max,
}


def accuracy(true: ArrayLike, predicted: ArrayLike) -> float:
    """Fraction of the samples in their class's cluster, under the best one-to-one mapping.

    The Hungarian algorithm finds the mapping of clusters to classes. Where there are more clusters
    than classes, the samples of the remaining clusters count as wrong.

    Args:
      true: true classes, integers (n,).
      predicted: clusters, integers (n,).

    Returns:
      In (0, 1].

    Raises:
      UsageError: the labels are not two integer vectors of one length, at least 1.
    """
    from scipy.optimize import linear_sum_assignment

    table = _table(true, predicted)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def nmi(
    true: ArrayLike, predicted: ArrayLike, normalization: Normalization = "arithmetic"
) -> float:
    """Mutual information of classes and clusters, divided by a mean of their entropies.

    Two labelings that both have a single class agree: the score is 1, as in scikit-learn. If only
    one of them has a single class, it is 0.

    Args:
      true: true classes, integers (n,).
      predicted: clusters, integers (n,).
      normalization: "arithmetic" mean (scikit-learn's default), "sqrt" (geometric mean; the CCNN
        and JULE papers) or "max" (the DBC paper).

    Returns:
      In [0, 1].

    Raises:
      UsageError: the labels are not two integer vectors of one length, at least 1, or the
        normalization is unknown.
    """
    if normalization not in _MEANS:
        raise UsageError(f"normalization must be one of {', '.join(_MEANS)}, got {normalization!r}")
    n = np.size(true)
    cells, rows, columns, classes, clusters = _counts(true, predicted)
    if classes.size == clusters.size == 1:
        return 1.0
    information = float((cells / n * np.log(n * cells / (classes[rows] * clusters[columns]))).sum())
    # The terms of independent labelings cancel up to rounding, which may end below zero. A single
    # class has no entropy to divide by.
    if information <= np.finfo(np.float64).eps:
        return 0.0
    entropies = [float((counts / n * np.log(n / counts)).sum()) for counts in (classes, clusters)]
    return min(1.0, information / float(_MEANS[normalization](*entropies)))


def ari(true: ArrayLike, predicted: ArrayLike) -> float:
    """Rand index adjusted for chance (Hubert & Arabie 1985).

    It is 0 on average for random labels, and 1 for equal ones.

    Args:
      true: true classes, integers (n,).
      predicted: clusters, integers (n,).

    Returns:
      In [-0.5, 1].

    Raises:
      UsageError: the labels are not two integer vectors of one length, at least 1.
    """
    # Products of numbers of pairs exceed 2^63 at n = 80,000; Python's integers have no limit.
    cells, _, _, classes, clusters = _counts(true, predicted)
    both, same_class, same_cluster = (
        int((c * (c - 1) // 2).sum()) for c in (cells, classes, clusters)
    )
    n = int(np.size(true))
    pairs = n * (n - 1) // 2
    # Both sides of (index - expected) / (mean - expected), multiplied by 2 pairs.
    above_chance = 2 * (both * pairs - same_class * same_cluster)
    possible = (same_class + same_cluster) * pairs - 2 * same_class * same_cluster
    return above_chance / possible if both != same_class or both != same_cluster else 1.0


def confusion(true: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """Counts of samples, classes by clusters, with ``accuracy``'s mapping on the diagonal.

    Args:
      true: true classes, integers (n,).
      predicted: clusters, integers (n,).

    Returns:
      int64, (classes, max(classes, clusters)). Row i is the i-th class in ascending order. Column i
      is the cluster mapped to it, or zeros where it has none; clusters without a class follow. The
      diagonal's sum divided by n is the accuracy.

    Raises:
      UsageError: the labels are not two integer vectors of one length, at least 1.
    """
    table = _table(true, predicted)
    order = _order(table)
    return np.where(order >= 0, table[:, order], 0)


def confusion_clusters(true: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """The cluster of each column of ``confusion``, as ``predicted`` names it; -1 where it has none.

    Args:
      true: true classes, integers (n,).
      predicted: clusters, integers (n,).

    Returns:
      int64, (max(classes, clusters),).

    Raises:
      UsageError: the labels are not two integer vectors of one length, at least 1.
    """
    order = _order(_table(true, predicted))
    return np.where(order >= 0, np.unique(np.asarray(predicted))[order], -1)


def _order(table: np.ndarray) -> np.ndarray:
    """The column of the table behind each column of the confusion; -1 where there is none."""
    from scipy.optimize import linear_sum_assignment

    classes, clusters = table.shape
    rows, columns = linear_sum_assignment(table, maximize=True)
    order = np.full(max(classes, clusters), -1)
    order[rows] = columns
    order[classes:] = np.setdiff1d(np.arange(clusters), columns)
    return order


def scores(true: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """All scores of one clustering.

    Args:
      true: true classes, integers (n,).
      predicted: clusters, integers (n,).

    Returns:
      ``acc``, ``nmi`` (arithmetic), ``nmi_sqrt``, ``nmi_max`` and ``ari``.

    Raises:
      UsageError: the labels are not two integer vectors of one length, at least 1.
    """
    return {
        "acc": accuracy(true, predicted),
        "nmi": nmi(true, predicted),
        "nmi_sqrt": nmi(true, predicted, "sqrt"),
        "nmi_max": nmi(true, predicted, "max"),
        "ari": ari(true, predicted),
    }


def known_scores(true: ArrayLike, predicted: ArrayLike) -> tuple[dict[str, float], int]:
    """``scores`` over the samples of which both the class and the cluster are known.

    Args:
      true: true classes, integers (n,), -1 for a sample whose class is not known.
      predicted: clusters, integers (n,), -1 for a sample that is in no cluster.

    Returns:
      The scores, none where no such sample is left; and how many samples are in a cluster and have
      no known class.

    Raises:
      UsageError: the labels are not two integer vectors of one length, at least 1.
    """
    _pair(true, predicted)
    classes = np.asarray(true)
    clusters = np.asarray(predicted)
    clustered = clusters != -1
    both = clustered & (classes != -1)
    found = scores(classes[both], clusters[both]) if both.any() else {}
    return found, int(clustered.sum() - both.sum())


def _encode(labels: ArrayLike, name: str) -> tuple[np.ndarray, int]:
    """Labels as 0..k-1, int64 (n,), and k."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise UsageError(f"{name} must be a vector of at least one label, got shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"{name} must be integers, got {labels.dtype}")
    values, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), values.size


def _pair(true: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Classes and clusters of the samples, int64 (n,) from 0, and how many there are of each."""
    rows, classes = _encode(true, "true")
    columns, clusters = _encode(predicted, "predicted")
    if rows.size != columns.size:
        raise UsageError(
            f"true and predicted must have the same length, got {rows.size} and {columns.size}"
        )
    return rows, columns, classes, clusters


def _table(true: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """Number of samples of class i in cluster j, int64 (classes, clusters)."""
    rows, columns, classes, clusters = _pair(true, predicted)
    return np.bincount(rows * clusters + columns, minlength=classes * clusters).reshape(
        classes, clusters
    )


def _counts(true: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, ...]:
    """Counts of the table's non-empty cells; the whole table might be n by n.

    Returns:
      Samples, class and cluster of each non-empty cell, int64 (cells,); samples of each class,
      (classes,); samples of each cluster, (clusters,).
    """
    rows, columns, _, clusters = _pair(true, predicted)
    cells, counts = np.unique(rows * clusters + columns, return_counts=True)
    return counts, cells // clusters, cells % clusters, np.bincount(rows), np.bincount(columns)
