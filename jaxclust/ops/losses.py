"""Losses: each function is one term and gives one value for each example.

No function has a weight or takes a mean; ``weighted`` combines the terms.
"""

from collections.abc import Mapping
from typing import Literal

import chex
import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jaxclust.errors import UsageError
from jaxclust.ops.assignment import cluster_means, squared_distances
from jaxclust.types import Key

LEAST_SINGULAR = 1e-16
"""In the gradient a smaller singular value counts as this one.

Its inverse, which Adam squares, then stays finite in float32.
"""


def squared_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """The mean of (prediction - target)^2 over each example's entries.

    DCEC (Guo et al. 2017) prints the sum over pixels in eq. (4); the authors' code, and therefore
    their table, has the mean. Multiply by the number of pixels for the sum.

    Args:
      prediction: float32, (n, ...).
      target: float32, the same shape.

    Returns:
      float32, (n,).
    """
    chex.assert_equal_shape([prediction, target])
    difference = prediction - target
    return jnp.mean(jnp.square(difference), axis=tuple(range(1, difference.ndim)))


def kl_divergence(target: jax.Array, soft: jax.Array) -> jax.Array:
    """KL(P || Q) of each row, sum_j p_ij log(p_ij / q_ij): DCEC eq. (7), DEC eq. (2).

    Args:
      target: P, float32, (n, k); each row sums to 1, zeros are allowed.
      soft: Q, float32, (n, k); each row sums to 1.

    Returns:
      float32, (n,), in nats.
    """
    chex.assert_rank([target, soft], 2)
    chex.assert_equal_shape([target, soft])
    # Where a point is far from every centroid but one, q can underflow to 0, and p with it. The
    # smallest normal number keeps the logarithm finite.
    tiny = jnp.finfo(soft.dtype).tiny
    return jnp.sum(xlogy(target, target) - xlogy(target, jnp.maximum(soft, tiny)), axis=-1)


def cluster_scatter(points: jax.Array, labels: jax.Array, clusters: int) -> jax.Array:
    """The squared distance of each point to the mean of its cluster.

    This is the k-means term of DCTL, eq. (5). Its sum over the points is
    ``||Z - Z H' (H H')^-1 H||^2``, where the points are the columns of Z and H is the indicator
    matrix of the labels. No n x n matrix is formed. An empty cluster makes H H' singular. It
    contributes nothing here, as if the inverse were the pseudo-inverse.

    Args:
      points: float32, (n, d).
      labels: int32, (n,), in 0..clusters-1.
      clusters: number of clusters.

    Returns:
      float32, (n,).
    """
    return jnp.sum(jnp.square(points - cluster_means(points, labels, clusters)[labels]), axis=1)


def soft_kmeans(points: jax.Array, centroids: jax.Array, alpha: jax.Array | float) -> jax.Array:
    """The k-means loss with soft assignments: DKM (Fard et al. 2020), eq. (4).

    It is the sum over centroids of the squared distances, weighted by a softmax of -alpha times
    the squared distances.

    Args:
      points: float32, (n, d).
      centroids: float32, (k, d).
      alpha: inverse temperature, at least 0; towards infinity the value tends to that of k-means.

    Returns:
      float32, (n,); the gradient also runs through the softmax.
    """
    distances = squared_distances(points, centroids)
    return jnp.sum(distances * jax.nn.softmax(-alpha * distances, axis=1), axis=1)


def filter_penalty(filters: jax.Array) -> jax.Array:
    """||T||_F^2 - logdet T of a layer's filters: DCTL, eq. (2) and (5).

    The logarithm of the determinant of a tall T is the sum of the logarithms of its singular
    values. Its negative grows without bound as filters vanish or align; ||T||_F^2 keeps the
    filters from growing. The smallest value is reached where all singular values are
    1 / sqrt(2); it is ``m (1 + log 2) / 2`` for m filters.

    Args:
      filters: T, one filter in each column, float32, (rows, m), with m at most rows.

    Returns:
      float32, (). It is infinite where a singular value is 0. The gradient is finite there too:
      see ``LEAST_SINGULAR``.
    """
    chex.assert_rank(filters, 2)
    return jnp.sum(jnp.square(filters)) - _log_det(filters)


@jax.custom_vjp
def _log_det(filters: jax.Array) -> jax.Array:
    return jnp.sum(jnp.log(jnp.linalg.svd(filters, compute_uv=False)))


