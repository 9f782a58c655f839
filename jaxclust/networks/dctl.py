"""The network of deep convolutional transform learning: one or two layers of a few filters, and no decoder."""

import math
from functools import lru_cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.networks.convolution import conv
from jaxclust.networks.pooling import max_pool_any
from jaxclust.ops.batches import scaled
from jaxclust.types import Network, Variables

Mixing = Literal["mixed", "separate"]
Layout = Literal["grid", "line"]
Pooling = Literal["ceil", "floor"]
Start = Literal["glorot", "orthonormal"]
Single = Literal["selu", "linear"]

DENSE = 4
"""On maps of at most this many times a filter's size, a product of whole maps is faster than a convolution."""


@lru_cache
def dctl(
    shape: tuple[int, int, int],
    embedding: int | None = None,
    *,
    layers: int = 2,
    filters: int = 3,
    kernel: int = 9,
    mixing: Mixing = "mixed",
    layout: Layout = "grid",
    pooling: Pooling = "ceil",
    start: Start = "glorot",
    single: Single = "selu",
) -> Network:
    """Layers of zero-padded filters without bias and 2x2 max pooling, SELU after the first (DCTL, section 3).

    Each array of the params is a layer's filters, float32 (rows, columns, channels, filters): reshaped to
    (rows * columns * channels, filters) it is the paper's T_i.

    Args:
      shape: (h, w, c) of the images; a vector of features comes as a grid, see ``jaxclust.features``.
      embedding: ignored, so that every factory is called alike: the last maps, flattened, are the features.
      layers: 1 or 2.
      filters: of each layer.
      kernel: a filter has kernel x kernel entries on a grid, 1 x kernel on a line.
      mixing: how the second layer's filters meet the first's maps: "mixed", each reads them all (T_2 is 243 x 3), or
        "separate", the m-th filter reads the m-th map (81 x 3).
      layout: "grid", the images as they are; "line", each channel's pixels in a row.
      pooling: an odd last row or column is pooled with itself ("ceil") or dropped ("floor").
      start: Glorot-uniform filters, or random orthogonal ones of norm 1 / sqrt(2), where the penalty is least.
      single: what follows the pooling where there is one layer.

    Returns:
      The network, without a decoder; ``activations`` names the map after each layer.

    Raises:
      ValueError: an argument breaks its rule, the images have fewer pixels than a filter, or a layer's maps are so
        small that a part of its filters only ever meets the padding.
    """
    del embedding
    if layers not in (1, 2):
        raise UsageError(f"layers: must be 1 or 2, got {layers}")
    if kernel < 1:
        raise UsageError(f"kernel: must be at least 1, got {kernel}")
    size = (kernel, kernel) if layout == "grid" else (1, kernel)
    if shape[0] * shape[1] < math.prod(size):
        raise UsageError(
            f"kernel: a filter of {size[0]} x {size[1]} must not cover more than the {shape[0] * shape[1]} features, "
            f"got {shape[0]} x {shape[1]}"
        )
    # Entries that never meet a map could keep the penalty at its least while all others are 0: the trivial solution.
    x_size = shape[:2] if layout == "grid" else (1, shape[0] * shape[1])
    hint = "; layout line for a vector" if layout == "grid" else ""
    for i in range(1, layers + 1):
        if not all(map(partial(_reached, pooling=pooling), x_size, size)):
            raise UsageError(
                f"kernel: every entry of a filter of {size[0]} x {size[1]} must meet the maps of layer {i}, "
                f"which are too small, got {x_size[0]} x {x_size[1]}{hint}"
            )
        x_size = tuple(_pooled(length, pooling) for length in x_size)
    # The logarithm of a determinant needs as many rows as filters.
    most = math.prod(size) * (1 if mixing == "separate" and layers == 2 else shape[2])
    if not 1 <= filters <= most:
        raise UsageError(
            f"filters: must be from 1 to a filter's number of entries, {most}, got {filters}"
        )
    inputs = [shape[2], filters if mixing == "mixed" else 1][:layers]

    def init(key: jax.Array) -> Variables:
        keys = jax.random.split(key, layers)
        names = [f"layer{i}" for i in range(1, layers + 1)]
        shapes = [(*size, channels, filters) for channels in inputs]
        return Variables(
            {name: _filters(*each, start) for name, *each in zip(names, keys, shapes, strict=True)},
            {},
        )

    def maps(variables: Variables, images: jax.Array) -> dict[str, jax.Array]:
        x, found = scaled(images), {}
        if layout == "line":
            x = x.reshape(x.shape[0], 1, -1, x.shape[3])
        for i in range(1, layers + 1):
            weights = variables.params[f"layer{i}"]
            if i == 2 and mixing == "separate":
                weights = weights * jnp.eye(filters, dtype=jnp.float32)
            x = _layer(x, weights, pooling)
            x = found[f"layer{i}"] = (
                jax.nn.selu(x) if i == 1 and (layers == 2 or single == "selu") else x
            )
        return found

    def encode(variables: Variables, images: jax.Array, train: bool) -> tuple[jax.Array, dict]:
        del train
        return maps(variables, images)[f"layer{layers}"].reshape(
            images.shape[0], -1
        ), variables.stats

    return Network(init, encode, None, maps)


