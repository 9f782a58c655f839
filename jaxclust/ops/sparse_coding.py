"""Sparse codes: few atoms of a dictionary whose weighted sum is near to a sample.

The problem is ``min_a |x - D a|^2 / 2 + lambda |a|_1``. The columns of D are atoms of unit length.
Samples are rows here, and a dictionary has its atoms as rows.
"""

import chex
import jax
import jax.numpy as jnp

from jaxclust.ops.neighbor_graph import unit
from jaxclust.ops.products import dot
from jaxclust.types import Key

RIDGE = 1e-4
"""Added to the diagonal of the codes' products, times its mean, before it is inverted."""


def shrunk(x: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """Soft thresholding: values move towards 0 by the threshold, and stop there."""
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - threshold, 0)


def objective(x: jax.Array, atoms: jax.Array, codes: jax.Array, penalty: float) -> jax.Array:
    """``|x - D a|^2 / 2 + lambda |a|_1`` of each sample.

    Args:
      x: samples, float32, (n, d).
      atoms: float32, (p, d).
      codes: float32, (n, p).
      penalty: lambda.

    Returns:
      float32, (n,).
    """
    rest = x - dot(codes, atoms)
    return jnp.sum(rest**2, axis=1) / 2 + penalty * jnp.sum(jnp.abs(codes), axis=1)


def step_constant(atoms: jax.Array) -> jax.Array:
    """N: the largest eigenvalue of ``D' D``, and so the inverse of a safe step size; float32 ().

    It is above 0 also for atoms of zeros, which black images give.
    """
    values = jnp.linalg.eigvalsh(dot(atoms, atoms.T))
    return jnp.maximum(values[-1], 1e-6)


def ista(x: jax.Array, atoms: jax.Array, penalty: float, iterations: int) -> jax.Array:
    """Codes by iterative shrinkage from 0; the objective does not rise.

    Args:
      x: samples, float32, (n, d).
      atoms: float32, (p, d).
      penalty: lambda, above 0.
      iterations: number of steps.

    Returns:
      float32, (n, p).
    """
    chex.assert_rank([x, atoms], 2)
    constant = step_constant(atoms)
    mutual = jnp.eye(atoms.shape[0], dtype=jnp.float32)
    mutual = mutual - dot(atoms, atoms.T) / constant
    drive = dot(x, atoms.T) / constant

    def step(_, codes: jax.Array) -> jax.Array:
        return shrunk(drive + dot(codes, mutual), penalty / constant)

    return jax.lax.fori_loop(0, iterations, step, jnp.zeros_like(drive))


def dictionary(
    key: Key, x: jax.Array, count: int, penalty: float, rounds: tuple[int, int]
) -> jax.Array:
    """A dictionary by turns: codes by ``ista``, and the atoms that are best for them.

    An atom that no sample uses becomes a sample that the others restore badly. A sample of zeros is
    an atom that no sample uses.

    Args:
      key: a typed key.
      x: samples, float32, (n, d).
      count: number of atoms p; samples drawn at random are the first ones.
      penalty: lambda, above 0.
      rounds: number of turns, and steps of ``ista`` in each.

    Returns:
      Atoms of unit length, float32, (p, d).
    """
    x = jnp.asarray(x, jnp.float32)
    n = x.shape[0]
    rows = jax.random.choice(key, n, (count,), replace=count > n)

    def turn(_, atoms: jax.Array) -> jax.Array:
        codes = ista(x, atoms, penalty, rounds[1])
        gram = dot(codes.T, codes)
        used = jnp.diag(gram) > 0
        ridge = jnp.maximum(RIDGE * jnp.mean(jnp.diag(gram)), 1e-12)
        gram = gram.at[jnp.diag_indices(count)].add(ridge)
        target = dot(codes.T, x)
        best = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(gram), target)
        errors = jnp.sum((x - dot(codes, atoms)) ** 2, axis=1)
        _, worst = jax.lax.top_k(errors, min(count, n))
        spare = x[worst[jnp.arange(count) % worst.size]]
        return unit(jnp.where(used[:, None], best, spare))

    return jax.lax.fori_loop(0, rounds[0], turn, unit(x[rows]))
