"""How many groups vectors fall into, by the mean silhouette (Rousseeuw 1987).

For each number, k-means groups a sample of the vectors. The silhouette compares each vector's
distance to its own group with that to the next one. It can be compared between numbers of groups,
since the vectors do not depend on the number. On a trained embedding it could not: training pulls
whatever groups there are together.

Two groups of random vectors have a larger silhouette than ten. So for each number that of normal
random vectors of the same variances is subtracted, as in the gap statistic (Tibshirani, Walther and
Hastie 2001). The smallest number is taken whose difference is within .01 of the largest.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

SAMPLE = 2_000
"""Vectors that are drawn where there are more."""
RESTARTS = 10
"""Runs of k-means for each number, of which the best counts."""
SPREAD = (
    *range(2, 21),
    *(22, 24, 26, 28, 30, 33, 36, 40, 44, 48, 53, 58, 64, 70, 77, 85, 93, 100, 110, 120),
)
"""Numbers that are tried first; the neighbors of the best one follow."""
LEAST_MEMBERS = 5
"""A number is tried only if its groups have this many vectors of the sample on average."""
WITHIN = 0.01
"""Numbers whose differences differ by less are equally good: neighboring numbers vary by this much
(chosen on the pixels of digits and USPS)."""
MARGIN = 0.05
"""A number of groups is supported if its silhouette is larger by this than that of random vectors
(digits by .13, USPS by .11, pictures of one kind by .04)."""


class Number(NamedTuple):
    """A number of groups, and what speaks for it.

    Attributes:
      groups: the number.
      silhouettes: of each number that was tried, in rising order of the number.
      unstructured: silhouettes of random vectors without groups.
    """

    groups: int
    silhouettes: Mapping[int, float]
    unstructured: Mapping[int, float]

    @property
    def differences(self) -> dict[int, float]:
        """How much larger the silhouette of each number is than that of random vectors."""
        return _differences(self.silhouettes, self.unstructured)

    @property
    def supported(self) -> bool:
        """Whether the pictures fall into groups more clearly than vectors without groups do."""
        return self.differences[self.groups] >= MARGIN

    @property
    def at_end(self) -> bool:
        """Whether the largest number that was tried is the best, so that there may be more."""
        return self.groups == max(self.silhouettes) and self.groups > 2


def choose_number(
    vectors: np.ndarray,
    step: Callable[[], None] = lambda: None,
    numbers: range | None = None,
) -> Number:
    """The number of groups by the rule above.

    Args:
      vectors: float32 (n, p), n at least 4.
      step: is called after each number.
      numbers: the numbers to try, the first at least 2 and at most a fifth of the different
        vectors; None for ``SPREAD`` and the neighbors of the best one.
    """
    generator = np.random.default_rng(0)
    sample = np.unique(vectors, axis=0)
    if len(sample) > SAMPLE:
        sample = sample[np.sort(generator.choice(len(sample), SAMPLE, replace=False))]
    random = _without_groups(sample, generator)
    distances = _distances(sample)
    random_distances = _distances(random)
    silhouettes: dict[int, float] = {}
    unstructured: dict[int, float] = {}

    possible = range(2, _largest(len(sample)) + 1)

    def try_all(candidates: Iterable[int]) -> dict[int, float]:
        for number in candidates:
            if number not in silhouettes and number in possible:
                silhouettes[number] = _silhouette(sample, number, distances)
                unstructured[number] = _silhouette(random, number, random_distances)
                step()
        return _differences(silhouettes, unstructured)

    differences = try_all(SPREAD if numbers is None else numbers)
    if numbers is None:
        best = max(differences, key=lambda number: (differences[number], -number))
        gap = 1 if best <= 20 else 7
        differences = try_all(range(best - gap, best + gap + 1))
    largest = max(differences.values())
    good = (number for number, value in differences.items() if value >= largest - WITHIN)
    chosen = min(good)
    return Number(chosen, dict(sorted(silhouettes.items())), dict(sorted(unstructured.items())))


def _differences(
    silhouettes: Mapping[int, float], unstructured: Mapping[int, float]
) -> dict[int, float]:
    """How much larger the silhouette of each number is than that of random vectors."""
    return {number: value - unstructured[number] for number, value in silhouettes.items()}


def _without_groups(vectors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Normal random vectors of the same variances, and of unit length where the vectors are."""
    random = generator.normal(size=vectors.shape).astype(np.float32) * vectors.std(axis=0)
    if np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        random /= np.linalg.norm(random, axis=1, keepdims=True)
    return random


def tried(n: int) -> int:
    """How many numbers are tried first for n pictures, for a progress bar."""
    return sum(number <= _largest(min(n, SAMPLE)) for number in SPREAD)


def _largest(n: int) -> int:
    return max(2, n // LEAST_MEMBERS)


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