def _filters(key, shape, start):
    if start == "glorot":
        return jax.nn.initializers.glorot_uniform()(key, shape, jnp.float32)
    return jax.nn.initializers.orthogonal(math.sqrt(0.5))(key, shape, jnp.float32)


def _layer(x, filters, pooling):
    """Zero-padded filters and 2x2 max pooling of maps (n, h, w, c)."""
    n, height, width, channels = x.shape
    if height * width > DENSE * math.prod(filters.shape[:2]):
        return max_pool_any(_even(conv(x, filters), pooling))
    # A matrix for each of the four places of a pooling window, so that pooling is a maximum of four products.
    taps = filters.reshape(-1, channels, filters.shape[3])
    taps = jnp.concatenate([taps, jnp.zeros_like(taps[:1])])
    (rows, columns), entries = _entries((height, width), filters.shape[:2], pooling)
    x = x.reshape(n, -1)
    a, b, c, d = (
        x @ taps[place].transpose(0, 2, 1, 3).reshape(x.shape[1], -1) for place in entries
    )
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d)).reshape(n, rows, columns, -1)


@lru_cache
def _entries(size, kernel, pooling):
    """Size of the pooled map, and for each place of its windows which entry of a filter meets which pixel there.

    int32, (4, pixels, pooled), the number of entries where a pixel is out of reach.
    """
    taps = []
    for length, k in zip(size, kernel, strict=True):
        first = 2 * np.arange(_pooled(length, pooling))
        places = np.minimum(np.stack([first, first + 1]), length - 1)
        # (2, length, pooled)
        taps.append(np.arange(length)[:, None] - places[:, None] + (k - 1) // 2)
    row, column = taps[0][:, None, :, None, :, None], taps[1][None, :, None, :, None, :]
    inside = (row >= 0) & (row < kernel[0]) & (column >= 0) & (column < kernel[1])
    entries = np.where(inside, row * kernel[1] + column, kernel[0] * kernel[1]).astype(np.int32)
    pooled = entries.shape[4:]
    return pooled, entries.reshape(4, math.prod(size), math.prod(pooled))


def _reached(length, k, pooling):
    """Whether each of a filter's k rows meets one of ``length`` rows of a map, from a place that is not dropped."""
    before = (k - 1) // 2
    last = length if pooling == "ceil" else _even_length(length)
    return last > before and length > k - 1 - before


def _pooled(length, pooling):
    return -(-length // 2) if pooling == "ceil" else max(length // 2, 1)


def _even_length(length):
    return length - length % 2 or length


def _even(x, pooling):
    """Maps without the odd last row and column, where pooling drops them; one row stays."""
    if pooling == "ceil":
        return x
    height, width = map(_even_length, x.shape[1:3])
    return x[:, :height, :width]
