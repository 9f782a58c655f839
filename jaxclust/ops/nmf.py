"""Non-negative factors with a graph (Cai, He, Wang, Bao, Han 2009), and without: Lee and Seung's.

Images are rows here. X, (n, d), is near to ``V U'``, where V, (n, k), and U, (d, k), have no
negative entry. The objective is

  sum_j w_j D(x_j || U v_j)  +  lambda / 4 sum_jl W_jl (v_j - v_l)' (log v_j - log v_l)

with the divergence ``D(x || y) = sum (x log(x / y) - x + y)``. W is the symmetric graph of nearest
neighbors, and w_j weighs an image. Each column of U sums to 1: otherwise the second term would fall
towards 0 when V is made smaller and U larger by the same factor.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from jax.scipy.special import xlogy

from jaxclust.ops.batches import in_blocks
from jaxclust.ops.products import dot

LEAST = 1e-10
"""What is divided by, or has its logarithm taken, is at least this."""
TOLERANCE = 1e-4
"""A linear system counts as solved where the residual is this part of the right side."""
MOST_STEPS = 200
"""Conjugate gradient steps for one system at most."""


class Edges(NamedTuple):
    """A directed graph; the graph W is the mean of both directions (ours).

    An edge of weight 1 that leads back with weight 1 weighs 1 in W, and 1/2 where none leads back.
    In Cai et al. it weighs 1 in both cases.

    Attributes:
      neighbors: the rows that each row's edges lead to, int32, (n, K).
      weights: of these edges, at least 0, float32, (n, K).
    """

    neighbors: jax.Array
    weights: jax.Array


def divergence(x: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """``D(x_j || U v_j)`` of each image.

    Args:
      x: images, at least 0, float32, (n, d).
      u: float32, (d, k).
      v: float32, (n, k).

    Returns:
      float32, (n,), at least 0 up to rounding.
    """
    chex.assert_rank([x, u, v], 2)
    y = dot(v, u.T)
    return jnp.sum(xlogy(x, x / jnp.maximum(y, LEAST)) - x + y, axis=1)


def roughness(edges: Edges, v: jax.Array) -> jax.Array:
    """``1 / 4 sum_jl W_jl (v_j - v_l)'(log v_j - log v_l)``, float32, ()."""
    logs = jnp.log(jnp.maximum(v, LEAST))
    difference = v[:, None] - v[edges.neighbors]
    of_logs = logs[:, None] - logs[edges.neighbors]
    return jnp.sum(edges.weights * jnp.sum(difference * of_logs, axis=2)) / 4


def laplacian(edges: Edges, v: jax.Array) -> jax.Array:
    """``L v`` with ``L = D - W``, where D has the sums of W's rows; float32 (n, k)."""
    return degrees(edges)[:, None] * v - _spread(edges, v)


def degrees(edges: Edges) -> jax.Array:
    """Sums of the rows of W, float32, (n,)."""
    ones = jnp.ones((edges.neighbors.shape[0], 1), jnp.float32)
    return _spread(edges, ones)[:, 0]


def _spread(edges: Edges, v: jax.Array) -> jax.Array:
    """``W v``."""
    forth = jnp.sum(edges.weights[:, :, None] * v[edges.neighbors], axis=1)
    products = edges.weights[:, :, None] * v[:, None, :]
    return (forth.at[edges.neighbors].add(products)) / 2


def ratios(x: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """``x_ij / (U v_j)_i``, float32, (n, d)."""
    return x / jnp.maximum(dot(v, u.T), LEAST)


def updated_u(x: jax.Array, u: jax.Array, v: jax.Array, w: jax.Array) -> jax.Array:
    """The multiplicative step of U under the rule that its columns sum to 1; float32 (d, k).

    Args:
      x: images, at least 0, float32, (n, d).
      u: float32, (d, k).
      v: float32, (n, k).
      w: weights of the images, float32, (n,).
    """
    new = u * dot(ratios(x, u, v).T, w[:, None] * v)
    return new / jnp.maximum(jnp.sum(new, axis=0), LEAST)


def updated_v(
    x: jax.Array, u: jax.Array, v: jax.Array, w: jax.Array, edges: Edges | None, weight: float
) -> jax.Array:
    """The step of V: column k solves ``(diag(w) + lambda L) v = w * v_old * (X / Y) u_k``.

    It is Cai et al.'s, who replace ``log(a / b)`` by ``1 - b / a`` in the derivative of the second
    term. Without a graph it is Lee and Seung's. The system is solved by conjugate gradients.

    Args:
      x: images, at least 0, float32, (n, d).
      u: columns sum to 1, float32, (d, k).
      v: float32, (n, k).
      w: weights of the images, float32, (n,), above 0.
      edges: the graph; None for none.
      weight: lambda, at least 0.

    Returns:
      float32, (n, k), at least 0.
    """
    target = v * dot(ratios(x, u, v), u)
    if edges is None or weight == 0:
        return target
    diagonal = w + weight * degrees(edges)
    own = degrees(edges)[:, None]

    def apply(v: jax.Array) -> jax.Array:
        return w[:, None] * v + weight * (own * v - _spread(edges, v))

    solution, _ = cg(
        apply,
        w[:, None] * target,
        v,
        tol=TOLERANCE,
        maxiter=MOST_STEPS,
        M=lambda r: r / diagonal[:, None],
    )
    # The exact solution is not negative, since the matrix is an M-matrix.
    return jnp.maximum(solution, 0)


def coefficients(x: jax.Array, u: jax.Array, iterations: int) -> jax.Array:
    """V of images under a given U without a graph, by Lee and Seung's steps from equal entries.

    Args:
      x: images, at least 0, float32, (n, d).
      u: columns sum to 1, float32, (d, k).
      iterations: number of steps.

    Returns:
      float32, (n, k), at least 0.
    """

    def of_block(x: jax.Array) -> jax.Array:
        w = jnp.ones(x.shape[0], jnp.float32)
        mean = jnp.sum(x, axis=1, keepdims=True) / u.shape[1]
        start = jnp.broadcast_to(mean, (x.shape[0], u.shape[1]))

        def step(_, v):
            return updated_v(x, u, v, w, None, 0.0)

        return jax.lax.fori_loop(0, iterations, step, start)

    return in_blocks(of_block, x, 1024)
