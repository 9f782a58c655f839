"""The fully convolutional autoencoder of DBC (Li, Qiao, Zhang, Xi 2017, section 3.1 and table 2)."""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.networks.convolution import Padding
from jaxclust.networks.from_flax import as_network
from jaxclust.networks.layers import Conv, ConvTranspose
from jaxclust.networks.pooling import max_pool, unpool
from jaxclust.networks.shapes import Shape, check_sizes, padded
from jaxclust.types import Network

MOMENTUM = 0.9
"""Of batch normalisation's running statistics (ours; the paper has none). A short epoch of 40 steps renews them."""
LEAST_MAP = 4
"""Rows and columns that a fitted encoder leaves its feature layer at the least: those of all three in table 2."""


class Block(NamedTuple):
    """A convolution with batch normalisation and ReLU, then 2x2 max pooling."""

    kernel: int
    filters: int
    padding: Padding = "VALID"


class Encoder(NamedTuple):
    """Blocks, and a feature layer whose kernel covers the map that they leave.

    Attributes:
      blocks: at least one.
      kernel: (height, width) of the feature layer's kernel.
      features: its filters.
    """

    blocks: tuple[Block, ...]
    kernel: tuple[int, int]
    features: int


# Table 2.
MNIST = Encoder((Block(5, 6), Block(5, 16)), (4, 4), 120)
USPS = Encoder((Block(3, 20, "SAME"), Block(3, 20, "SAME")), (4, 4), 160)
COIL = Encoder((Block(9, 20), Block(5, 20), Block(5, 20), Block(5, 40)), (4, 4), 320)


@lru_cache
def fcae(shape: Shape, embedding: int | None = None, encoder: Encoder | None = None) -> Network:
    """Convolutions, max pooling, and the exact reverse with transposed convolutions and unpooling at the maxima.

    Batch normalisation and ReLU follow every convolution and transposed convolution but the last; running statistics
    are in ``stats``. Images that the pooling does not halve exactly are padded with zeros, evenly on both sides, and
    the reconstruction is cropped back; 16x16, 28x28, 32x32, 64x64 and 128x128 are not padded.

    Args:
      shape: (h, w, c) of the images.
      embedding: ignored, so that every factory is called alike: an encoder has its own number of features.
      encoder: one of table 2 or one's own, for images of exactly its size; None fits one to any size (``fitted``).

    Returns:
      The network, features at least 0; ``activations`` names the map after each layer. Where ``train`` is true, a batch
      of one image is a ValueError: it has no variance.

    Raises:
      ValueError: a size below 1, or one that the encoder does not take to a 1x1 feature layer; an encoder without
        blocks, with a kernel or a number of filters below 1, or another padding than VALID and SAME.
    """
    del embedding
    check_sizes(shape, 1, ())
    if encoder is None:
        encoder, size = fitted(shape[0], shape[1])
    else:
        _check_encoder(encoder)
        size = tuple(_image_size(encoder.blocks, side) for side in encoder.kernel)
        if tuple(shape[:2]) != size:
            needed, got = (" x ".join(map(str, one)) for one in (size, shape[:2]))
            raise UsageError(
                f"shape: must be {needed} for this encoder to reach a 1x1 feature layer, got {got}"
            )
    return as_network(partial(_FCAE, shape, size, encoder))


def _check_encoder(encoder: Encoder) -> None:
    if not encoder.blocks:
        raise UsageError("encoder: must have at least one block, got none")
    if (
        min(
            *encoder.kernel,
            encoder.features,
            *(size for block in encoder.blocks for size in block[:2]),
        )
        < 1
    ):
        raise UsageError(f"encoder: must have kernels and filters of at least 1, got {encoder}")
    for block in encoder.blocks:
        if block.padding not in ("VALID", "SAME"):
            raise UsageError(f"encoder: must have padding VALID or SAME, got {block.padding!r}")


