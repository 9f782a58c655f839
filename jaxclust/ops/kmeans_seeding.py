"""Starting centroids of k-means: greedy k-means++."""

from functools import partial
from math import log

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.types import Key

HIGHEST = lax.Precision.HIGHEST


def kmeans_plus_plus(key: Key, x: jax.Array, k: int) -> jax.Array:
    """Starting centroids by greedy k-means++ (Arthur & Vassilvitskii 2007, sections 2.2 and 7).

    The first centroid is a point drawn uniformly. For each further one, ``2 + floor(log k)``
    candidates (scikit-learn's number) are drawn with probability proportional to the squared
    distance from the centroids so far. The candidate that lowers the sum of these distances most
    is kept.

    Args:
      key: a typed key.
      x: points, (n, d), used as float32.
      k: number of centroids.

    Returns:
      float32, (k, d), rows of x.

    Raises:
      UsageError: k is not in 1..n.
    """
    return _jitted_plus_plus(key, checked_points(x, k), k)


def checked_points(x: jax.Array, k: int) -> jax.Array:
    """The points as float32, (n, d).

    Raises:
      UsageError: k is not in 1..n.
    """
    chex.assert_rank(x, 2)
    if not 1 <= k <= x.shape[0]:
        raise UsageError(f"k: must be from 1 to n, got {k} for n = {x.shape[0]}")
    return jnp.asarray(x, jnp.float32)


def mean_point(x: jax.Array) -> jax.Array:
    """The mean of the points (n, d), float32, (d,)."""
    # The differences are taken from the first point: the mean of equal points is then exactly
    # their value, and they are exactly zero once they are moved to it.
    return x[0] + jnp.mean(x - x[0], axis=0)


def squared_lengths(x: jax.Array) -> jax.Array:
    """Squared lengths of the rows (n, d), float32, (n,)."""
    # This is a product, since on a CPU XLA would store x**2, which is one more copy of the data.
    return jnp.einsum("nd,nd->n", x, x, precision=HIGHEST)


def plus_plus(key: Key, x: jax.Array, k: int) -> jax.Array:
    """Rows that greedy k-means++ chooses.

    Args:
      key: a typed key.
      x: points moved to their mean, float32, (n, d).
      k: number of centroids.

    Returns:
      int32, (k,).
    """
    key_first, key_next = jax.random.split(key)
    norms = squared_lengths(x)

    def to_points(rows: jax.Array) -> jax.Array:
        products = jnp.matmul(x[rows], x.T, precision=HIGHEST)
        return jnp.maximum(norms[rows][:, None] - 2 * products + norms, 0)

    def choose(i, carry):
        chosen, distances = carry
        cumulative = jnp.cumsum(distances)
        uniform = jax.random.uniform(jax.random.fold_in(key_next, i), (2 + int(log(k)),))
        draws = uniform * cumulative[-1]
        # With side="right" no point at distance 0 is drawn. If all distances are 0, the last
        # point is drawn again.
        candidates = jnp.minimum(jnp.searchsorted(cumulative, draws, side="right"), x.shape[0] - 1)
        reduced = jnp.minimum(to_points(candidates), distances)
        best = jnp.argmin(jnp.sum(reduced, axis=1))
        return chosen.at[i].set(candidates[best]), reduced[best]

    first = jax.random.randint(key_first, (1,), 0, x.shape[0], jnp.int32)
    carry = jnp.zeros(k, jnp.int32).at[0].set(first[0]), to_points(first)[0]
    return lax.fori_loop(1, k, choose, carry)[0]


@partial(jax.jit, static_argnames="k")
def _jitted_plus_plus(key: Key, x: jax.Array, k: int) -> jax.Array:
    return x[plus_plus(key, x - mean_point(x), k)]
