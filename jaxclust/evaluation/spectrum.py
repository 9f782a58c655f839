"""How many clusters a graph of nearest neighbors has, by the gaps of its spectrum.

A graph of K parts without an edge between them has a normalized Laplacian with K eigenvalues of 0.
With few edges between the parts, K eigenvalues are small and the next one is larger. The largest
gap between two eigenvalues in a row says how many parts there are (von Luxburg, A tutorial on
spectral clustering, 2007, section 8.3).
"""

from typing import Any

import numpy as np

SMALL = 200
"""Parts up to this size have all their eigenvalues computed."""


def gaps(neighbors: np.ndarray, weights: np.ndarray, numbers: range) -> dict[int, float]:
    """The gap after each number of eigenvalues, as a share of all these gaps.

    The graph is made symmetric: an edge's weight is the mean of those of its two directions.

    Args:
      neighbors: the samples that each sample's edges lead to, int (n, k).
      weights: of these edges, at least 0, float (n, k).
      numbers: numbers of clusters, the last below n.

    Returns:
      For each K the (K + 1)-th smallest eigenvalue less the K-th, divided by the sum over all of
      ``numbers``; 0 for each where no eigenvalue is larger than another.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    n, k = neighbors.shape
    tails = np.repeat(np.arange(n), k)
    directed = sparse.csr_matrix(
        (weights.astype(np.float64).ravel(), (tails, neighbors.ravel())), shape=(n, n)
    )
    graph = ((directed + directed.T) / 2).tocsr()
    graph.eliminate_zeros()
    most = numbers[-1] + 1
    count, part = connected_components(graph, directed=False)
    # An iterative solver can miss a multiple eigenvalue. Within a connected part 0 is single.
    spectra = [_smallest(graph[part == p][:, part == p], most) for p in range(count)]
    eigenvalues = np.sort(np.concatenate(spectra))[:most]
    values = {number: float(eigenvalues[number] - eigenvalues[number - 1]) for number in numbers}
    total = sum(values.values())
    return {number: value / total if total > 0 else 0.0 for number, value in values.items()}


def _smallest(graph, most: int) -> np.ndarray:
    """The smallest eigenvalues of a connected graph's normalized Laplacian, at most ``most``."""
    from scipy import sparse
    from scipy.sparse.linalg import eigsh

    n = graph.shape[0]
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    if n == 1:
        return np.zeros(1)
    scale = sparse.diags(1 / np.sqrt(degrees))
    normalized = scale @ graph @ scale
    if n <= max(SMALL, most + 1):
        return np.sort(1 - np.linalg.eigvalsh(normalized.toarray()))[:most]
    start = np.random.default_rng(0).random(n)
    largest: Any = eigsh(normalized, most, which="LA", return_eigenvectors=False, v0=start)
    return np.sort(1 - largest)
