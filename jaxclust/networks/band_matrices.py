"""Convolutions of stride 1 as products with band matrices, for a CPU.

They are used where XLA's own convolutions are slow on a CPU; ``convolution`` says where that is.

A strip of neighboring columns of the output is one product. Its left factor has the rows of the
input that the kernel meets, side by side; the columns of its right factor are the kernel, each
shifted by one pixel. Some of the terms are products with zero. It is still faster, since a CPU is
at its best at products of matrices.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.networks.geometry import Geometry

# Columns times channels of a strip of the output, measured: wide enough for full-speed products,
# and narrow enough to have few zeros.
_WIDTH = 128


def conv(geometry: Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``convolution.conv_native`` for a stride of 1."""
    kh, kw = geometry.kernel
    tall, wide = geometry.small
    o = kernel.shape[3]
    strips, columns = _strips(geometry, o)
    left = geometry.pads[1][0]
    right = (strips + 1) * columns - geometry.large[1] - left
    x = _pad(x, geometry.pads[0], (left, right))
    x = x.reshape(*x.shape[:2], strips + 1, -1)
    # A strip meets its own columns and the first ones of the next strip.
    x = jnp.concatenate([x[:, :, :-1], x[:, :, 1:, : (kw - 1) * kernel.shape[2]]], axis=3)
    rows = jnp.concatenate([x[:, i : i + tall] for i in range(kh)], axis=3)
    y = rows @ _band(columns, kernel)
    return y.reshape(*y.shape[:2], strips * columns, o)[:, :, :wide]


def conv_transpose(geometry: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """``convolution.conv_transpose_native`` for a stride of 1."""
    kh, kw = geometry.kernel
    tall, wide = geometry.small
    c, o = kernel.shape[2:]
    strips, columns = _strips(geometry, o)
    y = _pad(y, (0, 0), (0, strips * columns - wide)).reshape(y.shape[0], tall, strips, -1)
    rows = (y @ _band(columns, kernel).T).reshape(*y.shape[:3], kh, -1)
    x: Any = sum(_pad(rows[:, :, :, i], (i, kh - 1 - i), (0, 0)) for i in range(kh))
    own = x[..., : columns * c]
    of_next = x[..., columns * c :]
    of_next = lax.pad(
        of_next, jnp.zeros((), x.dtype), [(0, 0, 0)] * 3 + [(0, (columns - kw + 1) * c, 0)]
    )
    x = (_pad(own, (0, 0), (0, 1)) + _pad(of_next, (0, 0), (1, 0))).reshape(*x.shape[:2], -1, c)
    top = geometry.pads[0][0]
    left = geometry.pads[1][0]
    return x[:, top : top + geometry.large[0], left : left + geometry.large[1]]


def _strips(geometry: Geometry, outputs: int) -> tuple[int, int]:
    """The number of strips, and the columns of each.

    A strip has at least as many columns as it shares with the next one.
    """
    wide = geometry.small[1]
    count = max(wide // max(geometry.kernel[1] - 1, -(-_WIDTH // outputs)), 1)
    return count, max(-(-wide // count), geometry.kernel[1] - 1)


def _band(columns: int, kernel: jax.Array) -> jax.Array:
    """The matrix of a strip, (kh * (columns + kw - 1) * c, columns * o)."""
    kh, kw, c, o = kernel.shape
    wide = columns + kw - 1
    # The copies are written in rows that are longer by one than those that are read. So each copy
    # of the kernel starts one place further on.
    band = jnp.pad(kernel, [(0, 0), (0, columns), (0, 0), (0, 0)])[:, None]
    band = jnp.broadcast_to(band, (kh, columns, wide + 1, c, o)).reshape(
        kh, columns * (wide + 1), c, o
    )
    band = band[:, : columns * wide].reshape(kh, columns, wide, c, o)
    return band.transpose(0, 2, 3, 1, 4).reshape(kh * wide * c, columns * o)


def _pad(x: jax.Array, rows: tuple[int, int], columns: tuple[int, int]) -> jax.Array:
    """Zeros around axes 1 and 2 of four."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)])
