"""How many groups there are, by the mean silhouette (Rousseeuw 1987).

The smallest number is taken whose silhouette is within 2 % of the largest one.

For each number, k-means groups a sample of the vectors. The silhouette compares each vector's
distance to its own group with that to the next one. It can be compared between numbers of groups,
since the vectors do not depend on the number. On a trained embedding it could not: training pulls
whatever groups there are together.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

SAMPLE = 2_000
"""Vectors that are drawn where there are more."""
RESTARTS = 4
"""Runs of k-means for each number, of which the best counts."""
SPREAD = (
    *range(2, 21),
    *(22, 24, 26, 28, 30, 33, 36, 40, 44, 48, 53, 58, 64, 70, 77, 85, 93, 100, 110, 120),
)
"""Numbers that are tried first; the neighbors of the best one follow."""
LEAST_MEMBERS = 5
"""A number is tried only if its groups have this many vectors of the sample on average."""
WITHIN = 0.02
"""Numbers whose silhouette is within this share of the largest are equally good: k-means on a
sample is no more exact (chosen on scikit-learn's digits)."""
MARGIN = 0.03
"""A number of groups is supported if its silhouette is larger by this than that of normal random
vectors of the same variances, which have no groups (digits: by .13)."""


class Number(NamedTuple):
    """A number of groups, and what speaks for it.

    Attributes:
      groups: the number.
      silhouettes: of each number that was tried, in rising order of the number.
      unstructured: silhouette of ``groups`` groups in random vectors without groups.
    """

    groups: int
    silhouettes: Mapping[int, float]
    unstructured: float

    @property
    def supported(self) -> bool:
        """Whether the pictures fall into groups more clearly than vectors without groups do."""
        return self.silhouettes[self.groups] >= self.unstructured + MARGIN

    @property
    def at_end(self) -> bool:
        """Whether the largest number that was tried is the best, so that there may be more."""
        return self.groups == max(self.silhouettes) and self.groups > 2


def choose_number(vectors: np.ndarray, step: Callable[[], None] = lambda: None) -> Number:
    """The number of groups with the largest silhouette.

    Args:
      vectors: float32 (n, p), n at least 4.
      step: is called after each number.
    """
    generator = np.random.default_rng(0)
    sample = np.unique(vectors, axis=0)
    if len(sample) > SAMPLE:
        sample = sample[np.sort(generator.choice(len(sample), SAMPLE, replace=False))]
    distances = _distances(sample)
    silhouettes: dict[int, float] = {}

    def try_all(numbers: Iterator[int]) -> None:
        for number in numbers:
            if number not in silhouettes and number in range(2, _largest(len(sample)) + 1):
                silhouettes[number] = _silhouette(sample, number, distances)
                step()

    try_all(iter(SPREAD))
    best = _best(silhouettes)
    gap = 1 if best <= 20 else 7
    try_all(iter(range(best - gap, best + gap + 1)))
    largest = max(silhouettes.values())
    least = largest - WITHIN * abs(largest)
    chosen = min(number for number, value in silhouettes.items() if value >= least)
    spread = sample.std(axis=0)
    random = generator.normal(size=sample.shape).astype(np.float32) * spread
    lengths = np.linalg.norm(sample, axis=1)
    if np.allclose(lengths, 1, atol=1e-3):
        random /= np.linalg.norm(random, axis=1, keepdims=True)
    unstructured = _silhouette(random, chosen, _distances(random))
    return Number(chosen, dict(sorted(silhouettes.items())), unstructured)


def sentences(number: Number) -> tuple[str, ...]:
    """Sentences on an estimated number of groups."""
    largest = max(number.silhouettes)
    value = number.silhouettes[number.groups]
    measured = f"mean silhouette {value:.2f}, {number.unstructured:.2f} without structure"
    lines = [
        f"The number of groups was estimated: {number.groups} fit best of 2 to {largest} "
        f"({measured})."
    ]
    if not number.supported:
        lines.append("No number of groups stands out: the pictures may have no clear groups.")
    elif number.at_end:
        lines.append("That is the largest number that was tried, there may be more groups.")
    return tuple(lines)


def tried(n: int) -> int:
    """How many numbers are tried first for n pictures, for a progress bar."""
    return sum(number <= _largest(min(n, SAMPLE)) for number in SPREAD)


def _largest(n: int) -> int:
    return max(2, n // LEAST_MEMBERS)


def _best(silhouettes: Mapping[int, float]) -> int:
    """The number with the largest silhouette; the smallest of equals."""
    return max(silhouettes, key=lambda number: (silhouettes[number], -number))


def _distances(vectors: np.ndarray) -> np.ndarray:
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(vectors.astype(np.float64))


def _silhouette(vectors: np.ndarray, number: int, distances: np.ndarray) -> float:
    """Mean silhouette of k-means with a number of groups; -1 where k-means finds fewer."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    kmeans = KMeans(number, n_init=RESTARTS, random_state=0)  # pyright: ignore[reportArgumentType]
    labels = kmeans.fit_predict(vectors)
    if not 1 < len(np.unique(labels)) < len(labels):
        return -1.0
    return float(silhouette_score(distances, labels, metric="precomputed"))
