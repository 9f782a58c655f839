"""Sizes of merging clusters against counting the clusters after each merge."""

import numpy as np
import pytest

from jaxclust.ops.merge_sizes import balance, smaller_sizes

# Clusters of 4, 3, 2 and 1 samples: 3 joins 0, 1 joins 2, then all are one.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
PAIRS = np.array([[0, 3], [1, 2], [0, 1]])


def test_the_smaller_size_of_each_merge():
    assert smaller_sizes(LABELS, PAIRS).tolist() == [1, 2, 5]


def test_the_smallest_of_so_many_clusters_as_a_share_of_the_mean():
    # Two of 5, three of at least 2, four of at least 1 of ten samples.
    assert balance(LABELS, PAIRS, range(2, 6)) == {2: 1.0, 3: 0.6, 4: 0.4, 5: 0.0}


@pytest.mark.parametrize("seed", range(5))
def test_so_many_clusters_of_a_size_stand_beside_each_other(seed):
    """Against a search through all clusters that ever were for the most that share no sample."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(12), generator.integers(1, 6, 12))
    live = {number: frozenset(np.flatnonzero(labels == number)) for number in range(12)}
    ever = list(live.values())
    pairs = []
    while len(live) > 1:
        keep, gone = generator.choice(sorted(live), 2, replace=False).tolist()
        live[keep] |= live.pop(gone)
        ever.append(live[keep])
        pairs.append((keep, gone))
    values = balance(labels, np.array(pairs), range(2, 8))
    for number, value in values.items():
        size = round(value * len(labels) / number)
        for least, enough in ((size, True), (size + 1, False)):
            large = [cluster for cluster in ever if len(cluster) >= least]
            # Those that hold no other large one share no sample, and none can be more.
            ends = [one for one in large if not any(other < one for other in large)]
            assert (len(ends) >= number) == enough
