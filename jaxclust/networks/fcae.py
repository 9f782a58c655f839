"""The fully convolutional autoencoder of DBC (Li, Qiao, Zhang, Xi 2017, section 3.1, table 2)."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.networks.from_flax import as_network
from jaxclust.networks.geometry import Padding, Window
from jaxclust.networks.layers import Conv, ConvTranspose
from jaxclust.networks.pooling import max_pool, unpool
from jaxclust.networks.shapes import check_sizes, padded
from jaxclust.types import Network, Shape

MOMENTUM = 0.9
"""Decay of batch norm's running statistics, for which the paper has no number. A short epoch of 40
steps renews them."""
LEAST_MAP = 4
"""A fitted encoder leaves its feature layer at least this many rows and columns, as in table 2."""


class Block(NamedTuple):
    """A convolution with batch norm and ReLU, then 2x2 max pooling.

    Attributes:
      kernel: rows and columns of the kernel.
      filters: number of channels.
      padding: "VALID" or "SAME".
    """

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


MNIST = Encoder((Block(5, 6), Block(5, 16)), (4, 4), 120)
"""Table 2, MNIST: images of 28x28."""
USPS = Encoder((Block(3, 20, "SAME"), Block(3, 20, "SAME")), (4, 4), 160)
"""Table 2, USPS: images of 16x16."""
COIL = Encoder((Block(9, 20), Block(5, 20), Block(5, 20), Block(5, 40)), (4, 4), 320)
"""Table 2, COIL: images of 128x128."""


@lru_cache
def fcae(shape: Shape, embedding: int | None = None, encoder: Encoder | None = None) -> Network:
    """Convolutions and max pooling, and their exact reverse.

    The decoder has transposed convolutions, and unpools to the places of the maxima. Batch norm and
    ReLU follow every convolution and every transposed convolution except the last; the running
    statistics are in ``stats``. Images that the pooling does not halve exactly are padded with
    zeros, evenly on both sides, and the reconstruction is cropped back. Images of 16x16, 28x28,
    32x32, 64x64 and 128x128 are not padded.

    Args:
      shape: (h, w, c) of the images.
      embedding: ignored; every factory is called with it, but an encoder has its own number of
        features.
      encoder: one of table 2 or another, for images of exactly its size; None takes one that fits
        any size, see ``fitted``.

    Returns:
      The network, with features of at least 0; ``activations`` names the map after each layer.
      Where ``train`` is true, a batch of one image is a UsageError, because it has no variance.

    Raises:
      UsageError: a size is below 1, or the encoder does not take images of this size to a 1x1
        feature layer. The encoder has no blocks, one of its kernels or numbers of filters is below
        1, or its padding is neither VALID nor SAME.
    """
    del embedding
    check_sizes(shape, 1, ())
    if encoder is None:
        encoder, size = fitted(shape[0], shape[1])
    else:
        size = _checked_size(encoder, shape)
    return as_network(partial(_FCAE, shape, size, encoder), "features")


def fitted(height: int, width: int) -> tuple[Encoder, tuple[int, int]]:
    """An encoder for images of any size, and the size that they are to be padded to.

    The shorter side decides: up to 16 pixels the encoder has USPS's blocks, up to 28 MNIST's, and
    COIL's above. They are taken in turn, the last one again and again, while the pooled map keeps
    at least 4 rows and columns. The kernel of the feature layer covers the map that is left. At
    16x16, 28x28 and 128x128 this gives table 2.

    Args:
      height: height of the images, at least 1.
      width: width of the images, at least 1.
    """
    side = min(height, width)
    published = USPS if side <= 16 else MNIST if side <= 28 else COIL
    blocks = published.blocks[:1]
    while min(_map_sizes(more := _repeated(published.blocks, len(blocks) + 1), side)) >= LEAST_MAP:
        blocks = more
    rows, columns = (max(_map_sizes(blocks, size)[-1], LEAST_MAP) for size in (height, width))
    encoder = Encoder(blocks, (rows, columns), published.features)
    return encoder, _size_of(encoder)


def _checked_size(encoder: Encoder, shape: Sequence[int]) -> tuple[int, int]:
    """The size of the encoder's images.

    Raises:
      UsageError: it is not that of the images, or the encoder cannot work.
    """
    if not encoder.blocks:
        raise UsageError("encoder: must have at least one block, got none")
    sizes = [size for block in encoder.blocks for size in block[:2]]
    if min(*encoder.kernel, encoder.features, *sizes) < 1:
        raise UsageError(f"encoder: must have kernels and filters of at least 1, got {encoder}")
    for block in encoder.blocks:
        if block.padding not in ("VALID", "SAME"):
            raise UsageError(f"encoder: must have padding VALID or SAME, got {block.padding!r}")
    size = _size_of(encoder)
    if tuple(shape[:2]) != size:
        needed = " x ".join(map(str, size))
        got = " x ".join(map(str, shape[:2]))
        raise UsageError(
            f"shape: must be {needed} for this encoder to reach a 1x1 feature layer, got {got}"
        )
    return size


def _repeated(blocks: tuple[Block, ...], count: int) -> tuple[Block, ...]:
    return tuple(blocks[min(i, len(blocks) - 1)] for i in range(count))


def _map_sizes(blocks: Sequence[Block], side: int) -> list[int]:
    """Rows or columns after each block, halves rounded up."""
    sizes = []
    for block in blocks:
        side = -(-(side - _shrink(block)) // 2)
        sizes.append(side)
    return sizes


def _size_of(encoder: Encoder) -> tuple[int, int]:
    """(height, width) of the images whose map is as large as the feature layer's kernel."""
    height, width = (_image_side(encoder.blocks, side) for side in encoder.kernel)
    return height, width


