"""Graph degree linkage transcribed from the papers' formulas, slow, dense, in float64: what the tests compare with."""

import numpy as np


def digraph(x, k, a=1.0):
    """JULE's eq. (4): dense W (n, n), and sigma."""
    n = len(x)
    x = np.asarray(x, np.float64)
    w = np.zeros((n, n))
    chosen, squared = [], []
    for i in range(n):
        distances = np.sum((x - x[i]) ** 2, axis=1)
        distances[i] = np.inf
        chosen.append(np.argsort(distances, kind="stable")[:k])
        squared.append(distances[chosen[-1]])
    variance = a * np.sum(squared) / (n * k)
    for i in range(n):
        for j, d in zip(chosen[i], squared[i], strict=True):
            w[i, j] = 1.0 if d == 0 else np.exp(-d / variance)
    return w, np.sqrt(variance), np.array(chosen)


def one_neighbor_components(nearest):
    """Components of the graph of nearest neighbours, by merging labels; numbered by first samples."""
    labels = np.arange(len(nearest))
    for i, j in enumerate(nearest):
        labels[labels == max(labels[i], labels[j])] = min(labels[i], labels[j])
    return np.unique(labels, return_inverse=True)[1]


def affinity(w, i, j):
    """A of two clusters, arrays of samples (section 3.3)."""
    there, back = w[np.ix_(i, j)], w[np.ix_(j, i)]
    ones_i, ones_j = np.ones(len(i)), np.ones(len(j))
    return (
        ones_i @ there @ back @ ones_i / len(i) ** 2 + ones_j @ back @ there @ ones_j / len(j) ** 2
    )


def linkage(w, labels, n_clusters, local_weight, n_local, affinity=affinity):
    """Merges by eq. (7), every affinity anew from its definition before each merge.

    Returns the pairs, and for each the criterion's value and the matrix of values (clusters of the lowest numbers).
    """
    clusters = {c: np.flatnonzero(labels == c) for c in np.unique(labels)}
    pairs, values = [], []
    while len(clusters) > n_clusters:
        names = sorted(clusters)
        table = np.zeros((len(names), len(names)))
        for i in range(len(names)):
            for j in range(i):
                table[i, j] = table[j, i] = affinity(w, clusters[names[i]], clusters[names[j]])
        criterion = np.zeros(len(names))
        for i in range(len(names)):
            near = np.sort(np.delete(table[i], i))[::-1]
            near = np.append(near, np.zeros(n_local))[:n_local]
            criterion[i] = near[0] + local_weight / (n_local - 1) * sum(
                near[0] - near[k] for k in range(1, n_local)
            )
        i = int(np.argmax(criterion))
        j = int(np.argmax(np.where(np.arange(len(names)) == i, -1, table[i])))
        keep, gone = names[min(i, j)], names[max(i, j)]
        pairs.append((keep, gone))
        values.append(dict(zip(names, criterion, strict=True)))
        clusters[keep] = np.concatenate([clusters[keep], clusters.pop(gone)])
    return pairs, values
