"""Distances to centroids, hard and soft assignments, and the sharpened targets that train on them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.types import Prediction


def squared_distances(x: jax.Array, centroids: jax.Array) -> jax.Array:
    """Squared Euclidean distances from each row to each centroid.

    Written ``|x|^2 - 2 x.c + |c|^2``, one matrix product, since the plain differences would be an (n, k, d) array. The
    form cancels where both points lie far from the origin and near each other, so both are first moved to the
    mean of the centroids, and what rounding leaves below zero is clipped.

    Args:
      x: points, float32, (n, d).
      centroids: float32, (k, d).

    Returns:
      float32, (n, k), at least 0.
    """
    # The distances do not depend on the origin, so neither does their gradient.
    origin = lax.stop_gradient(jnp.mean(centroids, axis=0))
    x, centroids = x - origin, centroids - origin
    products = jnp.matmul(x, centroids.T, precision=lax.Precision.HIGHEST)
    distances = jnp.sum(x**2, axis=1)[:, None] - 2 * products + jnp.sum(centroids**2, axis=1)
    return jnp.maximum(distances, 0)


def hard_assignment(distances: jax.Array) -> jax.Array:
    """The nearest centroid of each row, the first one of equals.

    Args:
      distances: float32, (n, k).

    Returns:
      int32, (n,), in 0..k-1.
    """
    return jnp.argmin(distances, axis=1).astype(jnp.int32)


def nearest_centroid(x: jax.Array, centroids: jax.Array) -> jax.Array:
    """The number of the centroid nearest to each row, float32 (n, d) to (k, d): int32, (n,)."""
    return hard_assignment(squared_distances(x, centroids))


def soft_assignment(x: jax.Array, centroids: jax.Array, v: float = 1.0) -> jax.Array:
    """Student's t similarity of each row to each centroid (DCEC, Guo et al. 2017, eq. 6; DBC eq. 1).

    ``q_ij`` is proportional to ``(1 + |x_i - c_j|^2 / v)^(-(v + 1) / 2)``. Taken as a softmax of its logarithm, no
    row underflows to zero, however far it lies from every centroid.

    Args:
      x: points, float32, (n, d).
      centroids: float32, (k, d).
      v: degrees of freedom, positive; 1 in both papers.

    Returns:
      q, float32, (n, k), rows sum to 1.
    """
    return jax.nn.softmax(-(v + 1) / 2 * jnp.log1p(squared_distances(x, centroids) / v), axis=1)


def nearest(
    x: jax.Array,
    centroids: jax.Array,
    soften: Callable[[jax.Array, jax.Array], jax.Array] = soft_assignment,
) -> Prediction:
    """The nearest centroid of each row, its soft assignment and its distance.

    Args:
      x: points, float32, (n, d).
      centroids: float32, (k, d).
      soften: soft assignments (n, k) of points to centroids, which fall with the distance.
    """
    distances = squared_distances(x, centroids)
    soft = soften(x, centroids)
    return Prediction(
        hard_assignment(distances), jnp.max(soft, axis=1), jnp.sqrt(jnp.min(distances, axis=1))
    )


def cluster_means(x: jax.Array, labels: jax.Array, clusters: int) -> jax.Array:
    """Mean of each cluster's points, float32 (clusters, d); that of a number no cluster has is far from every unit row.

    Args:
      x: points of unit length, float32, (n, d).
      labels: int32, (n,), in 0..clusters-1.
      clusters: how many.
    """
    size = jnp.zeros(clusters, jnp.float32).at[labels].add(1)
    means = (
        jnp.zeros((clusters, x.shape[1]), jnp.float32).at[labels].add(x)
        / jnp.maximum(size, 1)[:, None]
    )
    return jnp.where(size[:, None] > 0, means, jnp.float32(1e3))


def sharpened_target(q: jax.Array, power: float = 2.0, frequency: float = 1.0) -> jax.Array:
    """The target that soft assignments are pulled to: surer than they are, and fair to small clusters.

    ``p_ij`` is proportional to ``q_ij^power / sum_i q_ij^frequency``. The defaults are DCEC's target (Guo et al. 2017,
    eq. 8); DBC's has ``frequency = power = alpha``; ``frequency = 0`` divides each cluster by n, which is no balance.

    Args:
      q: soft assignments, float32, (n, k), rows sum to 1. All points at once: the sum runs over the data set.
      power: how strongly sure assignments are preferred; 1 or more.
      frequency: the exponent under the sum that measures how large a cluster is.

    Returns:
      p, float32, (n, k), rows sum to 1. A column without any mass stays zero.
    """
    # By logarithms: with a large power even the largest entry of a row, 1 / k or more, would underflow.
    log_q = jnp.where(q < jnp.finfo(jnp.float32).tiny, -jnp.inf, jnp.log(q))
    log_size = jax.nn.logsumexp(frequency * log_q, axis=0) if frequency else jnp.zeros(q.shape[1])
    return jax.nn.softmax(power * log_q - jnp.where(log_size > -jnp.inf, log_size, 0), axis=1)


def fraction_changed(old: jax.Array, new: jax.Array) -> jax.Array:
    """The part of the labels that differ (DCEC's stopping rule compares it with delta).

    Args:
      old: int32, (n,).
      new: int32, (n,).

    Returns:
      float32, a scalar in [0, 1].
    """
    return jnp.mean(old != new, dtype=jnp.float32)
