"""The networks trained on ImageNet as trunks of CCNN, in place of AlexNet's conv1 to conv5."""

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxclust.networks.pretrained import FEATURES, FeatureNetwork
from jaxclust.ops.batches import BLOCK_PIXELS, in_blocks
from jaxclust.types import Key, Shape

LEAST_SIDE = 128
"""Smaller images are enlarged within the network, until the shorter side has this many pixels."""

TRUNCATED = 0.87962566
"""Standard deviation of a normal draw that is cut off at twice its own."""


class ImageNetTrunk(nnx.Module):
    """SqueezeNet or EfficientNet-Lite0 up to the last map before the classifier.

    Images whose shorter side is below ``LEAST_SIDE`` are enlarged bilinearly by the least whole
    factor that reaches it. The scaling that the network was trained with follows: blue, green and
    red less their means for SqueezeNet, (x - 127) / 128 for Lite0. Gray is repeated. Batch norm is
    part of Lite0's convolutions, as in ``pretrained``.

    Kernels start with He's normal draw and biases at zero.

    Args:
      name: one of ``pretrained.FEATURES``.
      shape: (h, w, c) of the images, c of 1 or 3.
      rngs: where the first kernels are drawn from.
    """

    LEAST = 32
    """The smallest number of rows and columns that is taken."""

    def __init__(self, name: str, shape: Shape, *, rngs: nnx.Rngs):
        self.name = name
        self.channels = FEATURES[name].dimension
        self.factor = -(-LEAST_SIDE // min(shape[:2]))
        for array, value in _drawn(rngs.params(), array_shapes(name)).items():
            setattr(self, attribute(array), nnx.Param(value))

    def __call__(self, x: jax.Array, maps: dict[str, jax.Array]) -> jax.Array:
        rows = x.shape[1] * self.factor
        columns = x.shape[2] * self.factor
        network: FeatureNetwork = FEATURES[self.name]
        arrays = {array: getattr(self, attribute(array))[...] for array in array_shapes(self.name)}

        def last_map(part: jax.Array) -> jax.Array:
            part = jnp.broadcast_to(part, (*part.shape[:3], 3))
            if self.factor > 1:
                part = jax.image.resize(part, (len(part), rows, columns, 3), "bilinear")
            return network.last_map(arrays, 255 * part)

        # Blocks of the size of the enlarged images bound the memory of the inner maps.
        block = max(BLOCK_PIXELS // (rows * columns), 1)
        x = maps["trunk"] = in_blocks(last_map, jnp.asarray(x), block)
        return x


@functools.cache
def array_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays that a network's ``last_map`` takes."""
    network = FEATURES[name]
    # ``fold`` takes a square root of a variance, so that ones are safe.
    folded = network.fold({key: np.ones(size) for key, size in network.shapes().items()})
    return {key: value.shape for key, value in folded.items()}


def _drawn(key: Key, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, jax.Array]:
    """Kernels with He's normal draw, and biases of zero, by the names of their shapes."""
    kernels = {name: size for name, size in shapes.items() if name.endswith("kernel")}
    # A draw for each kernel would take seconds to compile.
    sizes = [math.prod(size) for size in kernels.values()]
    whole = jax.random.truncated_normal(key, -2, 2, (sum(sizes),), jnp.float32)
    parts = jnp.split(whole, np.cumsum(sizes)[:-1])
    drawn = {name: jnp.zeros(size, jnp.float32) for name, size in shapes.items()}
    for (name, size), part in zip(kernels.items(), parts, strict=True):
        # All axes but the last, the outputs, are inputs; a depthwise kernel has its rows and
        # columns alone.
        deviation = math.sqrt(2 / math.prod(size[:-1])) / TRUNCATED
        drawn[name] = deviation * part.reshape(size)
    return drawn


def attribute(array: str) -> str:
    """What an array of ``pretrained`` is called in the trunk's variables."""
    return array.replace("/", "_")
