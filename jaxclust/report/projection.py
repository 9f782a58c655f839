"""An embedding in two dimensions, and how well its clusters are separated."""

import numpy as np


def in_two_dimensions(features: np.ndarray) -> np.ndarray:
    """t-SNE of features; the same features give the same places each time.

    Args:
      features: float (n, d).

    Returns:
      Places, float (n, 2).
    """
    from sklearn.manifold import TSNE

    if np.ptp(features, axis=0).max() == 0:
        # scikit-learn's t-SNE divides by the spread and crashes; equal points have one place.
        return np.zeros((len(features), 2))
    # Perplexity 30 is scikit-learn's default; it must stay below the number of points.
    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    return TSNE(perplexity=perplexity, init="random", random_state=0).fit_transform(features)


def silhouette(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette (Rousseeuw 1987).

    On a trained embedding it rewards collapse, since training pulls clusters together whatever they
    hold.

    Args:
      features: float (n, d).
      labels: clusters, int (n,).

    Returns:
      In [-1, 1]; nan for one cluster, and for a cluster for each image.
    """
    from sklearn.metrics import silhouette_score

    clusters = len(np.unique(labels))
    return float(silhouette_score(features, labels)) if 1 < clusters < len(labels) else float("nan")
