"""The codes of DCTL: their closed form, their clusters, and the singular values of the filters.

Goel, Majumdar, Chouzenoux, Chierchia: Deep Convolutional K-Means Clustering.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxclust.ops import losses
from jaxclust.ops.assignment import cluster_means


def exact_codes(outputs: jax.Array, labels: jax.Array, clusters: int, mu: float) -> jax.Array:
    """The codes that minimize P1 for given filters where psi is none: Z = m + (F - m) / (1 + mu).

    m are the cluster means of F, which are also those of Z. Residual and k-means term together are
    then mu / (1 + mu) times the scatter of F.

    Args:
      outputs: F, float32, (n, d).
      labels: int32, (n,).
      clusters: number of clusters k.
      mu: weight of the k-means term; 0 gives F.

    Returns:
      Z, float32, (n, d).
    """
    means = cluster_means(outputs, labels, clusters)[labels]
    return means + (outputs - means) / (1 + mu)


def centroids_of(codes: jax.Array, labels: jax.Array, otherwise: jax.Array) -> jax.Array:
    """The mean codes of the clusters.

    Args:
      codes: float32, (n, d).
      labels: int32, (n,).
      otherwise: the centroids of clusters that are empty, float32, (k, d).

    Returns:
      float32, (k, d).
    """
    clusters = otherwise.shape[0]
    sizes = jnp.zeros(clusters, jnp.int32).at[labels].add(1)
    return jnp.where(sizes[:, None] > 0, cluster_means(codes, labels, clusters), otherwise)


def better(codes: jax.Array, old: jax.Array, new: jax.Array, clusters: int) -> jax.Array:
    """The one of two labelings with the smaller k-means term; the old one where they are equal.

    Args:
      codes: float32, (n, d).
      old: int32, (n,).
      new: int32, (n,).
      clusters: number of clusters k.
    """
    old_term = jnp.sum(losses.cluster_scatter(codes, old, clusters))
    new_term = jnp.sum(losses.cluster_scatter(codes, new, clusters))
    return jnp.where(new_term < old_term, new, old)


def filter_matrices(params: Any) -> list[jax.Array]:
    """The filters T of each layer, one filter a column, float32 (rows, filters).

    Args:
      params: one array of filters for each layer, float32, (..., filters).
    """
    return [filters.reshape(-1, filters.shape[-1]) for filters in jax.tree.leaves(params)]


def least_singular(params: Any) -> jax.Array:
    """The smallest singular value of any layer's filters, float32 ().

    Args:
      params: one array of filters for each layer, float32, (..., filters).
    """
    values = [jnp.linalg.svd(layer, compute_uv=False)[-1] for layer in filter_matrices(params)]
    return jnp.min(jnp.stack(values))
