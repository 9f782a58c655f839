"""Rotations of eigenvectors: to a partition, and to the axes, which says how many clusters fit."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxclust.ops.neighbor_graph import unit
from jaxclust.types import Key

ITERATIONS = 100
"""Most iterations of ``discretized``; sklearn and the authors have 20 to 30."""
STEPS = 200
"""Most steps of ``aligned`` (the authors' number)."""


class Discrete(NamedTuple):
    """A partition near rotated eigenvectors.

    Attributes:
      labels: int32, (n,).
      rotation: orthonormal, float32, (k, k).
      history: the distance ``|Y - X R|^2`` after each iteration, which does not rise; float32,
        (ITERATIONS,), the last value repeated.
    """

    labels: jax.Array
    rotation: jax.Array
    history: jax.Array


def discretized(key: Key, vectors: jax.Array) -> Discrete:
    """The partition nearest to a rotation of eigenvectors (Yu, Shi 2003).

    In turns the partition Y takes each row's largest entry of ``X R``, and R becomes the rotation
    that brings X nearest to Y, by a singular value decomposition. R begins with rows of X that are
    as orthogonal as possible, the first of them drawn at random.

    Args:
      key: a typed key.
      vectors: eigenvectors, float32, (n, k); rows are scaled to unit length, which makes X.
    """
    chex.assert_rank(vectors, 2)
    n, k = vectors.shape
    x = unit(vectors)
    first = jax.random.randint(key, (), 0, n)

    def add(j, state):
        rotation, likeness = state
        rotation = rotation.at[:, j].set(x[jnp.argmin(likeness)])
        return rotation, likeness + jnp.abs(x @ rotation[:, j])

    rotation = jnp.zeros((k, k), jnp.float32).at[:, 0].set(x[first])
    rotation, _ = lax.fori_loop(1, k, add, (rotation, jnp.abs(x @ x[first])))
    length = jnp.sum(x**2)

    def improve(rotation, _):
        labels = jnp.argmax(x @ rotation, axis=1)
        products = jnp.zeros((k, k), jnp.float32).at[labels].add(x)  # Y' X
        left, values, right = jnp.linalg.svd(products)
        # |Y - X R|^2 = n + |X|^2 - 2 tr(R' X' Y), whose trace is the sum of the singular values.
        return (left @ right).T, n + length - 2 * jnp.sum(values)

    rotation, history = lax.scan(improve, rotation, None, ITERATIONS)
    labels = jnp.argmax(x @ rotation, axis=1).astype(jnp.int32)
    return Discrete(labels, rotation, history)


class Alignment(NamedTuple):
    """Eigenvectors rotated to the axes.

    Attributes:
      rotated: float64, (n, k).
      costs: after each step, falling; the last is the result's.
    """

    rotated: np.ndarray
    costs: list[float]


def alignment_cost(rows: np.ndarray) -> float:
    """How far rows are from having one entry each (Zelnik-Manor, Perona 2004, eq. 3), at least 1.

    The mean over the rows of ``sum_j Z_ij^2 / max_j Z_ij^2``. Rows of zeros are left out.
    """
    squares = rows**2
    largest = squares.max(axis=1)
    kept = largest > 0
    return float((squares[kept].sum(axis=1) / largest[kept]).mean())


def aligned(vectors: np.ndarray, tolerance: float = 1e-4) -> Alignment:
    """Rotates eigenvectors so that the alignment cost is small.

    Gradient descent on rotations: a step multiplies by the exponential of a skew matrix, where the
    paper turns one pair of axes after the other. A step that does not lower the cost is halved.

    Args:
      vectors: float (n, k).
      tolerance: the descent ends when ten steps together lower the cost by less.
    """
    from scipy.linalg import expm

    z = np.asarray(vectors, np.float64)
    z = z[np.abs(z).max(axis=1) > 0]
    n, k = z.shape
    rotation = np.eye(k)
    costs = [alignment_cost(z)]
    length = 1.0
    for _ in range(STEPS):
        rows = z @ rotation
        place = np.argmax(rows**2, axis=1)
        largest = rows[np.arange(n), place]
        gradient = 2 * rows / largest[:, None] ** 2
        gradient[np.arange(n), place] -= 2 * (rows**2).sum(axis=1) / largest**3
        products = rows.T @ gradient / n
        skew = products - products.T
        size = np.abs(skew).max()
        if size < 1e-12:
            break
        while length * size > 1e-8:
            turned = rotation @ expm(-length * skew)
            cost = alignment_cost(z @ turned)
            if cost < costs[-1]:
                break
            length /= 2
        else:
            break
        rotation = turned
        costs.append(cost)
        length = min(2 * length, 1.0)
        if len(costs) > 10 and costs[-11] - cost < tolerance:
            break
    return Alignment(np.asarray(vectors, np.float64) @ rotation, costs)


def alignment_qualities(vectors: np.ndarray, numbers: range) -> dict[int, float]:
    """How well each number of eigenvectors aligns; each begins with the rotation before.

    Args:
      vectors: eigenvectors in the order of their eigenvalues, float (n, at least the last number).
      numbers: numbers of clusters in a row.

    Returns:
      By number the authors' quality, ``1 - (cost - 1) / K``, at most 1.
    """
    rotated = np.asarray(vectors[:, : numbers[0]], np.float64)
    qualities = {}
    for number in numbers:
        if number > numbers[0]:
            rotated = np.column_stack([rotated, vectors[:, number - 1]])
        result = aligned(rotated)
        rotated = result.rotated
        qualities[number] = 1 - (result.costs[-1] - 1) / number
    return qualities
