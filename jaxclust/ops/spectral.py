"""Eigenvectors of graphs for spectral clustering, on the host: SciPy's ``eigsh`` on sparse graphs.

A graph is a symmetric matrix W of affinities, and D has the sums of its rows. All methods here look
at the largest eigenvalues of ``D^-1/2 W D^-1/2``, which are 1 less the smallest ones of the
normalized Laplacian.
"""

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxclust.errors import UsageError

if TYPE_CHECKING:
    from scipy import sparse

MOST_FULL = 5000
"""The largest number of samples for which a matrix of all pairs is held."""
SMALL = 200
"""Parts of a graph up to this size have all their eigenvectors computed."""
DISTINCT = 1e-8
"""Eigenvalues that differ by less are not told apart."""


class GraphWarning(RuntimeWarning):
    """What a user should know of the graph that clusters were made of; a run has it as a note."""


class NotConverged(ArithmeticError):
    """The eigen-solver did not converge within its iterations."""


class Spectrum(NamedTuple):
    """The largest eigenvalues of ``D^-1/2 W D^-1/2``, and their eigenvectors.

    Attributes:
      values: float64, (k + 1,), falling, or fewer where the graph has no more.
      vectors: of unit length, float64, (n, k); see ``leading`` for graphs of many parts.
      degrees: sums of the affinities' rows, float64, (n,).
      parts: the connected component of each sample, int, (n,), the largest first.
    """

    values: np.ndarray
    vectors: np.ndarray
    degrees: np.ndarray
    parts: np.ndarray


def symmetric(neighbors: np.ndarray, weights: np.ndarray) -> "sparse.csr_array":
    """A graph of nearest neighbors made symmetric: the mean of the weights of both directions.

    Args:
      neighbors: the samples that each sample's edges lead to, int (n, K).
      weights: of these edges, at least 0, float (n, K).

    Returns:
      float64, (n, n), at most 2 n K entries.
    """
    from scipy import sparse

    n, count = neighbors.shape
    starts = np.arange(0, n * count + 1, count)
    flat = weights.astype(np.float64).ravel()
    directed = sparse.csr_array((flat, neighbors.ravel(), starts), shape=(n, n))
    graph = ((directed + directed.T) / 2).tocsr()
    graph.eliminate_zeros()
    return graph


def local_weights(squared: np.ndarray, neighbors: np.ndarray, scale_neighbor: int) -> np.ndarray:
    """Affinities with a scale for each sample (Zelnik-Manor, Perona 2004, eq. 2).

    ``exp(-|x_i - x_j|^2 / (s_i s_j))``, where s_i is the distance to a near neighbor of i. Where
    one of both is 0, since there are duplicates, the weight is 1 for them and 0 for others.

    Args:
      squared: squared distances to the nearest neighbors, the nearest first, float (n, K).
      neighbors: the rows that they lead to, int (n, K).
      scale_neighbor: which neighbor's distance is the scale, from 1; the last where it is above K.

    Returns:
      float64, (n, K).
    """
    squared = squared.astype(np.float64)
    scales = np.sqrt(squared[:, min(scale_neighbor, squared.shape[1]) - 1])
    return gaussian(squared, scales[:, None] * scales[neighbors])


