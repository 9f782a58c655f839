"""Convolutions that are fast on every device.

XLA's CPU backend has one fast path for convolutions, which collects patches in the cache and stores
none of them. It takes the layouts NHWC and HWIO, no dilated input, and more than 16 channels on one
side. XLA's own gradients of strided convolutions leave that path: inside loops they are slower by a
factor of fifty, and with kernels batched over seeds by a factor of four. So on a CPU the gradients
are written here as convolutions that stay on the path, and a batch of kernels is a loop. Layers of
stride 1 with few channels, where the path is closed or slow, are products with band matrices
(``band_matrices``). On every other device the native operations are used.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

from jaxclust.networks import band_matrices
from jaxclust.networks.geometry import Geometry, Padding, geometry_of

# Bytes of the small map in one turn of a kernel gradient's loop. Measured; the time hardly changes
# within a factor of two.
_BLOCK_BYTES = 160 * 1024

Pads = Sequence[tuple[int, int]]


def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int = 1,
    padding: Padding = "SAME",
) -> jax.Array:
    """Convolves images with a kernel, as ``lax.conv_general_dilated`` does.

    Args:
      x: float32, (n, h, w, c).
      kernel: float32, (kh, kw, c, o).
      bias: float32, (o,), or None.
      stride: step of the kernel in both directions, in pixels.
      padding: "SAME" returns ceil(h / stride) rows, "VALID" (h - kh) // stride + 1.

    Returns:
      float32, (n, h', w', o).
    """
    geometry = geometry_of(x.shape[1:3], kernel.shape[:2], stride, padding)
    y: Any = _conv(geometry, x, kernel)
    return y if bias is None else y + bias


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int = 1,
    padding: Padding = "SAME",
) -> jax.Array:
    """Transposed convolution: the gradient of ``conv`` with respect to its input.

    It is ``lax.conv_transpose(..., transpose_kernel=True)``.

    Args:
      x: float32, (n, h, w, c).
      kernel: float32, (kh, kw, o, c), as in the convolution from o to c channels that is
        transposed.
      bias: float32, (o,), or None.
      stride: pixels of the output for each pixel of the input, in both directions.
      padding: "SAME" returns h * stride rows, "VALID" h * stride + max(kh - stride, 0).

    Returns:
      float32, (n, h', w', o).
    """
    extra = [0 if padding == "SAME" else max(k - stride, 0) for k in kernel.shape[:2]]
    large = [size * stride + e for size, e in zip(x.shape[1:3], extra, strict=True)]
    geometry = geometry_of(large, kernel.shape[:2], stride, padding)
    y: Any = _conv_transpose(geometry, x, kernel)
    return y if bias is None else y + bias


# The next three functions are the derivatives of ``sum(conv(x, kernel) * y)``, which is linear in
# each of the three arrays, with respect to y, x and the kernel. The gradients of each are the other
# two. Only the arguments are kept for the gradients, so that the choice by platform, which is made
# inside, keeps nothing of the branch that is not taken.


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(geometry: Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _by_platform(geometry, conv_cpu, conv_native, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv_transpose(geometry: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    return _by_platform(geometry, conv_transpose_cpu, conv_transpose_native, y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(geometry: Geometry, x: jax.Array, y: jax.Array) -> jax.Array:
    return _by_platform(geometry, kernel_gradient_cpu, kernel_gradient_native, x, y)


def _by_platform(
    geometry: Geometry,
    cpu: Callable[..., jax.Array],
    native: Callable[..., jax.Array],
    *arrays: jax.Array,
) -> jax.Array:
    # XLA would make one grouped convolution of a batch over kernels. On a CPU it is four times as
    # slow as one convolution after the other.
    return lax.platform_dependent(
        *arrays, cpu=sequential_vmap(partial(cpu, geometry)), default=partial(native, geometry)
    )


_conv.defvjp(
    lambda geometry, x, kernel: (_conv(geometry, x, kernel), (x, kernel)),
    lambda geometry, saved, g: (
        _conv_transpose(geometry, g, saved[1]),
        _kernel_gradient(geometry, saved[0], g),
    ),
)
_conv_transpose.defvjp(
    lambda geometry, y, kernel: (_conv_transpose(geometry, y, kernel), (y, kernel)),
    lambda geometry, saved, g: (
        _conv(geometry, g, saved[1]),
        _kernel_gradient(geometry, g, saved[0]),
    ),
)
_kernel_gradient.defvjp(
    lambda geometry, x, y: (_kernel_gradient(geometry, x, y), (x, y)),
    lambda geometry, saved, g: (
        _conv_transpose(geometry, saved[1], g),
        _conv(geometry, saved[0], g),
    ),
)


def conv_cpu(geometry: Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``conv_native`` for a CPU; one matrix product where the kernel covers the map."""
    if _covered(geometry):
        return (x.reshape(x.shape[0], -1) @ _matrix(geometry, kernel)).reshape(
            x.shape[0], *geometry.small, kernel.shape[3]
        )
    if geometry.stride > 1:
        return conv_native(geometry, x, kernel)
    if _few_channels(kernel):
        return band_matrices.conv(geometry, x, kernel)
    return _padded(x, kernel, geometry.pads)


