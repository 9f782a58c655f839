"""Semi-NMF (Ding, Li, Jordan 2010) and its deep form (Trigeorgis et al. 2014).

Images are rows here. X, (n, d), is near to ``H Z``, where H, (n, k), has no negative entry, and Z,
(k, d), may have any. The deep form has ``H_m Z_m ... Z_1`` in its place, and each of
``H_i = H_m Z_m ... Z_(i+1)`` is meant to be a hidden layer.
"""

import chex
import jax
import jax.numpy as jnp

from jaxclust.ops.batches import in_blocks
from jaxclust.ops.products import dot

LEAST = 1e-10
"""What is divided by is at least this."""
CUTOFF = 1e-6
"""Eigenvalues of a Gram matrix below this part of the largest count as 0: it is float32."""


def _inverse(gram: jax.Array) -> jax.Array:
    """The pseudo-inverse of a Gram matrix, (k, k)."""
    return jnp.linalg.pinv(gram, rtol=CUTOFF, hermitian=True)


def loss(x: jax.Array, h: jax.Array, factors: tuple[jax.Array, ...]) -> jax.Array:
    """``|x_j - h_j Z_m ... Z_1|^2`` of each image, float32 (n,)."""
    return jnp.sum((x - dot(h, product(factors))) ** 2, axis=1)


def product(factors: tuple[jax.Array, ...]) -> jax.Array:
    """``Z_m ... Z_1`` of the factors Z_1 to Z_m, float32 (k_m, d)."""
    result = factors[0]
    for factor in factors[1:]:
        result = dot(factor, result)
    return result


def updated_h(x: jax.Array, h: jax.Array, z: jax.Array) -> jax.Array:
    """The multiplicative step of H, which does not raise ``|X - H Z|^2`` (Ding et al., eq. 10).

    Args:
      x: float32, (n, d), of any sign.
      h: at least 0, float32, (n, k).
      z: float32, (k, d).

    Returns:
      float32, (n, k), at least 0.
    """
    chex.assert_rank([x, h, z], 2)
    outer = dot(x, z.T)
    gram = dot(z, z.T)
    up = jnp.maximum(outer, 0) + dot(h, jnp.maximum(-gram, 0))
    down = jnp.maximum(-outer, 0) + dot(h, jnp.maximum(gram, 0))
    return h * jnp.sqrt(up / jnp.maximum(down, LEAST))


def best_z(x: jax.Array, h: jax.Array) -> jax.Array:
    """The Z that is best for H: the pseudo-inverse of H times X, float32 (k, d)."""
    return dot(_inverse(dot(h.T, h)), dot(h.T, x))


def fitted(x: jax.Array, h: jax.Array, iterations: int) -> tuple[jax.Array, jax.Array]:
    """Semi-NMF of one layer.

    Args:
      x: float32, (n, d).
      h: where H starts, at least 0, float32, (n, k).
      iterations: number of steps of Z and H.

    Returns:
      H, float32 (n, k), and the best Z for it, float32 (k, d).
    """
    h = jax.lax.fori_loop(0, iterations, lambda _, h: updated_h(x, h, best_z(x, h)), h)
    return h, best_z(x, h)


def updated(
    x: jax.Array, h: jax.Array, factors: tuple[jax.Array, ...]
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """One step of all layers: each Z_i is made the best for the others, and then H_m moves.

    ``Z_i = H_i^+ X P^+`` with ``P = Z_(i-1) ... Z_1`` (Trigeorgis et al., algorithm 1). The hidden
    H_i of inner layers are products and need no step. The objective does not rise.

    Args:
      x: float32, (n, d).
      h: H_m, at least 0, float32, (n, k_m).
      factors: Z_1 to Z_m, float32, (k_i, k_(i-1)) with k_0 = d.

    Returns:
      H_m and the factors after the step.
    """
    new: list[jax.Array] = []
    for i in range(len(factors)):
        hidden = h
        for factor in factors[:i:-1]:
            hidden = dot(hidden, factor)
        z = best_z(x, hidden)
        if new:
            below = product(tuple(new))
            z = dot(dot(z, below.T), _inverse(dot(below, below.T)))
        new.append(z)
    done = tuple(new)
    return updated_h(x, h, product(done)), done


def coefficients(x: jax.Array, z: jax.Array, iterations: int) -> jax.Array:
    """H of images under a given Z, by multiplicative steps from equal entries.

    Args:
      x: float32, (n, d).
      z: float32, (k, d).
      iterations: number of steps.

    Returns:
      float32, (n, k), at least 0.
    """

    def of_block(x: jax.Array) -> jax.Array:
        h = jnp.ones((x.shape[0], z.shape[0]), jnp.float32)
        return jax.lax.fori_loop(0, iterations, lambda _, h: updated_h(x, h, z), h)

    return in_blocks(of_block, x, 1024)
