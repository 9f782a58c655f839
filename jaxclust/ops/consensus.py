"""Many clusterings of the same samples, and the one clustering that stands for them.

A basic partition is a clustering by k-means with a number of clusters of its own. Partitions become
codes: a sample has a 1 in the column of its cluster in each partition, and 0 elsewhere. The product
of two codes is the number of partitions that put two samples together, which is their
co-association. k-means on the codes thus clusters the co-association without an n x n matrix.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.ops.assignment import means_or, squared_distances
from jaxclust.ops.kmeans import KMeans, kmeans
from jaxclust.types import Key

MOST_COLUMNS = 5000
"""The largest number of columns that codes may have."""


class Basic(NamedTuple):
    """What puts any sample into its cluster in each of r basic partitions.

    Attributes:
      centroids: float32, (r, most, d); those from a partition's size on are not used.
      sizes: number of clusters of each partition, int32, (r,).
    """

    centroids: jax.Array
    sizes: jax.Array


def consensus(key: Key, partitions: jax.Array, most: int, k: int, restarts: int = 10) -> KMeans:
    """The clustering that most of several clusterings agree with, by k-means on their codes.

    Any method may use it whose runs give labels, such as the seeds of one method or the labels of
    several: no numbering of the clusters has to match. It is also known as the co-association
    k-means (Liu et al. 2016; Wu et al. 2015). It holds n x (r most) numbers.

    Args:
      key: a typed key.
      partitions: labels of each of r clusterings, int32, (r, n), in 0..most-1.
      most: the largest number of clusters of a clustering.
      k: number of clusters of the result.
      restarts: starts of k-means; the best counts.

    Returns:
      The clustering; its centroids, float32 (k, r most), are shares of the clusters of each
      partition.

    Raises:
      UsageError: the codes have more than ``MOST_COLUMNS`` columns, or k is not in 1..n.
    """
    if len(partitions) * most > MOST_COLUMNS:
        rule = f"partitions: must have at most {MOST_COLUMNS} clusters in all"
        raise UsageError(f"{rule}, got {len(partitions)} of up to {most}")
    return kmeans(key, codes(partitions, most), k, restarts)


def codes(partitions: jax.Array, most: int) -> jax.Array:
    """The codes of samples: a 1 for the cluster of each partition.

    Args:
      partitions: int32, (r, n), in 0..most-1.
      most: columns of a partition.

    Returns:
      float32, (n, r most); each row has r ones.
    """
    chex.assert_rank(partitions, 2)
    ones = jax.nn.one_hot(partitions.T, most, dtype=jnp.float32)
    return ones.reshape(partitions.shape[1], -1)


def basic(
    key: Key, x: jax.Array, count: int, sizes: tuple[int, int], iterations: int = 10
) -> Basic:
    """Basic partitions: k-means from random samples, each with a random number of clusters.

    A cluster that loses all its samples keeps its centroid.

    Args:
      key: a typed key.
      x: samples, float32, (n, d).
      count: number r of partitions.
      sizes: the smallest and the largest number of clusters, which is drawn uniformly.
      iterations: of Lloyd's.

    Raises:
      UsageError: the largest number of clusters is above n.
    """
    least, most = sizes
    n = x.shape[0]
    if not 1 <= least <= most <= n:
        raise UsageError(f"sizes: must be rising, from 1 to {n} for {n} samples, got {sizes}")
    size_key, start_key = jax.random.split(key)
    drawn = jax.random.randint(size_key, (count,), least, most + 1, jnp.int32)

    def one(argument: tuple[Key, jax.Array]) -> jax.Array:
        own_key, size = argument
        start = x[jax.random.choice(own_key, n, (most,), replace=False)]

        def update(_, centroids: jax.Array) -> jax.Array:
            return means_or(x, _assigned(x, centroids, size), centroids)

        return lax.fori_loop(0, iterations, update, start)

    return Basic(lax.map(one, (jax.random.split(start_key, count), drawn)), drawn)


def partitions(basic: Basic, x: jax.Array) -> jax.Array:
    """The cluster of each sample in each basic partition, int32, (r, n)."""
    return lax.map(lambda each: _assigned(x, each.centroids, each.sizes), basic)


def _assigned(x: jax.Array, centroids: jax.Array, size: jax.Array) -> jax.Array:
    distances = squared_distances(x, centroids)
    used = jnp.arange(centroids.shape[0], dtype=jnp.int32) < size
    return jnp.argmin(jnp.where(used, distances, jnp.inf), axis=1).astype(jnp.int32)
