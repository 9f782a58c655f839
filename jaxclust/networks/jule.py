"""JULE's network (Yang, Parikh, Batra 2016, section 4.1.2): blocks of convolutions, an inner product, unit length."""

from functools import lru_cache

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.networks.layers import Conv, Dense
from jaxclust.networks.pooling import max_pool_any
from jaxclust.ops.batches import scaled
from jaxclust.types import Network, Variables

KERNEL, CHANNELS, FEATURES = 5, 50, 160
LEAST_MAP = 5
"""A block is added while the map stays at this size or more."""
SCALE = 0.01
"""Standard deviation of the first weights (authors' code)."""
# Torch's defaults, which the authors' code has: a tenth of each batch enters the running statistics.
MOMENTUM, EPSILON = 0.9, 1e-5


@lru_cache
def jule(shape: tuple[int, int, int], embedding: int | None = None) -> Network:
    """Blocks of convolution 5x5 to 50 channels, batch norm, ReLU and 2x2 max pooling; 160 features of unit length.

    How many blocks is a rule that gives the authors' networks for their data sets but UMist and YTF: they are added
    while the map, pooled or not, keeps at least 5 rows and columns; a last pooling that would leave fewer is dropped.
    Batch norm's running statistics are in ``stats``.

    Args:
      shape: (h, w, c) of the images, h and w at least 5.
      embedding: ignored, so that every factory is called alike: there are 160 features.

    Returns:
      The network, without a decoder; ``activations`` names the map after each block, "ip" (the inner product) and
      "features" (of unit length).

    Raises:
      ValueError: images smaller than the kernel.
    """
    del embedding
    pooled = blocks(min(shape[:2]))
    graph, _ = nnx.split(nnx.eval_shape(lambda: _JULE(shape, pooled, rngs=nnx.Rngs(0))))

    def init(key):
        params, stats = nnx.state(
            _JULE(shape, pooled, rngs=nnx.Rngs(params=key)), nnx.Param, nnx.BatchStat
        )
        return Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(stats))

    def maps(variables, images, train):
        model = nnx.merge(graph, nnx.State(variables.params), nnx.State(variables.stats))
        model.train() if train else model.eval()
        return model(scaled(images)), nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

    def encode(variables, images, train):
        found, stats = maps(variables, images, train)
        return found["features"], stats

    return Network(init, encode, None, lambda variables, images: maps(variables, images, False)[0])


def blocks(size: int) -> tuple[bool, ...]:
    """For images of ``size`` pixels on their shorter side: for each block whether it pools.

    Raises:
      ValueError: size is below the kernel's.
    """
    if size < KERNEL:
        raise UsageError(
            f"shape: must be at least {KERNEL} x {KERNEL} pixels, got {size} on the shorter side"
        )
    pooled: list[bool] = []
    while (size := size - KERNEL + 1) >= LEAST_MAP or not pooled:
        pools = -(-size // 2) >= LEAST_MAP
        pooled.append(pools)
        if not pools:
            break
        size = -(-size // 2)
    return tuple(pooled)


class _JULE(nnx.Module):
    def __init__(self, shape, pooled, *, rngs):
        self.pooled = pooled
        height, width, channels = shape
        for i, pools in enumerate(pooled, 1):
            conv = Conv(channels, CHANNELS, KERNEL, padding="VALID", rngs=rngs)
            conv.kernel[...] = _normal(rngs, conv.kernel)
            setattr(self, f"conv{i}", conv)
            norm = nnx.BatchNorm(
                CHANNELS, momentum=MOMENTUM, epsilon=EPSILON, use_fast_variance=False, rngs=rngs
            )
            setattr(self, f"norm{i}", norm)
            height, width, channels = height - KERNEL + 1, width - KERNEL + 1, CHANNELS
            if pools:
                height, width = -(-height // 2), -(-width // 2)
        self.ip = Dense(height * width * channels, FEATURES, rngs=rngs)
        self.ip.kernel[...] = _normal(rngs, self.ip.kernel)

    def __call__(self, images):
        maps = {}
        x = images
        for i, pools in enumerate(self.pooled, 1):
            x = jax.nn.relu(getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(x)))
            x = maps[f"block{i}"] = max_pool_any(x) if pools else x
        x = maps["ip"] = self.ip(x.reshape(x.shape[0], -1))
        # The gradient of a length at zero is NaN; no image has features of length zero but by underflow.
        maps["features"] = x * lax.rsqrt(jnp.maximum(jnp.sum(x**2, axis=1, keepdims=True), 1e-24))
        return maps


def _normal(rngs, kernel):
    return SCALE * jax.random.normal(rngs.params(), kernel.shape, jnp.float32)
