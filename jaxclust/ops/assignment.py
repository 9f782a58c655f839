"""Distances to centroids, hard and soft assignments, and targets that sharpen the soft ones."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.types import Prediction


def squared_distances(x: jax.Array, centroids: jax.Array) -> jax.Array:
    """Squared Euclidean distances from each row to each centroid.

    They are computed as ``|x|^2 - 2 x.c + |c|^2``, which is one matrix product; the plain
    differences would be an (n, k, d) array. This form loses digits where both points lie far from
    the origin and near each other. So both are first moved to the mean of the centroids, and
    values that rounding leaves below zero are set to zero.

    Args:
      x: points, float32, (n, d).
      centroids: float32, (k, d).

    Returns:
      float32, (n, k), at least 0.
    """
    chex.assert_rank([x, centroids], 2)
    chex.assert_equal_shape_suffix([x, centroids], 1)
    # The distances do not depend on the origin, so neither does their gradient.
    origin = lax.stop_gradient(jnp.mean(centroids, axis=0))
    x = x - origin
    centroids = centroids - origin
    products = jnp.matmul(x, centroids.T, precision=lax.Precision.HIGHEST)
    distances = jnp.sum(x**2, axis=1)[:, None] - 2 * products + jnp.sum(centroids**2, axis=1)
    return jnp.maximum(distances, 0)


def hard_assignment(distances: jax.Array) -> jax.Array:
    """The nearest centroid of each row; of equally near ones, the first.

    Args:
      distances: float32, (n, k).

    Returns:
      int32, (n,), in 0..k-1.
    """
    chex.assert_rank(distances, 2)
    return jnp.argmin(distances, axis=1).astype(jnp.int32)


def nearest_centroid(x: jax.Array, centroids: jax.Array) -> jax.Array:
    """The number of the centroid that is nearest to each row.

    Args:
      x: points, float32, (n, d).
      centroids: float32, (k, d).

    Returns:
      int32, (n,), in 0..k-1.
    """
    return hard_assignment(squared_distances(x, centroids))


def soft_assignment(x: jax.Array, centroids: jax.Array, v: float = 1.0) -> jax.Array:
    """Student's t similarity of each row to each centroid.

    This is eq. (6) of DCEC (Guo et al. 2017) and eq. (1) of DBC. ``q_ij`` is proportional to ``(1
    + |x_i - c_j|^2 / v)^(-(v + 1) / 2)``. It is computed as a softmax of its logarithm, so that
    no row underflows to zero, however far the point lies from every centroid.

    Args:
      x: points, float32, (n, d).
      centroids: float32, (k, d).
      v: degrees of freedom, positive; 1 in both papers.

    Returns:
      q, float32, (n, k); each row sums to 1.
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
      soften: ``soften(x, centroids)`` gives soft assignments, float32, (n, k), that fall with the
        distance.

    Returns:
      The cluster, its probability and the distance to its centroid, (n,) each.
    """
    distances = squared_distances(x, centroids)
    soft = soften(x, centroids)
    chex.assert_equal_shape([distances, soft])
    return Prediction(
        hard_assignment(distances), jnp.max(soft, axis=1), jnp.sqrt(jnp.min(distances, axis=1))
    )


def cluster_means(x: jax.Array, labels: jax.Array, clusters: int) -> jax.Array:
    """The mean of each cluster's points.

    An empty cluster gets a mean that is far from every point of unit length, so that no point is
    assigned to it.

    Args:
      x: points, float32, (n, d).
      labels: int32, (n,), in 0..clusters-1.
      clusters: number of clusters.

    Returns:
      float32, (clusters, d); 1000 in every entry for an empty cluster.
    """
    chex.assert_rank([x, labels], [2, 1])
    chex.assert_equal_shape_prefix([x, labels], 1)
    size = jnp.zeros(clusters, jnp.float32).at[labels].add(1)
    sums = jnp.zeros((clusters, x.shape[1]), jnp.float32).at[labels].add(x)
    means = sums / jnp.maximum(size, 1)[:, None]
    return jnp.where(size[:, None] > 0, means, jnp.float32(1e3))


def means_or(x: jax.Array, labels: jax.Array, others: jax.Array) -> jax.Array:
    """The mean of each cluster's points, and another point for an empty cluster.

    Args:
      x: points, float32, (n, d).
      labels: int32, (n,), in 0..clusters-1.
      others: what stands for empty clusters, such as their last centroids; float32, (clusters, d).

    Returns:
      float32, (clusters, d).
    """
    means = cluster_means(x, labels, len(others))
    used = jnp.zeros(len(others), bool).at[labels].set(True)[:, None]
    return jnp.where(used, means, others)


def sharpened_target(q: jax.Array, power: float = 2.0, frequency: float = 1.0) -> jax.Array:
    """The target distribution that the soft assignments are trained on.

    ``p_ij`` is proportional to ``q_ij^power / sum_i q_ij^frequency``: confident assignments gain
    weight, and large clusters lose some. The defaults are DCEC's target (Guo et al. 2017, eq. 8).
    DBC's has ``frequency = power = alpha``. With ``frequency = 0`` the size of a cluster does not
    count.

    Args:
      q: soft assignments, float32, (n, k); each row sums to 1. They must be those of the whole
        data set, since the sum runs over it.
      power: exponent of the assignments, at least 1; a larger one prefers confident assignments
        more strongly.
      frequency: exponent under the sum that measures how large a cluster is.

    Returns:
      p, float32, (n, k); each row sums to 1. A column without any mass stays zero.
    """
    chex.assert_rank(q, 2)
    # With a large power even a row's largest entry, 1 / k or more, would underflow without the
    # logarithms.
    log_q = jnp.where(q < jnp.finfo(jnp.float32).tiny, -jnp.inf, jnp.log(q))
    log_size = jax.nn.logsumexp(frequency * log_q, axis=0) if frequency else jnp.zeros(q.shape[1])
    return jax.nn.softmax(power * log_q - jnp.where(log_size > -jnp.inf, log_size, 0), axis=1)


def fraction_changed(old: jax.Array, new: jax.Array) -> jax.Array:
    """The fraction of labels that differ, which DCEC's stopping rule compares with delta.

    Args:
      old: int32, (n,).
      new: int32, (n,).

    Returns:
      float32, (), in [0, 1].
    """
    chex.assert_rank([old, new], 1)
    chex.assert_equal_shape([old, new])
    return jnp.mean(old != new, dtype=jnp.float32)
