"""Values of losses at the start of a clustering, by which the terms of a loss are divided.

A term that is divided by its value at the start is 1 there, whatever the size and the brightness of
the images and the length of the features. The weights between the terms then mean the same on
every data set.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from jaxclust.methods.checks import Reconstruct
from jaxclust.ops import losses
from jaxclust.ops.batches import in_blocks, scaled
from jaxclust.types import Variables

Terms = Literal["relative", "plain"]
"""Each term is divided by its value at the start, or is the sum that the paper has."""

LEAST = 1e-6
"""An error below this part of the images' own squared length counts as this part."""


def reconstruction(reconstruct: Reconstruct, variables: Variables, images: jax.Array) -> jax.Array:
    """The squared error of all images, summed over pixels, the mean over images.

    Args:
      reconstruct: of the network.
      variables: its arrays.
      images: uint8 or float32 in [0, 1], (n, h, w, c).

    Returns:
      float32, (), above 0: at least ``LEAST`` of the images' squared length. It is 1 where images
      are black and the network reconstructs them without error.
    """

    def errors(part: jax.Array) -> jax.Array:
        output, _, _ = reconstruct(variables, part, False)
        return summed_error(output, scaled(part))

    def lengths(part: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(scaled(part)), axis=(1, 2, 3))

    least = LEAST * jnp.mean(in_blocks(lengths, images))
    return positive(jnp.maximum(jnp.mean(in_blocks(errors, images)), least))


def summed_error(output: jax.Array, target: jax.Array) -> jax.Array:
    """The squared error of each image, summed over its pixels.

    Args:
      output: float32, (n, h, w, c).
      target: float32, the same shape.

    Returns:
      float32, (n,).
    """
    return target[0].size * losses.squared_error(output, target)


def positive(value: jax.Array) -> jax.Array:
    """The value, float32, (), or 1 where it is 0: what is 0 at the start has no unit of its own."""
    return jnp.where(value > 0, value, jnp.float32(1))
