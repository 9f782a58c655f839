"""Spectral embedded clustering (Nie, Zeng, Tsang, Xu, Zhang 2011), on the host.

It looks for F, W and b that minimize

  tr(F' L F) + mu (|X W + 1 b' - F|^2 + gamma tr(W' W))  subject to  F' F = I,

where L is the normalized Laplacian of a graph, and the rows of X are the samples. For a given F the
best W and b are ridge regression, whose residual is ``tr(F' Lg F)`` with ``Lg = H - S``. Here H
takes the mean off, and ``S = H X (X' H X + gamma I)^-1 X' H``. So F holds the eigenvectors of
``L + mu Lg`` with the smallest eigenvalues. No n x n matrix is held: ``eigsh`` sees a function that
multiplies by the sparse graph, and by S as a product of an n x d matrix with its transpose.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxclust.errors import UsageError
from jaxclust.ops.spectral import MOST_FULL, largest, leading, normalized

if TYPE_CHECKING:
    from scipy import sparse

TOLERANCE = 1e-6
"""Relative error of the eigenvalues."""


class Embedded(NamedTuple):
    """F, and the linear map that comes nearest to it.

    Attributes:
      f: float64, (n, k), orthonormal.
      w: float64, (d, k).
      b: float64, (k,).
    """

    f: np.ndarray
    w: np.ndarray
    b: np.ndarray


def embedded(graph: "sparse.csr_array", x: np.ndarray, k: int, mu: float, gamma: float) -> Embedded:
    """Solves the problem above.

    Args:
      graph: affinities, symmetric, at least 0, (n, n).
      x: samples, float (n, d).
      k: number of clusters, below n.
      mu: weight of the regression, at least 0. At 0 the graph's components come first, as in
        ``spectral.leading``; above it the regression joins them, and no eigenvalue is multiple.
      gamma: weight of the ridge, above 0.

    Raises:
      UsageError: there are more than ``MOST_FULL`` samples and more than as many features.
      NotConverged: the eigen-solver did not converge.
    """
    from scipy.linalg import cho_factor, cho_solve, solve_triangular
    from scipy.sparse.linalg import LinearOperator

    check_size(*x.shape)
    means = x.mean(axis=0, dtype=np.float64)
    centered = x.astype(np.float64) - means
    n, d = centered.shape
    wide = d > n
    gram = centered @ centered.T if wide else centered.T @ centered
    gram[np.diag_indices_from(gram)] += gamma
    factor = cho_factor(gram, lower=True)
    if wide:
        # S = K (K + gamma I)^-1 = I - gamma (K + gamma I)^-1 on centered vectors.
        def smooth(v: np.ndarray) -> np.ndarray:
            return v - gamma * cho_solve(factor, v)
    else:
        root = solve_triangular(factor[0], centered.T, lower=True)

        def smooth(v: np.ndarray) -> np.ndarray:
            return root.T @ (root @ v)

    _, scaled = normalized(graph)

    def apply(vector: np.ndarray) -> np.ndarray:
        vector = vector.ravel()
        middle = vector - vector.mean()
        return scaled @ vector - mu * (middle - smooth(middle))

    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)  # type: ignore[call-arg]
    f = leading(graph, k).vectors if mu == 0 else largest(operator, k, TOLERANCE)[1]
    f = f * np.sign(f[np.argmax(np.abs(f), axis=0), np.arange(k)])
    middle = f - f.mean(axis=0)
    w = centered.T @ cho_solve(factor, middle) if wide else cho_solve(factor, centered.T @ middle)
    return Embedded(f, w, f.mean(axis=0) - means @ w)


def check_size(n: int, d: int) -> None:
    """Refuses samples whose smaller matrix of products is too large.

    Raises:
      UsageError: both numbers are above ``MOST_FULL``.
    """
    if min(n, d) > MOST_FULL:
        rule = f"images: must be at most {MOST_FULL}, or have at most {MOST_FULL} values each"
        raise UsageError(f"{rule}, for spectral embedding, got {n} of {d}")
