"""Spectral clustering by landmarks (Chen, Cai 2011): each sample as a mixture of a few of p points.

The affinities are ``Z D^-1 Z'``, where row i of Z has the weights of sample i's r nearest
landmarks, which sum to 1, and D has the sums of Z's columns. The eigenvectors are the left singular
vectors of ``Z D^-1/2``, and come from a p x p matrix. Time and memory grow with n p.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.ops.assignment import squared_distances
from jaxclust.ops.batches import in_blocks
from jaxclust.ops.kmeans import Stopping, lloyd
from jaxclust.ops.neighbor_graph import unit
from jaxclust.types import Key

BLOCK = 1024
"""Samples whose distances to all landmarks are held at once."""
LEAST_EIGENVALUE = 1e-6
"""A singular vector whose squared singular value is below this is left out: it is rounding."""


class Landmarks(NamedTuple):
    """What embeds any sample.

    Attributes:
      points: landmarks, float32, (p, d).
      sigma: width of the kernel, float32, ().
      projection: ``D^-1/2 V S^-1``, float32, (p, k): Z times it gives the left singular vectors.
    """

    points: jax.Array
    sigma: jax.Array
    projection: jax.Array


def selected(key: Key, x: jax.Array, p: int, iterations: int) -> jax.Array:
    """Landmarks: p samples drawn at random, and then moved by k-means.

    Args:
      key: a typed key.
      x: samples, float32, (n, d).
      p: number of landmarks, at most n.
      iterations: of Lloyd's, from 0, which leaves the samples as they are.

    Returns:
      float32, (p, d).
    """
    rows = jax.random.choice(key, x.shape[0], (p,), replace=False)
    points = x[rows]
    return lloyd(x, points, Stopping(iterations, 0.0)).centroids if iterations else points


def mean_squared_distance(x: jax.Array, points: jax.Array) -> jax.Array:
    """The mean of the squared distances of all pairs of a row of x and of points, float32 ()."""
    middle = jnp.mean(points, axis=0)
    x = x - middle
    points = points - middle  # Their mean is 0, so that the products cancel.
    return jnp.mean(jnp.sum(x**2, axis=1)) + jnp.mean(jnp.sum(points**2, axis=1))


def codes(x: jax.Array, points: jax.Array, sigma: jax.Array, r: int) -> tuple[jax.Array, jax.Array]:
    """The rows of Z (Chen and Cai, eq. 3): weights of each sample's r nearest landmarks.

    Args:
      x: samples, float32, (n, d).
      points: landmarks, float32, (p, d).
      sigma: of the kernel ``exp(-|x - u|^2 / (2 sigma^2))``, float32, ().
      r: number of nearest landmarks, at most p.

    Returns:
      The weights, float32, (n, r), whose rows sum to 1, and the landmarks' numbers, int32, (n, r).
    """

    def nearest(rows: jax.Array) -> jax.Array:
        values, places = lax.top_k(-squared_distances(rows, points), r)
        # A softmax, so that a narrow kernel does not divide 0 by 0.
        weights = jax.nn.softmax(values / (2 * jnp.maximum(sigma**2, 1e-30)), axis=1)
        return jnp.stack([weights, places.astype(jnp.float32)])

    both = in_blocks(lambda rows: jnp.moveaxis(nearest(rows), 0, 2), x, BLOCK)
    return both[:, :, 0], both[:, :, 1].astype(jnp.int32)


def fitted(x: jax.Array, points: jax.Array, k: int, r: int, a: float) -> Landmarks:
    """The singular vectors of ``Z D^-1/2`` with the k largest values but for the trivial one.

    ``Z D^-1/2`` maps the square roots of D to a constant vector, with the singular value 1. This
    pair is taken off before the others are computed, so that it is the one that is left out where
    the value 1 is multiple.

    Args:
      x: samples, float32, (n, d).
      points: landmarks, float32, (p, d), p above k.
      k: number of vectors.
      r: nearest landmarks of a sample.
      a: sigma is this times the mean squared distance of all samples to all landmarks (the
        authors' code has 1).
    """
    chex.assert_rank([x, points], 2)
    p = points.shape[0]
    sigma = a * mean_squared_distance(x, points)
    weights, places = codes(x, points, sigma, r)
    sums = jnp.zeros(p, jnp.float32).at[places].add(weights)
    root = jnp.sqrt(sums)
    # A landmark that is nobody's has a column of zeros.
    inverse = jnp.where(sums > 0, 1 / jnp.maximum(root, 1e-12), 0)
    products = weights[:, :, None] * weights[:, None, :]
    gram = jnp.zeros((p, p), jnp.float32).at[places[:, :, None], places[:, None, :]].add(products)
    gram = gram * inverse[:, None] * inverse
    trivial = root / jnp.linalg.norm(root)
    values, vectors = jnp.linalg.eigh(gram - trivial[:, None] * trivial)
    values = values[::-1][:k]
    vectors = vectors[:, ::-1][:, :k]
    vectors = jnp.where(values > LEAST_EIGENVALUE, vectors, 0)
    # The sign of an eigenvector is arbitrary; its largest entry becomes positive.
    signs = jnp.sign(vectors[jnp.argmax(jnp.abs(vectors), axis=0), jnp.arange(k)])
    scale = jnp.sqrt(jnp.maximum(values, LEAST_EIGENVALUE))
    return Landmarks(points, sigma, inverse[:, None] * vectors * signs / scale)


def embedded(landmarks: Landmarks, x: jax.Array, r: int) -> jax.Array:
    """The left singular vectors of samples, each row scaled to unit length.

    A sample of the fit gets its own row, and any other the row that its weights give it (Nystrom).

    Args:
      landmarks: as ``fitted`` returns them.
      x: samples, float32, (n, d).
      r: as in ``fitted``.

    Returns:
      float32, (n, k).
    """
    weights, places = codes(x, landmarks.points, landmarks.sigma, r)
    rows = jnp.sum(weights[:, :, None] * landmarks.projection[places], axis=1)
    return unit(rows)