def gaussian(squared: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
    """``exp(-squared / variance)``; where the variance is 0, 1 for duplicates and 0 for others.

    Args:
      squared: squared distances, float, of any shape.
      variance: at least 0, one for all or one for each distance.

    Returns:
      float64, of the shape of ``squared``.
    """
    squared = squared.astype(np.float64)
    apart = np.full_like(squared, np.inf)
    exponent = np.divide(squared, variance, out=apart, where=np.asarray(variance) > 0)
    return np.where(squared == 0, 1, np.exp(-exponent))


def full_affinity(x: np.ndarray, a: float, scale_neighbor: int | None = None) -> np.ndarray:
    """Affinities of all pairs, with zeros on the diagonal.

    Args:
      x: samples, float (n, d), at most ``MOST_FULL``.
      a: the Gaussian's sigma^2 is this times the mean squared distance of all pairs.
      scale_neighbor: as in ``local_weights``, instead of ``a``; None for one scale for all.

    Returns:
      float64, (n, n).

    Raises:
      UsageError: there are more samples.
    """
    if len(x) > MOST_FULL:
        raise UsageError(f"images: must be at most {MOST_FULL} for a full graph, got {len(x)}")
    from scipy.spatial.distance import pdist, squareform

    squared = squareform(pdist(x.astype(np.float64), "sqeuclidean"))
    if scale_neighbor is None:
        affinity = gaussian(squared, a * squared.sum() / (len(x) * max(len(x) - 1, 1)))
    else:
        rank = min(scale_neighbor, len(x) - 1)
        scales = np.sqrt(np.partition(squared, rank, axis=1)[:, rank])
        affinity = gaussian(squared, scales[:, None] * scales)
    np.fill_diagonal(affinity, 0)
    return affinity


def normalized(graph: "sparse.csr_array | np.ndarray") -> tuple[np.ndarray, Any]:
    """The degrees, float64 (n,), and ``D^-1/2 W D^-1/2``, a dense or sparse array as the graph."""
    from scipy import sparse

    degrees = np.asarray(graph.sum(axis=1)).ravel()
    scale = 1 / np.sqrt(np.where(degrees > 0, degrees, 1))
    if isinstance(graph, np.ndarray):
        return degrees, graph * scale[:, None] * scale
    diagonal = sparse.diags_array(scale)
    return degrees, (diagonal @ graph @ diagonal).tocsr()


def count_components(graph: Any) -> int:
    """The number of connected components of a graph."""
    from scipy.sparse.csgraph import connected_components

    found: Any = connected_components(graph, directed=False)
    return int(found[0])


def leading(graph: Any, k: int) -> Spectrum:
    """The k largest eigenvalues of ``D^-1/2 W D^-1/2`` and their eigenvectors.

    Components come first: each connected component is solved for itself, since an iterative solver
    can miss the eigenvalue 1 that each of them has, and the largest eigenvalues of all count. Where
    there are more than k components, the k largest have a vector each, and the rows of the others
    are zeros. Every solver starts from the same vector, so that the result is the same each time;
    the sign of a vector is that of its largest entry.

    Args:
      graph: affinities, symmetric, at least 0, (n, n), a sparse array or a NumPy array.
      k: number of eigenvectors, from 1 to n.

    Raises:
      UsageError: k is not in 1..n.
      NotConverged: the eigen-solver did not converge.
    """
    from scipy.sparse.csgraph import connected_components

    n = graph.shape[0]
    if not 1 <= k <= n:
        raise UsageError(f"clusters: must be from 1 to {n} for {n} samples, got {k}")
    degrees, scaled = normalized(graph)
    found_parts: Any = connected_components(graph, directed=False)
    parts = found_parts[1]
    sizes = np.bincount(parts)
    order = np.argsort(-sizes, kind="stable")
    parts = np.argsort(order, kind="stable")[parts]
    found = []
    for part, size in enumerate(sizes[order]):
        rows = np.flatnonzero(parts == part)
        whole = size == n
        values, vectors = _largest(scaled if whole else scaled[rows][:, rows], k + 1)
        # A lone sample without edges has the eigenvalue 0 by the formula, but is a component.
        values[0] = 1.0
        found += [(-value, part, j, rows, vectors[:, j]) for j, value in enumerate(values)]
    # The first vector of each component comes before all second ones, however near to 1 these are.
    found.sort(key=lambda entry: (entry[2] > 0, entry[0], entry[1]))
    vectors = np.zeros((n, k))
    for column, (_, _, _, rows, vector) in enumerate(found[:k]):
        vectors[rows, column] = vector * np.sign(vector[np.argmax(np.abs(vector))])
    values = np.array([-entry[0] for entry in found[: k + 1]])
    return Spectrum(values, vectors, degrees, parts)


def largest(operator: Any, k: int, tolerance: Any = 0) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues of a symmetric matrix or operator, by SciPy's ``eigsh``.

    Args:
      operator: (n, n), a NumPy array, sparse array or ``LinearOperator``, with n above k.
      k: number of eigenvalues.
      tolerance: relative error of the eigenvalues; 0 for rounding.

    Returns:
      The eigenvalues, falling, float64 (k,), and their vectors, float64 (n, k).

    Raises:
      NotConverged: the solver did not converge.
    """
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigsh

    n = operator.shape[0]
    start = np.random.default_rng(0).random(n)
    width = min(n, max(2 * k + 1, k + 20))
    try:
        found: Any = eigsh(operator, k, which="LA", v0=start, ncv=width, tol=tolerance)
    except (ArpackNoConvergence, ArpackError) as error:
        rule = f"the eigen-solver did not converge for {k} eigenvectors of {n} samples"
        raise NotConverged(f"{rule}: {error}") from error
    values, vectors = found
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


def _largest(scaled: Any, most: int) -> tuple[np.ndarray, np.ndarray]:
    """As ``largest``, of a connected component; at most ``most``, and no more than there are."""
    from scipy.linalg import eigh

    n = scaled.shape[0]
    if n > max(SMALL, most + 1):
        return largest(scaled, most)
    dense = scaled if isinstance(scaled, np.ndarray) else scaled.toarray()
    values, vectors = eigh(dense)
    return values[::-1][:most].copy(), vectors[:, ::-1][:, :most]


def joined(spectrum: Spectrum, x: np.ndarray) -> Spectrum:
    """Gives the samples of components without an eigenvector the rows of the nearest component.

    Args:
      spectrum: of a graph of the samples.
      x: the samples, float (n, d).

    Returns:
      The spectrum; its vectors have no row of zeros but those that a vector has by itself.
    """
    k = spectrum.vectors.shape[1]
    count = int(spectrum.parts.max()) + 1
    if count <= k:
        return spectrum
    means = np.stack([x[spectrum.parts == part].mean(axis=0) for part in range(count)])
    vectors = spectrum.vectors.copy()
    for part in range(k, count):
        nearest = int(np.argmin(((means[:k] - means[part]) ** 2).sum(axis=1)))
        middle = spectrum.vectors[spectrum.parts == nearest].mean(axis=0)
        vectors[spectrum.parts == part] = middle
    return spectrum._replace(vectors=vectors)


def cautions(spectrum: Spectrum, k: int) -> list[str]:
    """What a user should know of k clusters of a graph, a sentence each."""
    count = int(spectrum.parts.max()) + 1
    if count > k:
        rule = f"the graph has {count} connected components, which are more than {k} clusters"
        return [f"{rule}: the smaller ones join the nearest of the {k} largest"]
    values = spectrum.values
    if len(values) > k and values[k - 1] - values[k] < DISTINCT:
        rule = f"the eigenvalues {k} and {k + 1} of the graph are equal up to rounding"
        return [
            f"{rule}: which {k} eigenvectors count is arbitrary; try another number of clusters"
        ]
    return []


def warn(sentence: str) -> None:
    """Shows a ``GraphWarning`` from a function that a compiled program calls."""
    warnings.warn(sentence, GraphWarning, stacklevel=2)
