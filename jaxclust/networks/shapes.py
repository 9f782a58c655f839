"""Sizes of images and maps: what a network can take, and padding to it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.types import Shape

__all__ = ["Shape", "check_sizes", "padded"]


def check_sizes(shape: Sequence[int], embedding: int, widths: Sequence[int]) -> None:
    """Refuses sizes below 1.

    Args:
      shape: (h, w, c) of the images.
      embedding: number of features.
      widths: channels or units of the layers.

    Raises:
      UsageError: one of them is below 1, or the shape is none.
    """
    if len(shape) != 3 or min(shape) < 1:
        nearest = tuple(max(size, 1) for size in (*shape, 1, 1)[:3])
        rule = f"shape must be (height, width, channels), each at least 1, as {nearest}"
        raise UsageError(f"{rule}; got {shape}")
    if embedding < 1 or min(widths, default=1) < 1:
        rule = "embedding and every layer's width must be at least 1"
        raise UsageError(f"{rule}; got {embedding} and {widths}")


def padded(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Maps (n, h, w, c) padded with zeros to a size, or cropped to it, evenly on both sides.

    Args:
      x: the maps.
      size: (height, width) wanted.
    """
    extra = [new - old for new, old in zip(size, x.shape[1:3], strict=True)]
    # Half of the padding, rounded down, comes first; cropping takes the same half away.
    before = [e // 2 if e >= 0 else -(-e // 2) for e in extra]
    pads = [(0, 0, 0), *((b, e - b, 0) for b, e in zip(before, extra, strict=True)), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), pads)
