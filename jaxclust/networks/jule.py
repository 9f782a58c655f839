"""JULE's network (Yang, Parikh, Batra 2016, section 4.1.2).

It has blocks of convolutions, an inner product, and features of unit length.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.networks.from_flax import as_network
from jaxclust.networks.geometry import Window
from jaxclust.networks.layers import Conv, Dense
from jaxclust.networks.pooling import max_pool_any
from jaxclust.types import Network, Shape

KERNEL = 5
"""Rows and columns of a kernel."""
CHANNELS = 50
"""Channels of each block."""
FEATURES = 160
"""Features of an image."""
LEAST_MAP = 5
"""Blocks are added while the map has at least this many rows and columns."""
SCALE = 0.01
"""Standard deviation of the first weights (authors' code)."""
MOMENTUM = 0.9
"""A tenth of each batch's statistics enters the running ones (Torch's default, authors' code)."""
EPSILON = 1e-5
"""Is added to the variance in batch norm (Torch's default, authors' code)."""


@lru_cache
def jule(shape: Shape, embedding: int | None = None) -> Network:
    """Blocks of convolution, batch norm, ReLU and max pooling; 160 features of unit length.

    A convolution is 5x5 to 50 channels, a pooling window 2x2. The rule for the number of blocks
    gives the authors' networks for all of their data sets except UMist and YTF. Blocks are added
    while the map, pooled or not, keeps at least 5 rows and columns. A last pooling that would leave
    fewer is omitted. The running statistics of batch norm are in ``stats``.

    Args:
      shape: (h, w, c) of the images, h and w at least 5.
      embedding: ignored; every factory is called with it, but this network has 160 features.

    Returns:
      The network, without a decoder; ``activations`` names the map after each block, "ip" (the
      inner product) and "features" (of unit length).

    Raises:
      UsageError: the images are smaller than the kernel.
    """
    del embedding
    return as_network(partial(_JULE, shape, blocks(min(shape[:2]))))


def blocks(size: int) -> tuple[bool, ...]:
    """The blocks for images of a size.

    Args:
      size: pixels of the shorter side.

    Returns:
      For each block, whether it pools.

    Raises:
      UsageError: the size is below the kernel's.
    """
    if size < KERNEL:
        rule = f"shape: must be at least {KERNEL} x {KERNEL} pixels"
        raise UsageError(f"{rule}, got {size} on the shorter side")
    pooled: list[bool] = []
    while (size := size - KERNEL + 1) >= LEAST_MAP or not pooled:
        pools = -(-size // 2) >= LEAST_MAP
        pooled.append(pools)
        if not pools:
            break
        size = -(-size // 2)
    return tuple(pooled)


class _JULE(nnx.Module):
    def __init__(self, shape: Shape, pooled: tuple[bool, ...], *, rngs: nnx.Rngs):
        self.pooled = pooled
        height, width, channels = shape
        for i, pools in enumerate(pooled, 1):
            conv = Conv(channels, CHANNELS, Window(KERNEL, padding="VALID"), rngs=rngs)
            conv.kernel[...] = _normal(rngs, conv.kernel)
            setattr(self, f"conv{i}", conv)
            norm = nnx.BatchNorm(
                CHANNELS, momentum=MOMENTUM, epsilon=EPSILON, use_fast_variance=False, rngs=rngs
            )
            setattr(self, f"norm{i}", norm)
            height = height - KERNEL + 1
            width = width - KERNEL + 1
            channels = CHANNELS
            if pools:
                height = -(-height // 2)
                width = -(-width // 2)
        self.ip = Dense(height * width * channels, FEATURES, rngs=rngs)
        self.ip.kernel[...] = _normal(rngs, self.ip.kernel)

    def maps(self, images: jax.Array) -> dict[str, jax.Array]:
        maps = {}
        x = images
        for i, pools in enumerate(self.pooled, 1):
            x = jax.nn.relu(getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(x)))
            x = maps[f"block{i}"] = max_pool_any(x) if pools else x
        x = maps["ip"] = self.ip(x.reshape(x.shape[0], -1))
        maps["features"] = unit_length(x)
        return maps

    def encode(self, images: jax.Array) -> jax.Array:
        return self.maps(images)["features"]


def unit_length(x: jax.Array) -> jax.Array:
    """Features, float32 (n, d), scaled to unit length."""
    # The gradient of a length at zero is NaN. Features have length zero only by underflow.
    return x * lax.rsqrt(jnp.maximum(jnp.sum(x**2, axis=1, keepdims=True), 1e-24))


def _normal(rngs: nnx.Rngs, kernel: nnx.Param) -> jax.Array:
    return SCALE * jax.random.normal(rngs.params(), kernel.shape, jnp.float32)
