"""Graph degree linkage transcribed from the papers' formulas: slow, dense and in float64.

The tests compare the package with it.
"""

import numpy as np


def points(seed, n=80):
    """Blobs of unequal density, float32, (n, 4)."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((6, 4)) * 3
    blob = rng.integers(0, 6, n)
    spread = rng.standard_normal((n, 4)) * rng.uniform(0.2, 1.5, 6)[blob, None]
    return (centers[blob] + spread).astype(np.float32)


def unit(x):
    """Rows of unit length, float32."""
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def dense(graph):
    """The weights of a graph as a matrix W, (n, n)."""
    w = np.zeros((len(graph.neighbors),) * 2)
    np.put_along_axis(w, np.asarray(graph.neighbors), np.asarray(graph.weights, np.float64), axis=1)
    return w


def digraph(x, k, a=1.0):
    """JULE's eq. (4): dense W (n, n), sigma, and the neighbors (n, k)."""
    n = len(x)
    x = np.asarray(x, np.float64)
    w = np.zeros((n, n))
    neighbors = []
    squared = []
    for i in range(n):
        distances = np.sum((x - x[i]) ** 2, axis=1)
        distances[i] = np.inf
        neighbors.append(np.argsort(distances, kind="stable")[:k])
        squared.append(distances[neighbors[-1]])
    variance = a * np.sum(squared) / (n * k)
    for i in range(n):
        for j, d in zip(neighbors[i], squared[i], strict=True):
            w[i, j] = 1.0 if d == 0 else np.exp(-d / variance)
    return w, np.sqrt(variance), np.array(neighbors)


def one_neighbor_components(nearest):
    """Components of the graph of nearest neighbors, numbered by their first samples."""
    labels = np.arange(len(nearest))
    for i, j in enumerate(nearest):
        labels[labels == max(labels[i], labels[j])] = min(labels[i], labels[j])
    return np.unique(labels, return_inverse=True)[1]


def affinity(w, i, j):
    """A of two clusters, given as arrays of samples (section 3.3)."""
    there = w[np.ix_(i, j)]
    back = w[np.ix_(j, i)]
    ones_i = np.ones(len(i))
    ones_j = np.ones(len(j))
    return (
        ones_i @ there @ back @ ones_i / len(i) ** 2 + ones_j @ back @ there @ ones_j / len(j) ** 2
    )


def linkage(w, labels, n_clusters, local_weight, n_local, affinity=affinity):
    """Merges by eq. (7); all affinities are those of the definition.

    An affinity is computed anew where a merge has changed one of its two clusters.

    Returns:
      The pairs, and for each of them the criterion's value of each cluster.
    """
    clusters = {c: np.flatnonzero(labels == c) for c in np.unique(labels)}
    c = max(clusters) + 1
    table = np.zeros((c, c))

    def fill(i, others):
        for j in others:
            if j != i:
                table[i, j] = table[j, i] = affinity(w, clusters[max(i, j)], clusters[min(i, j)])

    for i in clusters:
        fill(i, [j for j in clusters if j < i])
    pairs = []
    values = []
    while len(clusters) > n_clusters:
        names = sorted(clusters)
        among = table[np.ix_(names, names)]
        criterion = np.zeros(len(names))
        for i in range(len(names)):
            near = np.sort(np.delete(among[i], i))[::-1]
            near = np.append(near, np.zeros(n_local))[:n_local]
            criterion[i] = near[0] + local_weight / (n_local - 1) * sum(
                near[0] - near[k] for k in range(1, n_local)
            )
        i = int(np.argmax(criterion))
        j = int(np.argmax(np.where(np.arange(len(names)) == i, -1, among[i])))
        keep = names[min(i, j)]
        gone = names[max(i, j)]
        pairs.append((keep, gone))
        values.append(dict(zip(names, criterion, strict=True)))
        clusters[keep] = np.concatenate([clusters[keep], clusters.pop(gone)])
        fill(keep, clusters)
    return pairs, values
