"""The weighted triplet loss of JULE (Yang, Parikh, Batra, CVPR 2016, eq. 11) on a batch."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.ops import losses
from jaxclust.ops.assignment import squared_distances
from jaxclust.types import Key


class Triplets(NamedTuple):
    """The settings of the loss; ``jule.Config`` explains each of them.

    Attributes:
      gamma: weight of the pairs of one cluster.
      negatives: how the negatives of an image are chosen.
      n_local: number of nearest negatives.
      n_random: number of drawn negatives.
      margin: the margin, or None.
      hinge: what is compared with the margin.
      sample_affinity: the affinity of two samples.
    """

    gamma: float
    negatives: Literal["nearest", "random"]
    n_local: int
    n_random: int
    margin: float | None
    hinge: Literal["weighted", "plain"]
    sample_affinity: Literal["distance", "exponential"]


def triplet_loss(
    triplets: Triplets, key: Key, features: jax.Array, labels: jax.Array, sigma: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The mean loss over the triplets of a batch.

    Args:
      triplets: the settings.
      key: a typed key, (), for drawn negatives.
      features: float32, (b, d).
      labels: the present clusters, int32, (b,).
      sigma: width of the last graph's affinities, float32, ().

    Returns:
      The loss, 0 where there are no triplets, and the number of ordered pairs of one cluster; both
      float32 ().
    """
    affinity = -squared_distances(features, features)
    if triplets.sample_affinity == "exponential":
        # sigma is 0 only where all images have duplicates, whose affinity stays 1.
        affinity = jnp.exp(affinity / jnp.maximum(sigma**2, jnp.finfo(jnp.float32).tiny))
    if triplets.negatives == "nearest":
        negatives = losses.nearest_negatives(
            lax.stop_gradient(affinity), labels, min(triplets.n_local, len(labels))
        )
    else:
        negatives = losses.random_negatives(key, labels, min(triplets.n_random, len(labels)))
    values, counts = losses.weighted_triplet(
        affinity, labels, negatives, triplets.gamma, triplets.margin, triplets.hinge
    )
    # Without a pair of one cluster there is no triplet, and only the weight decay moves the
    # network.
    total = jnp.sum(jnp.where(counts, values, 0)) / jnp.maximum(jnp.sum(counts), 1)
    return total, jnp.sum(jnp.any(counts, axis=2)).astype(jnp.float32)
