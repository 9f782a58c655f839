"""TODO"""

import jax.numpy as jnp
from jax import lax

Shape = tuple[int, int, int]


def check_sizes(shape, embedding, widths):
    """Refuses sizes below 1: ValueError."""
    if len(shape) != 3 or min(shape) < 1:
        nearest = tuple(max(size, 1) for size in (*shape, 1, 1)[:3])
        raise ValueError(
            f"shape must be (height, width, channels), each at least 1, as {nearest}; got {shape}"
        )
    if embedding < 1 or min(widths, default=1) < 1:
        raise ValueError(
            f"embedding and every layer's width must be at least 1; got {embedding} and {widths}"
        )


def padded(x, size):
    """Pads maps (n, h, w, c) with zeros to ``size``, or crops them, evenly on both sides."""
    extra = [new - old for new, old in zip(size, x.shape[1:3], strict=True)]
    # Half of the padding, rounded down, comes first; cropping takes the same half away.
    before = [e // 2 if e >= 0 else -(-e // 2) for e in extra]
    pads = [(0, 0, 0), *((b, e - b, 0) for b, e in zip(before, extra, strict=True)), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), pads)
