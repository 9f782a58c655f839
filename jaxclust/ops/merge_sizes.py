"""How large the clusters are that merge: from this the number of large clusters is read.

Merging begins with many small clusters and ends with one. Small clusters join large ones all the
time. A merge of two clusters that both have at least s samples takes one from the number of
clusters of that size. So K clusters of at least s samples stand beside each other, none a part of
another, exactly where K - 1 merges join two clusters that both have at least s samples.
"""

import numpy as np


def smaller_sizes(labels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The size of the smaller of the two clusters that each merge joins.

    Args:
      labels: the clusters before the first merge, int (n,).
      pairs: the numbers of the two clusters of each merge, the one that stays first, int (m, 2).

    Returns:
      int64 (m,).
    """
    sizes = np.bincount(labels)
    smaller = np.empty(len(pairs), np.int64)
    for place, (keep, gone) in enumerate(pairs):
        smaller[place] = min(sizes[keep], sizes[gone])
        sizes[keep] += sizes[gone]
        sizes[gone] = 0
    return smaller


def balance(labels: np.ndarray, pairs: np.ndarray, numbers: range) -> dict[int, float]:
    """How large the smallest of K clusters can be, as a share of the mean size n / K.

    Args:
      labels: the clusters before the first merge, int (n,).
      pairs: the merges, down to one cluster, int (m, 2).
      numbers: numbers K of clusters, from 2.

    Returns:
      For each K the largest size that K clusters beside each other can all have, divided by n / K;
      0 where the merges begin with fewer clusters.
    """
    sizes = np.sort(smaller_sizes(labels, pairs))[::-1]
    n = len(labels)
    return {
        number: float(number * sizes[number - 2] / n) if number - 2 < len(sizes) else 0.0
        for number in numbers
    }
