"""Losses: one function a term, one value an example, no weight and no reduction; ``weighted`` joins them."""

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jaxclust.errors import UsageError
from jaxclust.ops.assignment import cluster_means, squared_distances
from jaxclust.types import Key

LEAST_SINGULAR = 1e-16
"""In the gradient a singular value below it counts as this: its inverse, in Adam squared, stays finite in float32."""


def squared_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean over an example's entries of (prediction - target)^2.

    DCEC (Guo et al. 2017) prints the sum over pixels in eq. (4); the authors' code, and so its table, has the mean.
    Multiply by the number of pixels for the sum.

    Args:
      prediction: float32, (n, ...).
      target: float32, the same shape.

    Returns:
      float32, (n,).
    """
    difference = prediction - target
    return jnp.mean(jnp.square(difference), axis=tuple(range(1, difference.ndim)))


def kl_divergence(target: jax.Array, soft: jax.Array) -> jax.Array:
    """KL(P || Q) of each row, sum_j p_ij log(p_ij / q_ij): DCEC eq. (7), DEC eq. (2).

    Args:
      target: P, float32, (n, k), rows sum to one; zeros are allowed.
      soft: Q, float32, (n, k), rows sum to one.

    Returns:
      float32, (n,), in nats.
    """
    # Far from every centroid but one, q can underflow to 0, and p with it: the smallest normal number keeps log finite.
    tiny = jnp.finfo(soft.dtype).tiny
    return jnp.sum(xlogy(target, target) - xlogy(target, jnp.maximum(soft, tiny)), axis=-1)


def cluster_scatter(points: jax.Array, labels: jax.Array, clusters: int) -> jax.Array:
    """Squared distance of each point to the mean of its cluster: the k-means term of DCTL, eq. (5).

    The sum over points is ``||Z - Z H' (H H')^-1 H||^2`` with the points as columns of Z and the indicator matrix H of
    the labels, without a matrix of n x n. An empty cluster, which makes H H' singular, counts nothing: the
    pseudo-inverse.

    Args:
      points: float32, (n, d).
      labels: int32, (n,), in 0..clusters-1.
      clusters: how many.

    Returns:
      float32, (n,).
    """
    return jnp.sum(jnp.square(points - cluster_means(points, labels, clusters)[labels]), axis=1)


def soft_kmeans(points: jax.Array, centroids: jax.Array, alpha: jax.Array | float) -> jax.Array:
    """Squared distances to all centroids, weighted by a softmax of -alpha times them: DKM (Fard et al. 2020), eq. (4).

    Args:
      points: float32, (n, d).
      centroids: float32, (k, d).
      alpha: inverse temperature, at least 0; towards infinity the value is k-means's.

    Returns:
      float32, (n,); its gradient also runs through the softmax.
    """
    distances = squared_distances(points, centroids)
    return jnp.sum(distances * jax.nn.softmax(-alpha * distances, axis=1), axis=1)


def filter_penalty(filters: jax.Array) -> jax.Array:
    """||T||_F^2 - logdet T of a layer's filters: DCTL, eq. (2) and (5).

    The logarithm of the determinant of a tall T is the sum of the logarithms of its singular values. It grows without
    bound as filters vanish or align; ||T||_F^2 keeps them from growing. The least value, at singular values of
    1 / sqrt(2), is ``m (1 + log 2) / 2`` for m filters.

    Args:
      filters: T, a filter a column, float32, (rows, m), m at most rows.

    Returns:
      float32, (). Infinite where a singular value is 0; the gradient is finite there too: see ``LEAST_SINGULAR``.
    """
    return jnp.sum(jnp.square(filters)) - _log_det(filters)


@jax.custom_vjp
def _log_det(filters):
    return jnp.sum(jnp.log(jnp.linalg.svd(filters, compute_uv=False)))


def _log_det_forward(filters):
    u, sigma, v = jnp.linalg.svd(filters, full_matrices=False)
    return jnp.sum(jnp.log(sigma)), (u, sigma, v)


def _log_det_backward(saved, g):
    # The transposed pseudo-inverse. Through the derivatives of u and v it would come out as 0 / 0 where singular values
    # are equal, as those of orthogonal filters are.
    u, sigma, v = saved
    return (g * (u / jnp.maximum(sigma, LEAST_SINGULAR)) @ v,)


_log_det.defvjp(_log_det_forward, _log_det_backward)


def weighted_triplet(
    affinity: jax.Array,
    labels: jax.Array,
    negatives: jax.Array,
    gamma: float,
    margin: float | None = None,
    hinge: Literal["weighted", "plain"] = "weighted",
) -> tuple[jax.Array, jax.Array]:
    """JULE's weighted triplet loss of every triplet in a batch (Yang, Parikh, Batra 2016, eq. 11).

    ``A(i, k) - gamma A(i, j)`` for i and j of one cluster and k one of i's negatives; with a margin, as in the authors'
    codes, that plus the margin, and 0 where the negative is farther by the margin: where ``A(i, k) - gamma A(i, j) +
    margin`` is at most 0 (Torch), or the same without gamma (Caffe, "plain"). Which triplets there are depends on the
    labels, so values come for all (i, j, k) with a mask of those that count; the loss is their mean.

    Args:
      affinity: A of each pair, float32, (b, b).
      labels: clusters, int32, (b,).
      negatives: rows of the batch for each i, int32, (b, m); b where there is none.
      gamma: weight of the pairs of one cluster.
      margin: None for the paper's loss, which has no margin.
      hinge: whether gamma counts in what the margin is held against.

    Returns:
      Values, float32 (b, b, m), and whether each counts, bool (b, b, m).
    """
    b = labels.shape[0]
    same = (labels[:, None] == labels) & ~jnp.eye(b, dtype=jnp.bool_)
    counts = same[:, :, None] & (negatives < b)[:, None, :]
    there = jnp.take_along_axis(affinity, jnp.minimum(negatives, b - 1), axis=1)
    values = there[:, None, :] - gamma * affinity[:, :, None]
    if margin is None:
        return values, counts
    held = values if hinge == "weighted" else there[:, None, :] - affinity[:, :, None]
    return jnp.where(held + margin > 0, values + margin, 0), counts


def nearest_negatives(affinity: jax.Array, labels: jax.Array, m: int) -> jax.Array:
    """For each row of a batch the m rows of other clusters with the largest affinity (JULE, section 3.5.2).

    Args:
      affinity: float32, (b, b).
      labels: int32, (b,).
      m: how many, at most b.

    Returns:
      int32, (b, m), nearest first, equals by the lower row; b where there are fewer.
    """
    return _largest(affinity, labels, m)


def random_negatives(key: Key, labels: jax.Array, m: int) -> jax.Array:
    """For each row of a batch m different rows of other clusters, drawn uniformly (JULE; its codes draw for each pair).

    Args:
      key: a typed key.
      labels: int32, (b,).
      m: how many, at most b.

    Returns:
      int32, (b, m); b where there are fewer.
    """
    return _largest(jax.random.uniform(key, (labels.shape[0],) * 2), labels, m)


def _largest(values, labels, m):
    others = labels[:, None] != labels
    top, rows = jax.lax.top_k(jnp.where(others, values, -jnp.inf), m)
    return jnp.where(jnp.isneginf(top), labels.shape[0], rows.astype(jnp.int32))


def weighted(
    weights: Mapping[str, float], terms: Mapping[str, jax.Array]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The total loss and the mean of each term.

    Args:
      weights: a factor for each name in ``terms``.
      terms: per-example values, float32, (n,) each.

    Returns:
      The sum over names of weight * mean, float32 (), and the unweighted means by name, float32 ().

    Raises:
      ValueError: the names of ``weights`` and ``terms`` differ.
    """
    if weights.keys() != terms.keys():
        raise UsageError(f"weights: must name the terms {sorted(terms)}, got {sorted(weights)}")
    means = {name: jnp.mean(values) for name, values in terms.items()}
    return sum((weights[name] * mean for name, mean in means.items()), jnp.float32(0)), means
