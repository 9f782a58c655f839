"""Autoencoders of DCEC, DEC, IDEC and DCN, and the identity as a network."""

from collections.abc import Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from flax import nnx

from jaxclust.networks.from_flax import as_network
from jaxclust.networks.geometry import Padding, Window
from jaxclust.networks.layers import Conv, ConvTranspose, Dense, glorot
from jaxclust.networks.shapes import check_filters, check_sizes, padded
from jaxclust.ops.batches import scaled
from jaxclust.types import Network, Shape, Variables


@lru_cache
def cae(shape: Shape, embedding: int, filters: tuple[int, ...] = (32, 64, 128)) -> Network:
    """Convolutional autoencoder of DCEC (section 3.1).

    Kernel sizes and paddings are those of the official code. The encoder has convolutions of
    stride 2 with ReLU, 5x5 except the last, which is 3x3, and a dense layer to the embedding
    without activation. The decoder has a dense layer with ReLU and the mirrored transposed
    convolutions, the last of them without activation. Padding is SAME; that of the innermost
    layer is VALID unless the height is divisible by 2 ** len(filters).

    Where the strides do not return an image's size exactly, the image is padded with zeros, evenly
    on both sides, to the next size that they do return, and the reconstruction is cropped back.
    Images of 28x28 or of a multiple of 8 are not padded.

    Args:
      shape: (h, w, c) of the images.
      embedding: number of features d; the paper takes the number of clusters.
      filters: channels of the convolutions.

    Returns:
      The network; ``activations`` names the map after each layer, padding included.

    Raises:
      UsageError: a size, the embedding or a number of filters is below 1, or there are no filters.
    """
    check_sizes(shape, embedding, filters)
    check_filters(filters)
    size, padding = _exact_size(shape[:2], len(filters))
    return as_network(partial(_CAE, shape, size, padding, embedding, filters), "embedding")


@lru_cache
def sae(shape: Shape, embedding: int, hidden: tuple[int, ...] = (500, 500, 2000)) -> Network:
    """Fully connected autoencoder of DEC and IDEC: d-500-500-2000-embedding and its mirror image.

    The inner layers have a ReLU; the embedding and the reconstruction have no activation.

    Args:
      shape: (h, w, c) of the images; their h * w * c pixels are the inputs of the first layer.
      embedding: number of features.
      hidden: widths of the layers between pixels and embedding.

    Raises:
      UsageError: a size, the embedding or a width is below 1.
    """
    check_sizes(shape, embedding, hidden)
    return as_network(partial(_SAE, shape, embedding, hidden, False), f"encoder{len(hidden) + 1}")


@lru_cache
def grouped_sae(
    shape: Shape, embedding: int, group_size: int = 2, hidden: tuple[int, ...] = (1000, 250, 50)
) -> Network:
    """``sae`` with several features for each cluster, for DEN, and the widths of AEC's code.

    Args:
      shape: (h, w, c) of the images; their h * w * c pixels are the inputs of the first layer.
      embedding: number of groups of features; the paper takes the number of clusters.
      group_size: number of features in a group.
      hidden: widths of the layers between pixels and embedding.

    Raises:
      UsageError: a size, the embedding or a width is below 1.
    """
    return sae(shape, embedding * group_size, hidden)


@lru_cache
def tied_sae(shape: Shape, embedding: int, hidden: tuple[int, ...] = (500, 500, 2000)) -> Network:
    """``sae`` with tied weights, as in DCN's code.

    A decoder's kernel is its encoder's kernel, transposed, and has no entry of its own in the
    params. Kernels start normal, with variance 1 / inputs.

    Args:
      shape: (h, w, c) of the images; their h * w * c pixels are the inputs of the first layer.
      embedding: number of features.
      hidden: widths of the layers between pixels and embedding.

    Raises:
      UsageError: a size, the embedding or a width is below 1.
    """
    check_sizes(shape, embedding, hidden)
    return as_network(partial(_SAE, shape, embedding, hidden, True), f"encoder{len(hidden) + 1}")


def pixels(shape: Shape, embedding: int | None = None) -> Network:
    """The identity: features are the scaled pixels, float32, (n, h * w * c).

    It has no parameters and no decoder.

    Args:
      shape: (h, w, c) of the images.
      embedding: ignored; every factory is called with it.

    Raises:
      UsageError: a size is below 1.
    """
    del embedding
    check_sizes(shape, 1, ())
    return _pixels(tuple(shape))


@lru_cache
def _pixels(shape: Shape) -> Network:
    """The identity; for images of one shape it is always the same network."""
    del shape

    def encode(variables: Variables, images: jax.Array, train: bool) -> tuple[jax.Array, dict]:
        del train
        return scaled(images).reshape(images.shape[0], -1), variables.stats

    return Network(lambda key: Variables({}, {}), encode)


