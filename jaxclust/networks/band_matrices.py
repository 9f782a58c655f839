"""Convolutions of stride 1 as products with band matrices: a CPU's way where XLA's own is slow, see ``layers``.

A strip of neighbouring columns of the output is one product: of the rows of input that its kernel meets, side by side,
with a matrix whose columns are the kernel, each shifted by one pixel. Some of the products are with zeros, and it is
still ahead, since a product of matrices is what a CPU does best.
"""

import jax.numpy as jnp
from jax import lax

# A strip's output columns times channels: wide enough for full-speed products, few enough zeros; measured.
_WIDTH = 128


def conv(window, x, kernel):
    """As ``layers.conv_native``, for a stride of 1."""
    (kh, kw), (tall, wide), o = window.kernel, window.small, kernel.shape[3]
    strips, columns = _strips(window, o)
    (top, bottom), (left, _) = window.pads
    right = (strips + 1) * columns - window.large[1] - left
    x = _pad(x, (top, bottom), (left, right))
    x = x.reshape(*x.shape[:2], strips + 1, -1)
    # A strip meets its own columns and the first ones of the next.
    x = jnp.concatenate([x[:, :, :-1], x[:, :, 1:, : (kw - 1) * kernel.shape[2]]], axis=3)
    rows = jnp.concatenate([x[:, i : i + tall] for i in range(kh)], axis=3)
    y = rows @ _band(columns, kernel)
    return y.reshape(*y.shape[:2], strips * columns, o)[:, :, :wide]


def conv_transpose(window, y, kernel):
    """As ``layers.conv_transpose_native``, for a stride of 1."""
    (kh, kw), (tall, wide), (c, o) = window.kernel, window.small, kernel.shape[2:]
    strips, columns = _strips(window, o)
    y = _pad(y, (0, 0), (0, strips * columns - wide)).reshape(y.shape[0], tall, strips, -1)
    rows = (y @ _band(columns, kernel).T).reshape(*y.shape[:3], kh, -1)
    x = sum(_pad(rows[:, :, :, i], (i, kh - 1 - i), (0, 0)) for i in range(kh))
    own, next_ = x[..., : columns * c], x[..., columns * c :]
    next_ = lax.pad(
        next_, jnp.zeros((), x.dtype), [(0, 0, 0)] * 3 + [(0, (columns - kw + 1) * c, 0)]
    )
    x = (_pad(own, (0, 0), (0, 1)) + _pad(next_, (0, 0), (1, 0))).reshape(*x.shape[:2], -1, c)
    (top, _), (left, _) = window.pads
    return x[:, top : top + window.large[0], left : left + window.large[1]]


def _strips(window, outputs):
    """How many, and of how many columns each: at least as many as a strip shares with the next."""
    wide = window.small[1]
    count = max(wide // max(window.kernel[1] - 1, -(-_WIDTH // outputs)), 1)
    return count, max(-(-wide // count), window.kernel[1] - 1)


def _band(columns, kernel):
    """The matrix of a strip, (kh * (columns + kw - 1) * c, columns * o)."""
    kh, kw, c, o = kernel.shape
    wide = columns + kw - 1
    # Written in rows of one more than they are read in, each copy of the kernel starts one place further on.
    band = jnp.pad(kernel, [(0, 0), (0, columns), (0, 0), (0, 0)])[:, None]
    band = jnp.broadcast_to(band, (kh, columns, wide + 1, c, o)).reshape(
        kh, columns * (wide + 1), c, o
    )
    band = band[:, : columns * wide].reshape(kh, columns, wide, c, o)
    return band.transpose(0, 2, 3, 1, 4).reshape(kh * wide * c, columns * o)


def _pad(x, rows, columns):
    """Zeros around axes 1 and 2 of four."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)])
