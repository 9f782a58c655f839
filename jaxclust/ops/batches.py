"""Scaling of images on the device, and functions of many images computed block by block.

Blocks bound the memory that a network's inner maps take.
"""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jaxclust.types import Network, Variables

BLOCK = 1024
"""Images in a block: enough for full-speed products, with a few hundred MB of inner maps."""
BLOCK_PIXELS = 2**20
"""Pixels (rows times columns) of all images in a block; it makes blocks of large images smaller."""


LEAST_BATCH = 32
"""Batches that are made smaller for the sake of more steps keep this many images."""


def batch_size(n: int, batch: int, least_steps: int | None = None) -> int:
    """Images in a step.

    Args:
      n: number of images.
      batch: the batch that is asked for.
      least_steps: steps that a pass over the images should have at least. A batch that gives fewer
        is made smaller, down to ``LEAST_BATCH``. None for the batch as it is.

    Returns:
      At most n.
    """
    if least_steps is not None:
        batch = min(batch, max(n // least_steps, LEAST_BATCH))
    return min(batch, n)


def epochs_within(epochs: int, max_steps: int | None, steps: int) -> int:
    """Passes over the images that a limit on steps leaves.

    Args:
      epochs: the passes that are asked for.
      max_steps: the largest number of steps, but at least one pass; None for no limit.
      steps: in a pass.
    """
    return epochs if max_steps is None else min(epochs, max(max_steps // steps, 1))


def in_blocks(
    function: Callable[[jax.Array], jax.Array], images: jax.Array, block: int | None = None
) -> jax.Array:
    """``function(images)``, computed block by block.

    Args:
      function: maps (b, ...) to (b, ...). Each row of its result depends on the same row of its
        argument alone, or also on statistics of the block.
      images: (n, ...), any dtype.
      block: the largest number of rows in one call. None takes ``BLOCK``, or fewer where the
        images are large.

    Returns:
      (n, ...). Where the rows do not depend on each other this is ``function(images)`` up to
      rounding.
    """
    n = images.shape[0]
    if block is None:
        block = max(min(BLOCK, BLOCK_PIXELS // math.prod(images.shape[1:3])), 1)
    count = -(-n // block)
    if count <= 1:
        whole = function(images)
        chex.assert_axis_dimension(whole, 0, n)
        return whole
    size = -(-n // count)
    # The last block is filled up with the first images; their results are dropped.
    rows = (jnp.arange(count * size, dtype=jnp.int32) % n).reshape(count, size)
    blocks = jax.lax.map(lambda r: function(images[r]), rows)
    chex.assert_equal_shape_prefix([blocks, rows], 2)
    return blocks.reshape(count * size, *blocks.shape[2:])[:n]


def encoded(
    network: Network, variables: Variables, images: jax.Array, block: int | None = None
) -> jax.Array:
    """Features of all images, with the running statistics of the network's batch norm.

    Args:
      network: the network that encodes.
      variables: its arrays.
      images: uint8 in 0..255 or float in [0, 1], (n, h, w, c).
      block: as in ``in_blocks``.

    Returns:
      float32, (n, d).
    """
    chex.assert_rank(images, 4)
    features = in_blocks(lambda part: network.encode(variables, part, False)[0], images, block)
    chex.assert_rank(features, 2)
    return features


def scaled(images: jax.Array) -> jax.Array:
    """Images as float32 in [0, 1].

    Args:
      images: uint8 in 0..255, which are divided by 255, or floats, which are taken as they are;
        any shape.

    Returns:
      float32, the same shape.
    """
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 255
    return images.astype(jnp.float32)
