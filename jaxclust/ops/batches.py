"""Images on the device: scaled inside the step, passed over in blocks to bound the memory of inner maps."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxclust.types import Network, Variables

BLOCK = 1024
"""Images in a block: large enough for full-speed products, a few hundred MB of inner maps."""
BLOCK_PIXELS = 2**20
"""Rows times columns of all images in a block: the same for larger images."""


def in_blocks(
    function: Callable[[jax.Array], jax.Array], images: jax.Array, block: int | None = None
) -> jax.Array:
    """``function(images)``, computed ``block`` images at a time.

    Args:
      function: maps (b, ...) to (b, d), each row on its own, or by the statistics of the rows it gets.
      images: (n, ...), any dtype.
      block: the most rows in one call; None for ``BLOCK``, fewer of large images.

    Returns:
      (n, d); where each row is on its own, ``function(images)`` to rounding.
    """
    n = images.shape[0]
    if block is None:
        block = max(min(BLOCK, BLOCK_PIXELS // math.prod(images.shape[1:3])), 1)
    count = -(-n // block)
    if count <= 1:
        return function(images)
    size = -(-n // count)
    # The last block is filled up with rows from the head, whose results are dropped.
    rows = (jnp.arange(count * size, dtype=jnp.int32) % n).reshape(count, size)
    blocks = jax.lax.map(lambda r: function(images[r]), rows)
    return blocks.reshape(count * size, *blocks.shape[2:])[:n]


def encoded(
    network: Network, variables: Variables, images: jax.Array, block: int | None = None
) -> jax.Array:
    """Features of all images, with running statistics, float32 (n, d); in blocks as ``in_blocks``."""
    return in_blocks(lambda part: network.encode(variables, part, False)[0], images, block)


def scaled(images: jax.Array) -> jax.Array:
    """Images as float32 in [0, 1], the same shape: uint8 is divided by 255, float is taken as it is."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 255
    return images.astype(jnp.float32)