def conv_native(geometry: Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of x, (n, h, w, c), as XLA has it."""
    return _lax_conv(x, kernel, geometry.pads, stride=geometry.stride)


def conv_transpose_native(geometry: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The gradient of ``conv_native`` with respect to x, as XLA has it; y is (n, h', w', o)."""
    x = jax.ShapeDtypeStruct((y.shape[0], *geometry.large, kernel.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: conv_native(geometry, x, kernel), x)(y)[0]


def kernel_gradient_native(geometry: Geometry, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of ``conv_native`` with respect to the kernel, as XLA has it."""
    kernel = jax.ShapeDtypeStruct((*geometry.kernel, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(lambda kernel: conv_native(geometry, x, kernel), kernel)(y)[0]


def conv_transpose_cpu(geometry: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """``conv_transpose_native`` for a CPU.

    In general it is a forward convolution of stride 1 for each phase of the stride. The rows of the
    output with one remainder modulo the stride meet every s-th row of the kernel and no other.
    """
    if _covered(geometry):
        x = y.reshape(y.shape[0], -1) @ _matrix(geometry, kernel).T
        return x.reshape(y.shape[0], *geometry.large, kernel.shape[2])
    if geometry.kernel[0] * geometry.kernel[1] * kernel.shape[2] <= kernel.shape[3]:
        return _product_then_add(geometry, y, kernel)
    if geometry.stride == 1 and (_few_channels(kernel) or kernel.shape[2] <= 4):
        return band_matrices.conv_transpose(geometry, y, kernel)
    if geometry.stride == 1 and not any(map(any, geometry.pads)):
        return _rows_then_add(geometry, y, kernel)
    s = geometry.stride
    kernel = jnp.pad(kernel, [(0, max(s - k, 0)) for k in geometry.kernel] + [(0, 0), (0, 0)])
    rows, columns = (_phases(geometry, axis) for axis in (0, 1))
    phases = [[_stride_one(y, kernel[r::s, q::s], (i, j)) for q, j in columns] for r, i in rows]
    x = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    x = x.reshape(x.shape[0], x.shape[1] * s, x.shape[3] * s, x.shape[5])
    return x[:, : geometry.large[0], : geometry.large[1]]


def kernel_gradient_cpu(geometry: Geometry, x: jax.Array, y: jax.Array) -> jax.Array:
    """``kernel_gradient_native`` for a CPU.

    It is a convolution of x with y that sums over the images as if they were channels.
    """
    if _covered(geometry):
        kernel = jax.ShapeDtypeStruct((*geometry.kernel, x.shape[3], y.shape[3]), x.dtype)
        matrix = x.reshape(x.shape[0], -1).T @ y.reshape(y.shape[0], -1)
        return jax.linear_transpose(partial(_matrix, geometry), kernel)(matrix)[0]
    # XLA reads all of y for every few rows of the product. In blocks of images y stays in the
    # cache.
    block = 2 ** int(math.log2(max(_BLOCK_BYTES / (4 * math.prod(y.shape[1:])), 1)))
    blocks = -(-x.shape[0] // block)

    def split(a: jax.Array) -> jax.Array:
        a = jnp.pad(a, [(0, blocks * block - a.shape[0]), (0, 0), (0, 0), (0, 0)])
        return a.reshape(blocks, block, *a.shape[1:])

    def add(kernel, images):
        # The axes are transposed here, since dimension numbers that say the same would leave the
        # fast path.
        x = images[0].transpose(3, 1, 2, 0)
        y = images[1].transpose(1, 2, 0, 3)
        taps = _lax_conv(x, y, geometry.pads, dilation=geometry.stride)
        # Rows of the large map that the stride never reaches give further rows of the kernel.
        return kernel + taps[:, : geometry.kernel[0], : geometry.kernel[1]], None

    kernel = jnp.zeros((x.shape[3], *geometry.kernel, y.shape[3]), x.dtype)
    return lax.scan(add, kernel, (split(x), split(y)))[0].transpose(1, 2, 0, 3)


def _covered(geometry: Geometry) -> bool:
    """Whether the kernel is as large as the map.

    A product of whole maps then has no more terms than a convolution, and XLA's fast path does not
    take a kernel that is wider than the map.
    """
    return math.prod(geometry.large) <= math.prod(geometry.kernel)


def _few_channels(kernel: jax.Array) -> bool:
    """Whether a kernel has too few channels for XLA's fast path."""
    return max(kernel.shape[2:]) <= 16


def _matrix(geometry: Geometry, kernel: jax.Array) -> jax.Array:
    """The convolution as a matrix, (h * w * c, h' * w' * o).

    Each of its columns is the kernel, shifted and cropped.
    """
    shifts = [
        [
            (i * geometry.stride - before, size - k - i * geometry.stride + before, 0)
            for i in range(small)
        ]
        for (before, _), size, k, small in zip(
            geometry.pads, geometry.large, geometry.kernel, geometry.small, strict=True
        )
    ]
    zero = jnp.zeros((), kernel.dtype)
    unpadded = (0, 0, 0)
    columns = [
        lax.pad(kernel, zero, [row, column, unpadded, unpadded])
        for row in shifts[0]
        for column in shifts[1]
    ]
    return jnp.stack(columns, axis=3).reshape(math.prod(geometry.large) * kernel.shape[2], -1)


def _phases(geometry: Geometry, axis: int) -> list[tuple[int, tuple[int, int]]]:
    """For each phase of the output's rows, its first row of the kernel and the small map's pads."""
    s = geometry.stride
    size = max(geometry.kernel[axis], s)
    count = -(-geometry.large[axis] // s)
    phases = []
    for phase in range(s):
        start, first = divmod(phase + geometry.pads[axis][0], s)
        taps = -(-(size - first) // s)
        phases.append((first, (taps - 1 - start, count + start - geometry.small[axis])))
    return phases


def _stride_one(y: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
    """A convolution of stride 1 with the transposed kernel."""
    # Without the barrier XLA would fold the transpose into the convolution's dimension numbers.
    return _padded(y, lax.optimization_barrier(kernel[::-1, ::-1].swapaxes(2, 3)), pads)


def _padded(x: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
    """A convolution of stride 1."""
    if any(map(any, pads)):
        return _lax_conv(x, kernel, pads)
    # XLA's convolution is up to three times slower without any padding. So it gets one row, which
    # is dropped.
    return _lax_conv(x, kernel, ((0, 1), (0, 0)))[:, :-1]


def _rows_then_add(geometry: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """``conv_transpose_cpu`` for stride 1 and no padding: the sum over the rows of the kernel.

    A whole kernel would also multiply the zeros above and below the small map, and its few channels
    leave part of the vector units idle.
    """
    kh, kw = geometry.kernel
    c = kernel.shape[2]
    # ``_stride_one`` says what the barrier is for.
    rows = lax.optimization_barrier(
        kernel[:, ::-1].transpose(1, 3, 0, 2).reshape(1, kw, -1, kh * c)
    )
    cells = _padded(y, rows, ((0, 0), (kw - 1, kw - 1))).reshape(
        -1, geometry.small[0], geometry.large[1], kh, c
    )
    return _sum(_pad(cells[:, :, :, i], ((i, kh - 1 - i), (0, 0))) for i in range(kh))


def _product_then_add(geometry: Geometry, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """``conv_transpose_cpu`` where a product with the kernel has no more columns than y.

    This is so where the output has few channels.
    """
    s = geometry.stride
    kh, kw = geometry.kernel
    c = kernel.shape[2]
    th = -(-kh // s)
    tw = -(-kw // s)
    n, h, w, o = y.shape
    kernel = jnp.pad(kernel, [(0, th * s - kh), (0, tw * s - kw), (0, 0), (0, 0)])
    products = (y.reshape(-1, o) @ kernel.reshape(-1, o).T).reshape(n, h, w, th, s, tw, s * c)
    cells = _sum(
        _pad(
            products[:, :, :, i, :, j].reshape(n, h, w, s * s * c),
            ((i, th - 1 - i), (j, tw - 1 - j)),
        )
        for i in range(th)
        for j in range(tw)
    )
    h, w = cells.shape[1:3]
    x = cells.reshape(n, h, w, s, s, c).swapaxes(2, 3).reshape(n, h * s, w * s, c)
    pads = zip(geometry.pads, geometry.large, x.shape[1:3], strict=True)
    return _pad(x, [(-before, large + before - size) for (before, _), large, size in pads])


def _lax_conv(
    x: jax.Array, kernel: jax.Array, pads: Pads, *, stride: int = 1, dilation: int = 1
) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride,) * 2,
        pads,
        rhs_dilation=(dilation,) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _pad(x: jax.Array, pads: Pads) -> jax.Array:
    """Pads axes 1 and 2 of (n, h, w, c) with zeros, or crops them where a pad is negative."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*p, 0) for p in pads), (0, 0, 0)])


def _sum(arrays: Iterable[jax.Array]) -> jax.Array:
    total: Any = sum(arrays)
    return total
