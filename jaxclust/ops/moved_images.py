"""Images that are turned and shifted at random, for steps that see each image anew.

Guo, Zhu, Liu, Yin: Deep Embedded Clustering with Data Augmentation, ACML 2018.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from jaxclust.ops.batches import scaled

Augment = Literal["none", "affine"]
"""How the images of a step are changed: as they are, or ``moved``."""
LEAST_SIDE = 16
"""Images with a shorter side stay as they are, since moving them by parts of a pixel blurs them. It
was chosen on digits (8 x 8), whose scores moving lowered, and USPS (16 x 16), whose it raised."""
TURN = jnp.pi / 18
"""Largest angle, in radians: 10 degrees."""
SHIFT = 0.1
"""Largest shift, as a share of the height and of the width."""


def augmented(augment: Augment, key: jax.Array, images: jax.Array) -> jax.Array:
    """The images of a step, moved at random where the setting asks for it.

    Args:
      augment: "none", or "affine", which moves images of at least ``LEAST_SIDE`` pixels a side.
      key: a typed key, ().
      images: uint8 or float32 in [0, 1], (n, h, w, c).

    Returns:
      ``moved(key, images)``, or the images as they are.
    """
    if augment == "none" or too_small(images.shape[1:]):
        return images
    return moved(key, images)


def too_small(shape: tuple[int, ...]) -> bool:
    """Whether "affine" leaves images as they are, since a side has too few pixels.

    Args:
      shape: (h, w, c) of the images.
    """
    return min(shape[:2]) < LEAST_SIDE


def moved(key: jax.Array, images: jax.Array) -> jax.Array:
    """Images turned by up to 10 degrees and shifted by up to a tenth of their size.

    Angles and shifts are uniform and differ between images. Pixels are interpolated between their
    four neighbors; outside an image there are zeros.

    Args:
      key: a typed key, ().
      images: uint8 or float32 in [0, 1], (n, h, w, c).

    Returns:
      float32 in [0, 1], (n, h, w, c).
    """
    height, width = images.shape[1:3]
    draws = jax.random.uniform(key, (3, images.shape[0], 1, 1), jnp.float32, -1, 1)
    sine = jnp.sin(draws[0] * TURN)
    cosine = jnp.cos(draws[0] * TURN)
    y = (jnp.arange(height) - height / 2 + 0.5)[:, None]
    x = (jnp.arange(width) - width / 2 + 0.5)[None, :]
    rows = cosine * y - sine * x + (0.5 + SHIFT * draws[1]) * height - 0.5
    columns = sine * y + cosine * x + (0.5 + SHIFT * draws[2]) * width - 0.5
    # Without the barrier XLA (jax 0.10.2) fuses the sampling with what follows, and two such
    # programs at once on two CPU devices give other numbers (docs/developer/xla-report.md).
    return jax.lax.optimization_barrier(_sampled(scaled(images), rows, columns))


def _sampled(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Images at places between their pixels.

    Args:
      images: float32, (n, h, w, c).
      rows: float32, (n, h, w).
      columns: float32, (n, h, w).
    """
    n, height, width, channels = images.shape
    top = jnp.floor(rows)
    left = jnp.floor(columns)
    flat = images.reshape(n, height * width, channels)
    result = jnp.zeros((n, height, width, channels), jnp.float32)
    for down in (0, 1):
        for right in (0, 1):
            row = top + down
            column = left + right
            weight = (1 - jnp.abs(rows - row)) * (1 - jnp.abs(columns - column))
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = jnp.where(inside, row * width + column, 0).astype(jnp.int32)
            values = jnp.take_along_axis(flat, place.reshape(n, -1, 1), axis=1)
            weight = jnp.where(inside, weight, 0)[..., None]
            result += weight * values.reshape(result.shape)
    return result
