"""Which seed, which K, where there are no labels: agreement between seeds, their consensus, silhouette, certainty.

None of these knows what is right. Agreement rewards a method that errs the same way each time; silhouette on a trained
embedding rewards collapse, since training pulls clusters together whatever they hold; a final loss compares seeds of
one method, K and preset and nothing else.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from jaxclust.evaluation import metrics

LEAST_SEEDS = 5
"""Below this many a rank correlation is not worth printing."""


def agreement(labels: np.ndarray) -> np.ndarray:
    """Adjusted Rand index of each two seeds.

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
    """Mean agreement of each seed with the others, float64 (seeds,); nan for one seed."""
    seeds = len(matrix)
    return (matrix.sum(axis=1) - 1) / (seeds - 1) if seeds > 1 else np.full(1, np.nan)


def medoid(matrix: np.ndarray) -> int:
    """The seed that agrees best with the others, the first of equals."""
    return int(np.argmax(matrix.sum(axis=1)))


def aligned(labels: np.ndarray, to: np.ndarray, clusters: int) -> np.ndarray:
    """The same clustering with its clusters numbered like those of ``to``, by the largest overlap (Hungarian).

    Args:
      labels: clusters in 0..clusters-1, int (n,).
      to: the same kind.
      clusters: how many.

    Returns:
      int64 (n,).
    """
    overlap = np.bincount(labels * clusters + to, minlength=clusters**2).reshape(clusters, clusters)
    return linear_sum_assignment(overlap, maximize=True)[1][labels]


def readable(labels: np.ndarray) -> np.ndarray:
    """Places of the images that have a cluster in every seed, int (m,): a stream's that cannot be read have -1 in all.

    Args:
      labels: clusters or -1, int (seeds, n), of seeds that did not fail.
    """
    return np.flatnonzero((labels >= 0).all(axis=0))


def consensus(labels: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """What most seeds say of each image, their clusters numbered like the medoid's.

    Args:
      labels: clusters in 0..clusters-1, int (seeds, n).
      clusters: how many.

    Returns:
      The cluster with most votes (the medoid's own first, then the lowest), int32 (n,), and its share of the votes,
      float64 (n,).
    """
    middle = labels[medoid(agreement(labels))].astype(np.int64)
    votes = np.zeros((len(middle), clusters))
    rows = np.arange(len(middle))
    for one in labels:
        votes[rows, aligned(one.astype(np.int64), middle, clusters)] += 1
    winner = votes.copy()
    winner[rows, middle] += 0.5
    chosen = winner.argmax(axis=1)
    return chosen.astype(np.int32), votes[rows, chosen] / len(labels)


def certainty(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much nearer each image is to its own cluster's mean than to the next: 1 - own / next.

    Args:
      features: the embedding, float (n, d).
      labels: clusters, int (n,), at least two of them.

    Returns:
      float64 (n,), at most 1; below 0 where another mean is nearer; 0 where there is but one cluster.
    """
    found = np.unique(labels)
    if found.size < 2:
        return np.zeros(len(labels))
    features = features.astype(np.float64)
    means = np.stack([features[labels == cluster].mean(axis=0) for cluster in found])
    distances = np.stack([np.linalg.norm(features - mean, axis=1) for mean in means], axis=1)
    rows, own = np.arange(len(labels)), np.searchsorted(found, labels)
    mine = distances[rows, own]
    distances[rows, own] = np.inf
    other = distances.min(axis=1)
    # Two clusters of equal features are not told apart at all.
    return 1 - np.divide(mine, other, out=np.ones_like(mine), where=other > 0)


def silhouette(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette (Rousseeuw 1987) of float (n, d) features under int (n,) labels; nan for one cluster or n."""
    from sklearn.metrics import silhouette_score

    clusters = len(np.unique(labels))
    return float(silhouette_score(features, labels)) if 1 < clusters < len(labels) else float("nan")


def best_clusters(stabilities: dict[int, float]) -> int:
    """The K at which seeds agree best, the largest of those within 0.01: few clusters agree most easily.

    Args:
      stabilities: mean agreement between seeds, by K.
    """
    best = max(stabilities.values())
    return max(k for k, value in stabilities.items() if value >= best - 0.01)


def final_losses(seeds: Sequence[int], columns: dict[str, np.ndarray]) -> list[float]:
    """The last loss of each seed, from a history's columns "seed" and "loss"; nan where it has none."""
    found = []
    for seed in seeds:
        mine = columns["loss"][columns["seed"] == seed] if "loss" in columns else np.array([])
        found.append(float(mine[-1]) if mine.size else float("nan"))
    return found


def rank_correlation(values: Sequence[float], scores: Sequence[float]) -> float:
    """Spearman's, of a measure without labels with a score that needs them; nan where either does not vary."""
    values, scores = np.asarray(values, float), np.asarray(scores, float)
    if not np.isfinite(values).all() or np.ptp(values) == 0 or np.ptp(scores) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(values), rankdata(scores))[0, 1])
