"""TODO"""

import math
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

from jaxclust.networks import band_matrices

Padding = Literal["SAME", "VALID"]

# Of the small map in one turn of a kernel gradient's loop; measured, and flat within a factor of two.
_BLOCK_BYTES = 160 * 1024


class _Window(NamedTuple):
    """How a kernel moves over a large map (a convolution's input) and meets a small one (its output); static."""

    stride: int
    kernel: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]  # zeros around the large map, as lax takes them
    large: tuple[int, int]
    small: tuple[int, int]


def conv(x, kernel, bias=None, *, stride: int = 1, padding: Padding = "SAME") -> jax.Array:
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
    window = _window(x.shape[1:3], kernel.shape[:2], stride, padding)
    y = _conv(window, x, kernel)
    return y if bias is None else y + bias


def conv_transpose(
    x, kernel, bias=None, *, stride: int = 1, padding: Padding = "SAME"
) -> jax.Array:
    """Transposed convolution: the input gradient of ``conv``, as ``lax.conv_transpose(..., transpose_kernel=True)``.

    Args:
      x: float32, (n, h, w, c).
      kernel: float32, (kh, kw, o, c): the kernel of the convolution from o to c channels that this one transposes.
      bias: float32, (o,), or None.
      stride: pixels of the output for each of the input, in both directions.
      padding: "SAME" returns h * stride rows, "VALID" h * stride + max(kh - stride, 0).

    Returns:
      float32, (n, h', w', o).
    """
    extra = [0 if padding == "SAME" else max(k - stride, 0) for k in kernel.shape[:2]]
    large = tuple(size * stride + e for size, e in zip(x.shape[1:3], extra, strict=True))
    window = _window(large, kernel.shape[:2], stride, padding)
    y = _conv_transpose(window, x, kernel)
    return y if bias is None else y + bias


def _window(large, kernel, stride, padding) -> _Window:
    pads = tuple(lax.padtype_to_pads(large, kernel, (stride, stride), padding))
    small = tuple(
        (n + sum(p) - k) // stride + 1 for n, p, k in zip(large, pads, kernel, strict=True)
    )
    return _Window(stride, tuple(kernel), pads, tuple(large), small)


