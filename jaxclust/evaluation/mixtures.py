"""How many clusters vectors have, by the Bayesian information criterion of Gaussian mixtures."""

import numpy as np

from jaxclust.evaluation.vectors import sampled

SAMPLE = 5_000
"""Vectors that are drawn where there are more."""
COMPONENTS = 20
"""Principal components that the mixtures are fitted to (10 were tried on digits and USPS, too)."""


def bic(vectors: np.ndarray, numbers: range) -> dict[int, float]:
    """BIC of a mixture of so many Gaussians with full covariances, for each number.

    Args:
      vectors: float (n, d), n at least the last of ``numbers``.
      numbers: numbers of Gaussians.

    Returns:
      BIC divided by the number of vectors that were looked at; the lower the better.
    """
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    vectors = sampled(vectors, SAMPLE).astype(np.float64)
    pca = PCA(min(COMPONENTS, *vectors.shape), random_state=0)
    points = pca.fit_transform(vectors)
    # Directions without variance say nothing, and make the covariances singular.
    kept = pca.explained_variance_ > 1e-9 * pca.explained_variance_[0]
    points = points[:, kept] / np.sqrt(pca.explained_variance_[0])
    return {number: _bic(GaussianMixture, points, number) for number in numbers}


def _bic(kind, points: np.ndarray, number: int) -> float:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # A mixture that still moves a little has nearly its last BIC.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = kind(number, reg_covar=1e-5, max_iter=100, random_state=0).fit(points)
    return float(mixture.bic(points)) / len(points)
