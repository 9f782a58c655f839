"""Measures that need no true labels: agreement between seeds, their consensus, certainty.

They help to choose a seed or a number of clusters K, but none of them knows what is right.
Agreement rewards a method that errs in the same way each time. A final loss compares seeds of one
method, K and preset, and nothing else.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxclust.evaluation import metrics

LEAST_SEEDS = 5
"""With fewer seeds a rank correlation says too little to be printed."""
BLOCK = 65_536
"""Images whose votes are counted at once."""


def agreement(labels: np.ndarray) -> np.ndarray:
    """Adjusted Rand index of each pair of seeds.

    Args:
      labels: clusters, int (seeds, n).

    Returns:
      float64 (seeds, seeds), symmetric, 1 on the diagonal.
    """
    seeds = len(labels)
    matrix = np.eye(seeds)
    for i in range(seeds):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = metrics.ari(labels[i], labels[j])
    return matrix


def stability(matrix: np.ndarray) -> np.ndarray:
    """Mean agreement of each seed with the others.

    Args:
      matrix: agreement of each pair of seeds, float64 (seeds, seeds).

    Returns:
      float64 (seeds,); nan for a single seed.
    """
    seeds = len(matrix)
    return (matrix.sum(axis=1) - 1) / (seeds - 1) if seeds > 1 else np.full(1, np.nan)


def medoid(matrix: np.ndarray) -> int:
    """The place of the seed that agrees best with the others; the first of equals.

    Args:
      matrix: agreement of each pair of seeds, float64 (seeds, seeds).
    """
    return int(np.argmax(matrix.sum(axis=1)))


def numbering(labels: np.ndarray, to: np.ndarray, clusters: int) -> np.ndarray:
    """The number that each cluster of a clustering gets, so that it is numbered like another one.

    The Hungarian algorithm finds the numbering with the largest overlap. Where both clusterings are
    the same one, each cluster keeps its number, also a cluster without an image.

    Args:
      labels: clusters in 0..clusters-1, int (n,).
      to: clusters in 0..clusters-1 of the other clustering, int (n,).
      clusters: number of clusters.

    Returns:
      int32 (clusters,): ``numbering(labels, to, clusters)[labels]`` is the renumbered clustering.
    """
    from scipy.optimize import linear_sum_assignment

    if np.array_equal(labels, to):
        return np.arange(clusters, dtype=np.int32)
    pairs = labels.astype(np.int64) * clusters + to
    overlap = np.bincount(pairs, minlength=clusters**2).reshape(clusters, clusters)
    return linear_sum_assignment(overlap, maximize=True)[1].astype(np.int32)


def readable(labels: np.ndarray) -> np.ndarray:
    """Places of the images that have a cluster in every seed.

    An image of a stream that could not be read has -1 in all seeds.

    Args:
      labels: clusters or -1, int (seeds, n), of seeds that did not fail.

    Returns:
      int (m,).
    """
    return np.flatnonzero((labels >= 0).all(axis=0))


def most_votes(labels: np.ndarray, first: int, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each image for which most seeds vote.

    Among clusters with equally many votes the one of the seed at place ``first`` wins, then the
    lowest.

    Args:
      labels: clusters in 0..clusters-1, int (seeds, n), which all seeds number alike.
      first: place of the seed that decides between equally many votes.
      clusters: number of clusters.

    Returns:
      The cluster of each image, int32 (n,), and its share of the votes, float64 (n,) in (0, 1].
    """
    seeds, n = labels.shape
    chosen = np.empty(n, np.int32)
    share = np.empty(n)
    # In blocks of images, and without a table of images by clusters, which might be large.
    for start in range(0, n, BLOCK):
        block = labels[:, start : start + BLOCK].astype(np.int64)
        votes = np.stack([(block == own).sum(axis=0) for own in block])
        # The order of the candidates: votes, then the first seed's own cluster, then the lowest.
        order = (2 * votes + (block == block[first])) * clusters + (clusters - 1 - block)
        best = order.argmax(axis=0)[None]
        chosen[start : start + BLOCK] = np.take_along_axis(block, best, axis=0)[0]
        share[start : start + BLOCK] = np.take_along_axis(votes, best, axis=0)[0] / seeds
    return chosen, share


def certainty(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much nearer each image is to its own cluster's mean than to the next: 1 - own / next.

    Args:
      features: the embedding, float (n, d).
      labels: clusters, int (n,).

    Returns:
      float64 (n,), at most 1. It is below 0 where another mean is nearer, and 0 where there is only
      one cluster.
    """
    clusters = np.unique(labels)
    if clusters.size < 2:
        return np.zeros(len(labels))
    features = features.astype(np.float64)
    means = np.stack([features[labels == cluster].mean(axis=0) for cluster in clusters])
    distances = np.stack([np.linalg.norm(features - mean, axis=1) for mean in means], axis=1)
    rows = np.arange(len(labels))
    columns = np.searchsorted(clusters, labels)
    own = distances[rows, columns]
    distances[rows, columns] = np.inf
    other = distances.min(axis=1)
    # Two clusters of equal features cannot be told apart: their certainty is 0.
    return 1 - np.divide(own, other, out=np.ones_like(own), where=other > 0)


def best_clusters(stabilities: Mapping[int, float]) -> int:
    """The number of clusters K at which the seeds agree best.

    Few clusters agree most easily: of all K within 0.01 of the best the largest is taken.

    Args:
      stabilities: mean agreement between seeds, by K.
    """
    best = max(stabilities.values())
    return max(k for k, value in stabilities.items() if value >= best - 0.01)


def final_losses(seeds: Sequence[int], columns: Mapping[str, np.ndarray]) -> list[float]:
    """The last loss of each seed; nan where it has none.

    Args:
      seeds: the seeds.
      columns: a history's columns; "seed" and "loss", (rows,), are read.
    """
    losses = []
    for seed in seeds:
        own = columns["loss"][columns["seed"] == seed] if "loss" in columns else np.array([])
        losses.append(float(own[-1]) if own.size else float("nan"))
    return losses


def rank_correlation(
    values: Sequence[float] | np.ndarray, scores: Sequence[float] | np.ndarray
) -> float:
    """Spearman's rank correlation of a measure without labels with a score that needs them.

    Args:
      values: the measure of each seed.
      scores: the score of each seed.

    Returns:
      In [-1, 1]; nan where either does not vary, or a value is not finite.
    """
    from scipy.stats import rankdata

    values = np.asarray(values, float)
    scores = np.asarray(scores, float)
    if not np.isfinite(values).all() or np.ptp(values) == 0 or np.ptp(scores) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(values), rankdata(scores))[0, 1])