# The three faces of one bilinear map: each is linear in both arguments, and its gradients are the other two. What is
# kept for them is the arguments, so that the choice by platform, inside, leaves nothing of the branch not taken.


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(window, x, kernel):
    return _by_platform(window, conv_cpu, conv_native, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv_transpose(window, y, kernel):
    return _by_platform(window, conv_transpose_cpu, conv_transpose_native, y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(window, x, y):
    return _by_platform(window, kernel_gradient_cpu, kernel_gradient_native, x, y)


def _by_platform(window, cpu, native, *arrays):
    # A convolution batched over kernels becomes a grouped one, four times as slow on a CPU as one after the other.
    return lax.platform_dependent(
        *arrays, cpu=sequential_vmap(partial(cpu, window)), default=partial(native, window)
    )


_conv.defvjp(
    lambda window, x, kernel: (_conv(window, x, kernel), (x, kernel)),
    lambda window, saved, g: (
        _conv_transpose(window, g, saved[1]),
        _kernel_gradient(window, saved[0], g),
    ),
)
_conv_transpose.defvjp(
    lambda window, y, kernel: (_conv_transpose(window, y, kernel), (y, kernel)),
    lambda window, saved, g: (_conv(window, g, saved[1]), _kernel_gradient(window, g, saved[0])),
)
_kernel_gradient.defvjp(
    lambda window, x, y: (_kernel_gradient(window, x, y), (x, y)),
    lambda window, saved, g: (_conv_transpose(window, saved[1], g), _conv(window, saved[0], g)),
)


def conv_cpu(window, x, kernel):
    """As ``conv_native``; one matrix product where the kernel covers the map."""
    if _covered(window):
        return (x.reshape(x.shape[0], -1) @ _matrix(window, kernel)).reshape(
            x.shape[0], *window.small, kernel.shape[3]
        )
    if window.stride == 1 and _few_channels(kernel):
        return band_matrices.conv(window, x, kernel)
    return _padded(x, kernel, window.pads) if window.stride == 1 else conv_native(window, x, kernel)


def conv_native(window, x, kernel):
    return _lax_conv(x, kernel, window.pads, stride=window.stride)


def conv_transpose_native(window, y, kernel):
    x = jax.ShapeDtypeStruct((y.shape[0], *window.large, kernel.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: conv_native(window, x, kernel), x)(y)[0]


def kernel_gradient_native(window, x, y):
    kernel = jax.ShapeDtypeStruct((*window.kernel, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(lambda kernel: conv_native(window, x, kernel), kernel)(y)[0]


def conv_transpose_cpu(window, y, kernel):
    """As ``conv_transpose_native``, in forward convolutions of stride 1, one for each phase of the stride."""
    if _covered(window):
        x = y.reshape(y.shape[0], -1) @ _matrix(window, kernel).T
        return x.reshape(y.shape[0], *window.large, kernel.shape[2])
    if window.kernel[0] * window.kernel[1] * kernel.shape[2] <= kernel.shape[3]:
        return _product_then_add(window, y, kernel)
    if window.stride == 1 and (_few_channels(kernel) or kernel.shape[2] <= 4):
        return band_matrices.conv_transpose(window, y, kernel)
    if window.stride == 1 and not any(map(any, window.pads)):
        return _rows_then_add(window, y, kernel)
    s = window.stride
    # Output rows of one remainder modulo the stride meet every s-th row of the kernel and no other.
    kernel = jnp.pad(kernel, [(0, max(s - k, 0)) for k in window.kernel] + [(0, 0), (0, 0)])
    rows, columns = (_phases(window, axis) for axis in (0, 1))
    phases = [[_stride_one(y, kernel[r::s, q::s], i, j) for q, j in columns] for r, i in rows]
    x = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    x = x.reshape(x.shape[0], x.shape[1] * s, x.shape[3] * s, x.shape[5])
    return x[:, : window.large[0], : window.large[1]]


def _covered(window):
    """Whether the kernel is as large as the map: a product of whole maps then has no more terms than a convolution.

    XLA's fast path does not take a kernel wider than the map.
    """
    return math.prod(window.large) <= math.prod(window.kernel)


def _few_channels(kernel):
    """Whether XLA's fast path does not take a kernel for want of channels."""
    return max(kernel.shape[2:]) <= 16


def _matrix(window, kernel):
    """The convolution as a matrix, (h * w * c, h' * w' * o): each of its columns is the kernel, shifted and cropped."""
    shifts = [
        [
            (i * window.stride - before, size - k - i * window.stride + before, 0)
            for i in range(small)
        ]
        for (before, _), size, k, small in zip(
            window.pads, window.large, window.kernel, window.small, strict=True
        )
    ]
    zero, still = jnp.zeros((), kernel.dtype), (0, 0, 0)
    columns = [
        lax.pad(kernel, zero, [row, column, still, still])
        for row in shifts[0]
        for column in shifts[1]
    ]
    return jnp.stack(columns, axis=3).reshape(math.prod(window.large) * kernel.shape[2], -1)


def _phases(window, axis):
    """For each phase of the output's rows: its first row of the kernel, and the padding of the small map."""
    s, size, small = window.stride, max(window.kernel[axis], window.stride), window.small[axis]
    count = -(-window.large[axis] // s)
    phases = []
    for phase in range(s):
        start, first = divmod(phase + window.pads[axis][0], s)
        taps = -(-(size - first) // s)
        phases.append((first, (taps - 1 - start, count + start - small)))
    return phases


def _stride_one(y, kernel, *pads):
    # XLA may not fold this transpose into the convolution's dimension numbers, as it would without the barrier.
    return _padded(y, lax.optimization_barrier(kernel[::-1, ::-1].swapaxes(2, 3)), pads)


def _padded(x, kernel, pads):
    """A convolution of stride 1. XLA's is up to three times slower without any padding, so it gets a row, to drop."""
    if any(map(any, pads)):
        return _lax_conv(x, kernel, pads)
    return _lax_conv(x, kernel, ((0, 1), (0, 0)))[:, :-1]


def _rows_then_add(window, y, kernel):
    """As ``conv_transpose_cpu`` for stride 1 and no padding: each row of the kernel alone, then their sum.

    A whole kernel would also multiply the zeros above and below the small map, and its few channels leave part of the
    vector units idle.
    """
    (kh, kw), c = window.kernel, kernel.shape[2]
    # For the barrier see ``_stride_one``.
    rows = lax.optimization_barrier(
        kernel[:, ::-1].transpose(1, 3, 0, 2).reshape(1, kw, -1, kh * c)
    )
    cells = _padded(y, rows, ((0, 0), (kw - 1, kw - 1))).reshape(
        -1, window.small[0], window.large[1], kh, c
    )
    return sum(_pad(cells[:, :, :, i], ((i, kh - 1 - i), (0, 0))) for i in range(kh))


def _product_then_add(window, y, kernel):
    """As ``conv_transpose_cpu`` where the output's channels are so few that a product has no more columns than y."""
    s, (kh, kw), c = window.stride, window.kernel, kernel.shape[2]
    th, tw = -(-kh // s), -(-kw // s)
    n, h, w, o = y.shape
    kernel = jnp.pad(kernel, [(0, th * s - kh), (0, tw * s - kw), (0, 0), (0, 0)])
    products = (y.reshape(-1, o) @ kernel.reshape(-1, o).T).reshape(n, h, w, th, s, tw, s * c)
    cells = sum(
        _pad(
            products[:, :, :, i, :, j].reshape(n, h, w, s * s * c),
            ((i, th - 1 - i), (j, tw - 1 - j)),
        )
        for i in range(th)
        for j in range(tw)
    )
    h, w = cells.shape[1:3]
    x = cells.reshape(n, h, w, s, s, c).swapaxes(2, 3).reshape(n, h * s, w * s, c)
    pads = zip(window.pads, window.large, x.shape[1:3], strict=True)
    return _pad(x, [(-before, large + before - size) for (before, _), large, size in pads])


def kernel_gradient_cpu(window, x, y):
    """As ``kernel_gradient_native``: a convolution of x with y, summed over images as if they were channels."""
    if _covered(window):
        kernel = jax.ShapeDtypeStruct((*window.kernel, x.shape[3], y.shape[3]), x.dtype)
        matrix = x.reshape(x.shape[0], -1).T @ y.reshape(y.shape[0], -1)
        return jax.linear_transpose(partial(_matrix, window), kernel)(matrix)[0]
    # XLA reads all of y for every few rows of the product: by blocks of images it stays in the cache.
    block = 2 ** int(math.log2(max(_BLOCK_BYTES / (4 * math.prod(y.shape[1:])), 1)))
    blocks = -(-x.shape[0] // block)

    def split(a):
        a = jnp.pad(a, [(0, blocks * block - a.shape[0]), (0, 0), (0, 0), (0, 0)])
        return a.reshape(blocks, block, *a.shape[1:])

    def add(kernel, images):
        # Transposed by hand: dimension numbers that say the same would leave the fast path.
        x, y = images[0].transpose(3, 1, 2, 0), images[1].transpose(1, 2, 0, 3)
        taps = _lax_conv(x, y, window.pads, dilation=window.stride)
        # Rows of the large map that the stride never reaches come out as further rows of the kernel.
        return kernel + taps[:, : window.kernel[0], : window.kernel[1]], None

    kernel = jnp.zeros((x.shape[3], *window.kernel, y.shape[3]), x.dtype)
    return lax.scan(add, kernel, (split(x), split(y)))[0].transpose(1, 2, 0, 3)


def _lax_conv(x, kernel, pads, *, stride=1, dilation=1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride,) * 2,
        pads,
        rhs_dilation=(dilation,) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _pad(x, pads):
    """Pads axes 1 and 2 of (n, h, w, c) with zeros, or crops them where negative."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*p, 0) for p in pads), (0, 0, 0)])
