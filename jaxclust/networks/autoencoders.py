"""Autoencoders of the DCEC and DEC family, and the identity as a network."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.networks.from_flax import as_network
from jaxclust.networks.layers import Conv, ConvTranspose, Dense, glorot
from jaxclust.networks.shapes import Shape, check_sizes, padded
from jaxclust.ops.batches import scaled
from jaxclust.types import Network, Variables


@lru_cache
def cae(shape: Shape, embedding: int, filters: tuple[int, ...] = (32, 64, 128)) -> Network:
    """Convolutional autoencoder of DCEC (section 3.1; kernel sizes and paddings from the official code).

    Convolutions of stride 2, 5x5 but the last 3x3, each with ReLU; a dense layer to the embedding without activation,
    a dense layer with ReLU back, and the mirrored transposed convolutions, the last without activation. Padding is
    SAME; the innermost is VALID unless the height is divisible by 2 ** len(filters). Images of a size that the strides
    do not return exactly are padded with zeros, evenly on both sides, to the next that they do; 28x28 and every
    multiple of 8 are not. The reconstruction is cropped back.

    Args:
      shape: (h, w, c) of the images.
      embedding: number of features d; the paper takes the number of clusters.
      filters: channels of the convolutions.

    Returns:
      The network; ``activations`` names the map after each layer, the paddings included.

    Raises:
      ValueError: if a size, the embedding or a number of filters is below 1, or there are no filters.
    """
    check_sizes(shape, embedding, filters)
    if not filters:
        raise UsageError("filters must name at least one convolution's channels; got ()")
    (height, width), padding = _exact_size(shape[:2], len(filters))
    return as_network(partial(_CAE, shape, (height, width), padding, embedding, filters))


@lru_cache
def sae(shape: Shape, embedding: int, hidden: tuple[int, ...] = (500, 500, 2000)) -> Network:
    """Fully connected autoencoder of DEC and IDEC: d-500-500-2000-embedding, mirrored, ReLU on inner layers only.

    Args:
      shape: (h, w, c) of the images; their h * w * c pixels are the first layer's inputs.
      embedding: number of features.
      hidden: widths between pixels and embedding.

    Raises:
      ValueError: if a size, the embedding or a width is below 1.
    """
    check_sizes(shape, embedding, hidden)
    return as_network(partial(_SAE, shape, embedding, hidden, False))


@lru_cache
def tied_sae(shape: Shape, embedding: int, hidden: tuple[int, ...] = (500, 500, 2000)) -> Network:
    """``sae`` as in DCN's code: a decoder's kernel is its encoder's, transposed, and has no entry of its own.

    Kernels start normal, of variance 1 / inputs.

    Args:
      shape: as of ``sae``, as are the others and the errors.
      embedding: number of features.
      hidden: widths between pixels and embedding.

    Raises:
      ValueError: if a size, the embedding or a width is below 1.
    """
    check_sizes(shape, embedding, hidden)
    return as_network(partial(_SAE, shape, embedding, hidden, True))


@lru_cache
def pixels(shape: Shape, embedding: int | None = None) -> Network:
    """The identity: features are the scaled pixels, float32, (n, h * w * c); no parameters, no decoder.

    Args:
      shape: (h, w, c) of the images.
      embedding: ignored, so that every factory is called alike.
    """
    del embedding
    check_sizes(shape, 1, ())

    def encode(variables, images, train):
        del train
        return scaled(images).reshape(images.shape[0], -1), variables.stats

    return Network(lambda key: Variables({}, {}), encode)


def _exact_size(size, layers):
    """The next (height, width) that ``layers`` strides of 2 return exactly, and the innermost padding."""
    step = 2**layers
    # Rows that are a multiple of step go through SAME; half a step more leaves the innermost layer an odd number, at
    # least the kernel's 3, which VALID returns.
    height = max(-(-size[0] // (step // 2)) * (step // 2), step)
    if height % step == 0:
        return (height, -(-size[1] // step) * step), "SAME"
    width = max(-(-(size[1] - step // 2) // step), 1) * step + step // 2
    return (height, width), "VALID"


class _CAE(nnx.Module):
    def __init__(self, shape, size, padding, embedding, filters, *, rngs):
        self.shape, self.size, self.depth = shape, size, len(filters)
        channels = (shape[2], *filters)
        # The innermost layer halves: SAME exactly, VALID with a 3x3 kernel the odd sizes down.
        self.inner = (*(s // 2**self.depth for s in size), filters[-1])
        flat = self.inner[0] * self.inner[1] * self.inner[2]
        for i in range(1, self.depth + 1):
            last = i == self.depth
            how = {"stride": 2, "padding": padding if last else "SAME", "rngs": rngs}
            setattr(self, f"conv{i}", Conv(channels[i - 1], channels[i], 3 if last else 5, **how))
            setattr(
                self,
                f"deconv{i}",
                ConvTranspose(channels[i], channels[i - 1], 3 if last else 5, **how),
            )
        self.embedding = Dense(flat, embedding, rngs=rngs)
        self.dense = Dense(embedding, flat, rngs=rngs)

    def maps(self, images):
        maps = {}
        x = padded(images, self.size)
        for i in range(1, self.depth + 1):
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
        maps["embedding"] = self.embedding(x.reshape(x.shape[0], -1))
        return maps | self._decoded(maps["embedding"])

    def encode(self, images):
        return self.maps(images)["embedding"]

    def reconstruct(self, images):
        maps = self.maps(images)
        return padded(maps["deconv1"], self.shape[:2]), maps["embedding"]

    def _decoded(self, features):
        maps = {}
        x = maps["dense"] = jax.nn.relu(self.dense(features)).reshape(-1, *self.inner)
        for i in range(self.depth, 0, -1):
            x = getattr(self, f"deconv{i}")(x)
            x = maps[f"deconv{i}"] = x if i == 1 else jax.nn.relu(x)
        return maps


class _SAE(nnx.Module):
    def __init__(self, shape, embedding, hidden, tied, *, rngs):
        self.shape, self.depth, self.tied = shape, len(hidden) + 1, tied
        widths = (shape[0] * shape[1] * shape[2], *hidden, embedding)
        for i in range(1, self.depth + 1):
            encoder = Dense(widths[i - 1], widths[i], rngs=rngs, start=_normal if tied else glorot)
            setattr(self, f"encoder{i}", encoder)
            decoder = _Bias(widths[i - 1]) if tied else Dense(widths[i], widths[i - 1], rngs=rngs)
            setattr(self, f"decoder{i}", decoder)

    def maps(self, images):
        maps = {}
        x = images.reshape(images.shape[0], -1)
        for i in range(1, self.depth + 1):
            x = getattr(self, f"encoder{i}")(x)
            x = maps[f"encoder{i}"] = x if i == self.depth else jax.nn.relu(x)
        return maps

    def encode(self, images):
        return self.maps(images)[f"encoder{self.depth}"]

    def reconstruct(self, images):
        x = features = self.encode(images)
        for i in range(self.depth, 0, -1):
            x = x @ getattr(self, f"encoder{i}").kernel[...].T if self.tied else x
            x = getattr(self, f"decoder{i}")(x)
            x = x if i == 1 else jax.nn.relu(x)
        return x.reshape(-1, *self.shape), features


class _Bias(nnx.Module):
    def __init__(self, outputs):
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x):
        return x + self.bias[...]


def _normal(key, shape):
    return jax.random.normal(key, shape, jnp.float32) / jnp.sqrt(jnp.float32(shape[0]))