def _image_side(blocks: Sequence[Block], side: int) -> int:
    """Rows or columns of the images whose map has ``side`` after the blocks, without rounding."""
    for block in reversed(blocks):
        side = 2 * side + _shrink(block)
    return side


def _shrink(block: Block) -> int:
    return block.kernel - 1 if block.padding == "VALID" else 0


class _FCAE(nnx.Module):
    def __init__(self, shape: Shape, size: tuple[int, int], encoder: Encoder, *, rngs: nnx.Rngs):
        self.shape = shape
        self.size = size
        self.depth = len(encoder.blocks)
        channels = (shape[2], *(block.filters for block in encoder.blocks))
        for i, block in enumerate(encoder.blocks, 1):
            window = Window(block.kernel, padding=block.padding)
            down = _Normalized(Conv, channels[i - 1], channels[i], window, rngs=rngs)
            setattr(self, f"conv{i}", down)
            # The very last layer has neither batch norm nor ReLU.
            up = ConvTranspose if i == 1 else partial(_Normalized, ConvTranspose)
            setattr(self, f"deconv{i}", up(channels[i], channels[i - 1], window, rngs=rngs))
        window = Window(encoder.kernel, padding="VALID")
        features = encoder.features
        self.features = _Normalized(Conv, channels[-1], features, window, rngs=rngs)
        self.defeatures = _Normalized(ConvTranspose, features, channels[-1], window, rngs=rngs)

    def encode(self, images: jax.Array) -> jax.Array:
        return _flat(self._encoded(images)[0]["features"])

    def reconstruct(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        maps, switches = self._encoded(images)
        decoded = self._decoded(maps["features"], switches)
        return padded(decoded["deconv1"], self.shape[:2]), _flat(maps["features"])

    def maps(self, images: jax.Array) -> dict[str, jax.Array]:
        maps, switches = self._encoded(images)
        return maps | self._decoded(maps["features"], switches)

    def _encoded(self, images: jax.Array) -> tuple[dict[str, jax.Array], dict[int, jax.Array]]:
        maps = {}
        switches = {}
        x = padded(images, self.size)
        for i in range(1, self.depth + 1):
            x = maps[f"conv{i}"] = getattr(self, f"conv{i}")(x)
            x, switches[i] = max_pool(x)
            maps[f"pool{i}"] = x
        maps["features"] = self.features(x)
        return maps, switches

    def _decoded(self, features: jax.Array, switches: dict[int, jax.Array]) -> dict[str, jax.Array]:
        maps = {}
        x = maps["defeatures"] = self.defeatures(features)
        for i in range(self.depth, 0, -1):
            x = maps[f"unpool{i}"] = unpool(x, switches[i])
            x = maps[f"deconv{i}"] = getattr(self, f"deconv{i}")(x)
        return maps


class _Normalized(nnx.Module):
    """A convolution without bias, then batch norm and ReLU."""

    def __init__(
        self,
        layer: Callable[..., Conv | ConvTranspose],
        inputs: int,
        outputs: int,
        window: Window,
        *,
        rngs: nnx.Rngs,
    ):
        self.layer = layer(inputs, outputs, window, bias=False, rngs=rngs)
        # The variance takes two passes: the difference of the means of x^2 and of x loses its
        # digits on bright, even images.
        self.norm = nnx.BatchNorm(outputs, momentum=MOMENTUM, use_fast_variance=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        if x.shape[0] < 2 and not self.norm.use_running_average:
            rule = "batch: must be at least 2 images for batch normalization"
            raise UsageError(f"{rule}, got {x.shape[0]}")
        return jax.nn.relu(self.norm(self.layer(x)))


def _flat(features: jax.Array) -> jax.Array:
    return features.reshape(features.shape[0], -1)