def _exact_size(size: Sequence[int], layers: int) -> tuple[tuple[int, int], Padding]:
    """The next size that ``layers`` strides of 2 return exactly, and the innermost padding."""
    step = 2**layers
    # A height that is a multiple of step is returned with SAME. Half a step more leaves the
    # innermost layer an odd number of rows, at least the kernel's 3, which VALID returns.
    height = max(-(-size[0] // (step // 2)) * (step // 2), step)
    if height % step == 0:
        return (height, -(-size[1] // step) * step), "SAME"
    width = max(-(-(size[1] - step // 2) // step), 1) * step + step // 2
    return (height, width), "VALID"


class _CAE(nnx.Module):
    def __init__(
        self,
        shape: Shape,
        size: tuple[int, int],
        padding: Padding,
        embedding: int,
        filters: tuple[int, ...],
        *,
        rngs: nnx.Rngs,
    ):
        self.shape = shape
        self.size = size
        self.depth = len(filters)
        channels = (shape[2], *filters)
        # The innermost layer halves the size: SAME exactly, VALID with its 3x3 kernel rounds odd
        # sizes down.
        self.inner = (*(s // 2**self.depth for s in size), filters[-1])
        flat = self.inner[0] * self.inner[1] * self.inner[2]
        for i in range(1, self.depth + 1):
            window = Window(3, 2, padding) if i == self.depth else Window(5, 2)
            down = Conv(channels[i - 1], channels[i], window, rngs=rngs)
            setattr(self, f"conv{i}", down)
            up = ConvTranspose(channels[i], channels[i - 1], window, rngs=rngs)
            setattr(self, f"deconv{i}", up)
        self.embedding = Dense(flat, embedding, rngs=rngs)
        self.dense = Dense(embedding, flat, rngs=rngs)

    def maps(self, images: jax.Array) -> dict[str, jax.Array]:
        maps = {}
        x = padded(images, self.size)
        for i in range(1, self.depth + 1):
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
        maps["embedding"] = self.embedding(x.reshape(x.shape[0], -1))
        return maps | self._decoded(maps["embedding"])

    def encode(self, images: jax.Array) -> jax.Array:
        return self.maps(images)["embedding"]

    def reconstruct(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        maps = self.maps(images)
        return padded(maps["deconv1"], self.shape[:2]), maps["embedding"]

    def _decoded(self, features: jax.Array) -> dict[str, jax.Array]:
        maps = {}
        x = maps["dense"] = jax.nn.relu(self.dense(features)).reshape(-1, *self.inner)
        for i in range(self.depth, 0, -1):
            x = getattr(self, f"deconv{i}")(x)
            x = maps[f"deconv{i}"] = x if i == 1 else jax.nn.relu(x)
        return maps


class _SAE(nnx.Module):
    def __init__(
        self, shape: Shape, embedding: int, hidden: tuple[int, ...], tied: bool, *, rngs: nnx.Rngs
    ):
        self.shape = shape
        self.depth = len(hidden) + 1
        self.tied = tied
        widths = (shape[0] * shape[1] * shape[2], *hidden, embedding)
        for i in range(1, self.depth + 1):
            encoder = Dense(widths[i - 1], widths[i], rngs=rngs, start=_normal if tied else glorot)
            setattr(self, f"encoder{i}", encoder)
            decoder = _Bias(widths[i - 1]) if tied else Dense(widths[i], widths[i - 1], rngs=rngs)
            setattr(self, f"decoder{i}", decoder)

    def maps(self, images: jax.Array) -> dict[str, jax.Array]:
        maps = {}
        x = images.reshape(images.shape[0], -1)
        for i in range(1, self.depth + 1):
            x = getattr(self, f"encoder{i}")(x)
            x = maps[f"encoder{i}"] = x if i == self.depth else jax.nn.relu(x)
        return maps

    def encode(self, images: jax.Array) -> jax.Array:
        return self.maps(images)[f"encoder{self.depth}"]

    def reconstruct(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = features = self.encode(images)
        for i in range(self.depth, 0, -1):
            x = x @ getattr(self, f"encoder{i}").kernel[...].T if self.tied else x
            x = getattr(self, f"decoder{i}")(x)
            x = x if i == 1 else jax.nn.relu(x)
        return x.reshape(-1, *self.shape), features


class _Bias(nnx.Module):
    def __init__(self, outputs: int):
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.bias[...]


def _normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(key, shape, jnp.float32) / jnp.sqrt(jnp.float32(shape[0]))