def _log_det_forward(filters):
    u, sigma, v = jnp.linalg.svd(filters, full_matrices=False)
    return jnp.sum(jnp.log(sigma)), (u, sigma, v)


def _log_det_backward(saved, g):
    # The gradient is the transposed pseudo-inverse. Through the derivatives of u and v it would
    # be 0 / 0 where singular values are equal, as those of orthogonal filters are.
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

    The value of a triplet is ``A(i, k) - gamma A(i, j)``, where i and j are in one cluster and k
    is one of i's negatives. The authors' codes add a margin, and set the value to 0 where the
    negative is farther away by that margin. That is where ``A(i, k) - gamma A(i, j) + margin`` is
    at most 0 (Torch, "weighted"), or the same without gamma (Caffe, "plain"). Which triplets exist
    depends on the labels. So there is a value for every (i, j, k) and a mask of those that count;
    the loss is the mean of these.

    Args:
      affinity: A of each pair, float32, (b, b).
      labels: clusters, int32, (b,).
      negatives: rows of the batch for each i, int32, (b, m); b where there is none.
      gamma: weight of the pairs in one cluster.
      margin: None for the paper's loss, which has no margin.
      hinge: whether gamma counts in the condition under which a value is 0.

    Returns:
      Values, float32, (b, b, m), and whether each counts, bool, (b, b, m).
    """
    b = labels.shape[0]
    chex.assert_rank(negatives, 2)
    chex.assert_shape(affinity, (b, b))
    chex.assert_equal_shape_prefix([negatives, labels], 1)
    same = (labels[:, None] == labels) & ~jnp.eye(b, dtype=jnp.bool_)
    counts = same[:, :, None] & (negatives < b)[:, None, :]
    to_negatives = jnp.take_along_axis(affinity, jnp.minimum(negatives, b - 1), axis=1)
    values = to_negatives[:, None, :] - gamma * affinity[:, :, None]
    if margin is None:
        return values, counts
    compared = values if hinge == "weighted" else to_negatives[:, None, :] - affinity[:, :, None]
    return jnp.where(compared + margin > 0, values + margin, 0), counts


def nearest_negatives(affinity: jax.Array, labels: jax.Array, m: int) -> jax.Array:
    """For each row of a batch, the m rows of other clusters with the largest affinity.

    These are JULE's negatives (section 3.5.2).

    Args:
      affinity: float32, (b, b).
      labels: int32, (b,).
      m: number of negatives, at most b.

    Returns:
      int32, (b, m), the nearest first, of equals the lower row; b where there are fewer than m.
    """
    return _largest(affinity, labels, m)


def random_negatives(key: Key, labels: jax.Array, m: int) -> jax.Array:
    """For each row of a batch, m different rows of other clusters, drawn uniformly.

    JULE's codes draw them anew for each pair; here they are drawn for each row.

    Args:
      key: a typed key.
      labels: int32, (b,).
      m: number of negatives, at most b.

    Returns:
      int32, (b, m); b where there are fewer than m.
    """
    return _largest(jax.random.uniform(key, (labels.shape[0],) * 2), labels, m)


def _largest(values: jax.Array, labels: jax.Array, m: int) -> jax.Array:
    chex.assert_rank(labels, 1)
    chex.assert_shape(values, (labels.shape[0],) * 2)
    others = labels[:, None] != labels
    top, rows = jax.lax.top_k(jnp.where(others, values, -jnp.inf), m)
    return jnp.where(jnp.isneginf(top), labels.shape[0], rows.astype(jnp.int32))


def weighted(
    weights: Mapping[str, float | jax.Array], terms: Mapping[str, jax.Array]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The total loss and the mean of each term.

    Args:
      weights: a factor for each name in ``terms``.
      terms: values of each example, float32, (n,); or one value, (), for a term that does not
        depend on the examples.

    Returns:
      The sum over names of weight * mean, float32, (), and the unweighted means by name,
      float32, ().

    Raises:
      UsageError: the names of ``weights`` and ``terms`` differ.
    """
    if weights.keys() != terms.keys():
        raise UsageError(f"weights: must name the terms {sorted(terms)}, got {sorted(weights)}")
    chex.assert_rank(list(terms.values()), {0, 1})
    means = {name: jnp.mean(values) for name, values in terms.items()}
    return sum((weights[name] * mean for name, mean in means.items()), jnp.float32(0)), means
