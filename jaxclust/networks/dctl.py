"""The network of deep convolutional transform learning (DCTL): one or two layers of a few filters.

It has no decoder.
"""

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.networks.convolution import conv
from jaxclust.networks.pooling import max_pool_any
from jaxclust.ops.batches import scaled
from jaxclust.types import Arrays, Network, Shape, Variables

Mixing = Literal["mixed", "separate"]
Layout = Literal["grid", "line"]
Pooling = Literal["ceil", "floor"]
Start = Literal["glorot", "orthonormal"]
Single = Literal["selu", "linear"]

DENSE = 4
"""A product of whole maps is faster where they have at most this many times a filter's entries."""


class Architecture(NamedTuple):
    """What the network looks like.

    Attributes:
      layers: number of layers, 1 or 2.
      filters: number of filters in each layer.
      kernel: a filter has kernel x kernel entries on a grid, and 1 x kernel on a line.
      mixing: how the second layer's filters meet the first's maps. "mixed": each reads all maps
        (T_2 is 243 x 3). "separate": the m-th filter reads the m-th map (81 x 3).
      layout: "grid" takes the images as they are, "line" each channel's pixels in a row.
      pooling: an odd last row or column is pooled with itself ("ceil") or dropped ("floor").
      start: the first filters are Glorot-uniform ("glorot"), or random orthogonal ones of norm
        1 / sqrt(2), at which the penalty is smallest ("orthonormal").
      single: the activation after the pooling of a network with one layer.
    """

    layers: int = 2
    filters: int = 3
    kernel: int = 9
    mixing: Mixing = "mixed"
    layout: Layout = "grid"
    pooling: Pooling = "ceil"
    start: Start = "glorot"
    single: Single = "selu"

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of a filter."""
        return (self.kernel, self.kernel) if self.layout == "grid" else (1, self.kernel)


PAPER = Architecture()
"""The architecture of section 4."""


@lru_cache
def dctl(shape: Shape, embedding: int | None = None, architecture: Architecture = PAPER) -> Network:
    """Layers of zero-padded filters without bias and 2x2 max pooling (DCTL, section 3).

    SELU follows the first layer. Each array of the params is a layer's filters, float32
    (rows, columns, channels, filters). Reshaped to (rows * columns * channels, filters) it is the
    paper's T_i.

    Args:
      shape: (h, w, c) of the images; a vector of features comes as a grid, see
        ``jaxclust.data.features``.
      embedding: ignored; every factory is called with it, but here the features are the last maps,
        flattened.
      architecture: number, size and kind of the layers.

    Returns:
      The network, without a decoder; ``activations`` names the map after each layer.

    Raises:
      UsageError: a field of the architecture breaks its rule, the images have fewer pixels than a
        filter, or a layer's maps are so small that some entries of its filters only ever meet the
        padding.
    """
    del embedding
    _check(shape, architecture)
    layers = architecture.layers
    filters = architecture.filters
    inputs = [shape[2], filters if architecture.mixing == "mixed" else 1][:layers]

    def init(key: jax.Array) -> Variables:
        params = {}
        for i, layer_key in enumerate(jax.random.split(key, layers)):
            layer_shape = (*architecture.size, inputs[i], filters)
            params[f"layer{i + 1}"] = _start(layer_key, layer_shape, architecture.start)
        return Variables(params, {})

    def activations(variables: Variables, images: jax.Array) -> dict[str, jax.Array]:
        maps = {}
        x = scaled(images)
        if architecture.layout == "line":
            x = x.reshape(x.shape[0], 1, -1, x.shape[3])
        for i in range(1, layers + 1):
            weights = variables.params[f"layer{i}"]
            if i == 2 and architecture.mixing == "separate":
                weights = weights * jnp.eye(filters, dtype=jnp.float32)
            x = _layer(x, weights, architecture.pooling)
            if i == 1 and (layers == 2 or architecture.single == "selu"):
                x = jax.nn.selu(x)
            maps[f"layer{i}"] = x
        return maps

    def encode(variables: Variables, images: jax.Array, train: bool) -> tuple[jax.Array, Arrays]:
        del train
        last = activations(variables, images)[f"layer{layers}"]
        return last.reshape(images.shape[0], -1), variables.stats

    return Network(init, encode, None, activations)


def _check(shape: Shape, architecture: Architecture) -> None:
    """Refuses an architecture that cannot work on images of a shape.

    Raises:
      UsageError: see ``dctl``.
    """
    layers = architecture.layers
    if layers not in (1, 2):
        raise UsageError(f"layers: must be 1 or 2, got {layers}")
    if architecture.kernel < 1:
        raise UsageError(f"kernel: must be at least 1, got {architecture.kernel}")
    rows, columns = architecture.size
    pixels = shape[0] * shape[1]
    if pixels < rows * columns:
        rule = f"a filter of {rows} x {columns} must not cover more than the {pixels} features"
        raise UsageError(f"kernel: {rule}, got {shape[0]} x {shape[1]}")
    # If an entry never met a map, it could keep the penalty at its smallest value while all others
    # are 0: the trivial solution.
    grid = architecture.layout == "grid"
    height, width = shape[:2] if grid else (1, pixels)
    hint = "; layout line for a vector" if grid else ""
    pooling = architecture.pooling
    for i in range(1, layers + 1):
        if not (_reached(height, rows, pooling) and _reached(width, columns, pooling)):
            rule = f"every entry of a filter of {rows} x {columns} must meet the maps of layer {i}"
            got = f"which are too small, got {height} x {width}"
            raise UsageError(f"kernel: {rule}, {got}{hint}")
        height = _pooled(height, pooling)
        width = _pooled(width, pooling)
    # The logarithm of a determinant needs at least as many rows as filters.
    channels = 1 if architecture.mixing == "separate" and layers == 2 else shape[2]
    most = rows * columns * channels
    if not 1 <= architecture.filters <= most:
        rule = f"filters: must be from 1 to a filter's number of entries, {most}"
        raise UsageError(f"{rule}, got {architecture.filters}")


def _start(key: jax.Array, shape: tuple[int, ...], start: Start) -> jax.Array:
    if start == "glorot":
        return jax.nn.initializers.glorot_uniform()(key, shape, jnp.float32)
    return jax.nn.initializers.orthogonal(math.sqrt(0.5))(key, shape, jnp.float32)


def _layer(x: jax.Array, filters: jax.Array, pooling: Pooling) -> jax.Array:
    """Zero-padded filters and 2x2 max pooling of maps (n, h, w, c)."""
    n, height, width, channels = x.shape
    if height * width > DENSE * math.prod(filters.shape[:2]):
        return max_pool_any(_even(conv(x, filters), pooling))
    # There is a matrix for each of the four places of a pooling window, so that pooling is the
    # maximum of four products.
    taps = filters.reshape(-1, channels, filters.shape[3])
    taps = jnp.concatenate([taps, jnp.zeros_like(taps[:1])])
    (rows, columns), entries = _entries((height, width), filters.shape[:2], pooling)
    x = x.reshape(n, -1)
    a, b, c, d = (
        x @ taps[place].transpose(0, 2, 1, 3).reshape(x.shape[1], -1) for place in entries
    )
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d)).reshape(n, rows, columns, -1)


@lru_cache
def _entries(
    size: tuple[int, int], kernel: tuple[int, int], pooling: Pooling
) -> tuple[tuple[int, int], np.ndarray]:
    """Which entry of a filter meets which pixel, for each place of a pooling window.

    Returns:
      (rows, columns) of the pooled map; and entries, int32, (4, pixels, pooled pixels), with the
      number of entries where a pixel is out of reach.
    """
    taps = []
    for length, k in zip(size, kernel, strict=True):
        first = 2 * np.arange(_pooled(length, pooling))
        places = np.minimum(np.stack([first, first + 1]), length - 1)
        # The shape is (2, length, pooled).
        taps.append(np.arange(length)[:, None] - places[:, None] + (k - 1) // 2)
    row = taps[0][:, None, :, None, :, None]
    column = taps[1][None, :, None, :, None, :]
    inside = (row >= 0) & (row < kernel[0]) & (column >= 0) & (column < kernel[1])
    entries = np.where(inside, row * kernel[1] + column, kernel[0] * kernel[1]).astype(np.int32)
    rows, columns = entries.shape[4:]
    return (rows, columns), entries.reshape(4, math.prod(size), rows * columns)


def _reached(length: int, k: int, pooling: Pooling) -> bool:
    """Whether each of a filter's k rows meets a map's ``length`` rows at a place that is pooled."""
    before = (k - 1) // 2
    last = length if pooling == "ceil" else _even_length(length)
    return last > before and length > k - 1 - before


def _pooled(length: int, pooling: Pooling) -> int:
    return -(-length // 2) if pooling == "ceil" else max(length // 2, 1)


def _even_length(length: int) -> int:
    return length - length % 2 or length


def _even(x: jax.Array, pooling: Pooling) -> jax.Array:
    """Maps without an odd last row and column where the pooling drops them; a single row stays."""
    if pooling == "ceil":
        return x
    height, width = map(_even_length, x.shape[1:3])
    return x[:, :height, :width]
