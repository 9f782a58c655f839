"""Sizes of images, maps and layers: checks of what a network can take, and padding."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError


def check_sizes(shape: Sequence[int], embedding: int, widths: Sequence[int]) -> None:
    """Refuses sizes below 1.

    Args:
      shape: (h, w, c) of the images.
      embedding: number of features.
      widths: channels or units of the layers.

    Raises:
      UsageError: a size is below 1, or ``shape`` does not have three entries.
    """
    if len(shape) != 3 or min(shape) < 1:
        nearest = tuple(max(size, 1) for size in (*shape, 1, 1)[:3])
        rule = f"shape: must be (height, width, channels), each at least 1, such as {nearest}"
        raise UsageError(f"{rule}, got {shape}")
    if embedding < 1:
        raise UsageError(f"embedding: must be at least 1, got {embedding}")
    if min(widths, default=1) < 1:
        raise UsageError(f"widths: must be at least 1 for every layer, got {widths}")


def check_filters(filters: Sequence[int]) -> None:
    """Refuses a network without convolutions.

    Raises:
      UsageError: there are no filters.
    """
    if not filters:
        raise UsageError("filters: must name at least one convolution's channels, got ()")


def padded(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Pads maps with zeros to a size, or crops them to it, evenly on both sides.

    Args:
      x: maps, (n, h, w, c).
      size: (height, width) of the result.

    Returns:
      (n, height, width, c).
    """
    extra = [new - old for new, old in zip(size, x.shape[1:3], strict=True)]
    # Half of the padding, rounded down, comes first; cropping removes the same half.
    before = [e // 2 if e >= 0 else -(-e // 2) for e in extra]
    pads = [(0, 0, 0), *((b, e - b, 0) for b, e in zip(before, extra, strict=True)), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), pads)
