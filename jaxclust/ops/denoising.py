"""Marginalized denoising autoencoders (Chen, Xu, Weinberger, Sha 2012), in closed form.

A linear map restores samples whose values were set to 0 at random. The best map for infinitely many
such corruptions needs no corruption: it depends on the products of the features alone.
"""

import chex
import jax
import jax.numpy as jnp

from jaxclust.ops.products import dot

RIDGE = 1e-5
"""Added to the diagonal of the matrix that is inverted, times its mean (Chen et al.)."""


def marginalized(x: jax.Array, corruption: float) -> jax.Array:
    """The map of one layer: ``E[Q]^-1 E[P]'`` (Chen et al., section 3.2).

    Args:
      x: samples, float32, (n, d).
      corruption: the probability p that a value is set to 0, in [0, 1). Near 0, dependent
        features make a matrix that is singular in float32.

    Returns:
      float32, (d + 1, d); the last row belongs to a constant feature 1, which is never set to 0.
    """
    chex.assert_rank(x, 2)
    n, d = x.shape
    extended = jnp.concatenate([x, jnp.ones((n, 1), jnp.float32)], axis=1)
    # The mean in place of the sum changes nothing but rounding.
    scatter = dot(extended.T, extended) / n
    kept = jnp.full(d + 1, 1 - corruption, jnp.float32).at[d].set(1)
    q = scatter * kept[:, None] * kept
    diagonal = jnp.diag(scatter) * kept
    q = q.at[jnp.diag_indices(d + 1)].set(diagonal + RIDGE * jnp.mean(diagonal))
    p = scatter[:, :d] * kept[:, None]
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(q), p)


def mapped(x: jax.Array, weights: jax.Array, linear: bool = False) -> jax.Array:
    """A layer's features, float32 (n, d): the map of the samples, through tanh unless linear.

    Args:
      x: samples, float32, (n, d).
      weights: as ``marginalized`` returns them.
      linear: leaves the tanh out.
    """
    features = dot(x, weights[:-1]) + weights[-1]
    return features if linear else jnp.tanh(features)
