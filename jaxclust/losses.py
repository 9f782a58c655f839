"""Losses: one function a term, one value an example, no weight and no reduction; ``weighted`` joins them."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy


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


def weighted(weights: Mapping[str, float], terms: Mapping[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
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
        raise ValueError(f"weights: must name the terms {sorted(terms)}, got {sorted(weights)}")
    means = {name: jnp.mean(values) for name, values in terms.items()}
    return sum((weights[name] * mean for name, mean in means.items()), jnp.float32(0)), means