def fitted(height: int, width: int) -> tuple[Encoder, tuple[int, int]]:
    """An encoder for images of any size, and the size they are to be padded to.

    By the smaller side: up to 16 pixels USPS's blocks, up to 28 MNIST's, above COIL's. They are taken in turn, the last
    one again and again, while the pooled map keeps at least 4 rows and columns. The feature layer's kernel is the map
    that is left. At 16x16, 28x28 and 128x128 this is table 2.

    Args:
      height: of the images, at least 1.
      width: likewise.
    """
    side = min(height, width)
    published = USPS if side <= 16 else MNIST if side <= 28 else COIL
    blocks = published.blocks[:1]
    while min(_map_sizes(more := _repeated(published.blocks, len(blocks) + 1), side)) >= LEAST_MAP:
        blocks = more
    kernel = tuple(max(_map_sizes(blocks, side)[-1], LEAST_MAP) for side in (height, width))
    size = tuple(_image_size(blocks, side) for side in kernel)
    return Encoder(blocks, kernel, published.features), size


def _repeated(blocks, count):
    return tuple(blocks[min(i, len(blocks) - 1)] for i in range(count))


def _map_sizes(blocks, side):
    """Rows or columns after each block, halves rounded up."""
    sizes = []
    for block in blocks:
        side = -(-(side - _shrink(block)) // 2)
        sizes.append(side)
    return sizes


def _image_size(blocks, side):
    """Rows or columns of the images whose map has ``side`` after the blocks, without rounding."""
    for block in reversed(blocks):
        side = 2 * side + _shrink(block)
    return side


def _shrink(block):
    return block.kernel - 1 if block.padding == "VALID" else 0


class _FCAE(nnx.Module):
    def __init__(self, shape, size, encoder, *, rngs):
        self.shape, self.size, self.depth = shape, size, len(encoder.blocks)
        channels = (shape[2], *(block.filters for block in encoder.blocks))
        for i, block in enumerate(encoder.blocks, 1):
            how = {"padding": block.padding, "rngs": rngs}
            setattr(
                self,
                f"conv{i}",
                _Normalised(Conv, channels[i - 1], channels[i], block.kernel, **how),
            )
            # The last layer of all has neither batch normalisation nor ReLU.
            up = ConvTranspose if i == 1 else partial(_Normalised, ConvTranspose)
            setattr(self, f"deconv{i}", up(channels[i], channels[i - 1], block.kernel, **how))
        how = {"padding": "VALID", "rngs": rngs}
        self.features = _Normalised(Conv, channels[-1], encoder.features, encoder.kernel, **how)
        self.defeatures = _Normalised(
            ConvTranspose, encoder.features, channels[-1], encoder.kernel, **how
        )

    def encode(self, images):
        return _flat(self._encoded(images)[0]["features"])

    def reconstruct(self, images):
        maps, switches = self._encoded(images)
        decoded = self._decoded(maps["features"], switches)
        return padded(decoded["deconv1"], self.shape[:2]), _flat(maps["features"])

    def maps(self, images):
        maps, switches = self._encoded(images)
        return maps | self._decoded(maps["features"], switches)

    def _encoded(self, images):
        maps, switches = {}, {}
        x = padded(images, self.size)
        for i in range(1, self.depth + 1):
            x = maps[f"conv{i}"] = getattr(self, f"conv{i}")(x)
            x, switches[i] = max_pool(x)
            maps[f"pool{i}"] = x
        maps["features"] = self.features(x)
        return maps, switches

    def _decoded(self, features, switches):
        maps = {}
        x = maps["defeatures"] = self.defeatures(features)
        for i in range(self.depth, 0, -1):
            x = maps[f"unpool{i}"] = unpool(x, switches[i])
            x = maps[f"deconv{i}"] = getattr(self, f"deconv{i}")(x)
        return maps


class _Normalised(nnx.Module):
    """A convolution without bias, batch normalisation in its place, ReLU."""

    def __init__(self, layer, inputs, outputs, kernel, *, padding, rngs):
        self.layer = layer(inputs, outputs, kernel, padding=padding, bias=False, rngs=rngs)
        # Two passes for the variance: the difference of the means of x^2 and of x cancels on bright, even images.
        self.norm = nnx.BatchNorm(outputs, momentum=MOMENTUM, use_fast_variance=False, rngs=rngs)

    def __call__(self, x):
        if x.shape[0] < 2 and not self.norm.use_running_average:
            raise UsageError(
                f"batch: must be at least 2 images for batch normalisation, got {x.shape[0]}"
            )
        return jax.nn.relu(self.norm(self.layer(x)))


def _flat(features):
    return features.reshape(features.shape[0], -1)
