"""Convolutions against lax: values and gradients, on both paths.

``test_convolution_programs`` has batches of kernels, loops and the compiled programs.
"""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from convolution_reference import assert_close, lax_conv, lax_conv_transpose, normal
from jaxclust.networks import convolution
from jaxclust.networks.geometry import geometry_of

# (height, width), kernel, channels in, channels out, stride, padding. The large map is the
# convolution's input. Each case is compiled on its own, so each is there for a reason.
CASES = [
    # This is DCEC's first layer. Its transpose is a product before an overlap-add.
    ((28, 28), (5, 5), 1, 32, 2, "SAME"),
    ((14, 14), (5, 5), 3, 17, 2, "SAME"),
    # There are more phase rows than small rows.
    ((7, 7), (3, 3), 4, 18, 2, "VALID"),
    # The stride leaves the last row out.
    ((8, 7), (3, 3), 3, 4, 2, "VALID"),
    ((9, 6), (5, 4), 2, 3, 1, "SAME"),
    ((11, 12), (9, 9), 2, 3, 1, "VALID"),
    # The kernel is larger than the map.
    ((5, 6), (9, 7), 2, 3, 1, "SAME"),
    ((10, 11), (4, 5), 3, 2, 3, "SAME"),
    ((12, 10), (7, 3), 1, 50, 3, "VALID"),
    ((6, 7), (1, 1), 3, 20, 1, "SAME"),
    # There are several strips of a band matrix, and the last one is short.
    ((6, 45), (3, 4), 2, 16, 1, "VALID"),
    ((7, 33), (5, 5), 3, 20, 1, "SAME"),
    # There are neither few channels nor any padding.
    ((9, 10), (3, 5), 18, 17, 1, "VALID"),
    # The stride is longer than the kernel.
    ((7, 8), (1, 2), 3, 4, 3, "SAME"),
    ((7, 8), (2, 1), 1, 9, 3, "VALID"),
]


def value_and_gradients(f, x, kernel, bias):
    y, pull = jax.vjp(f, x, kernel, bias)
    return y, pull(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))


def down_and_up(conv, conv_transpose, how, x, kernel, y):
    """Values and gradients of a convolution of x and of the transposed convolution of y."""
    o = y.shape[-1]
    c = x.shape[-1]
    down = value_and_gradients(
        lambda x, k, b: conv(x, k, b, **dict(how)), x, kernel, jnp.arange(o, dtype=jnp.float32)
    )
    up = value_and_gradients(
        lambda y, k, b: conv_transpose(y, k, b, **dict(how)),
        y,
        kernel,
        jnp.arange(c, dtype=jnp.float32),
    )
    return down, up


compiled = jax.jit(
    partial(down_and_up, convolution.conv, convolution.conv_transpose), static_argnums=0
)
# The reference is compiled in less time without LLVM's optimization.
reference = jax.jit(
    partial(down_and_up, lax_conv, lax_conv_transpose),
    static_argnums=0,
    compiler_options={"xla_backend_optimization_level": 0},
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_are_those_of_lax(case):
    size, kernel, c, o, stride, padding = case
    arrays = normal(0, 2, *size, c), normal(1, *kernel, c, o), normal(2, 2, *size, o)
    how = (("stride", stride), ("padding", padding))
    assert_close(compiled(how, *arrays), reference(how, *arrays))


@pytest.mark.parametrize("case", CASES[::4], ids=str)
def test_both_paths_agree(case):
    size, kernel, c, o, stride, padding = case
    geometry = geometry_of(size, kernel, stride, padding)
    x = normal(0, 2, *size, c)
    k = normal(1, *kernel, c, o)
    y = normal(2, 2, *geometry.small, o)

    @jax.jit
    def both(x, k, y):
        cpu = (
            convolution.conv_transpose_cpu(geometry, y, k),
            convolution.kernel_gradient_cpu(geometry, x, y),
        )
        native = (
            convolution.conv_transpose_native(geometry, y, k),
            convolution.kernel_gradient_native(geometry, x, y),
        )
        return cpu, native

    cpu, native = both(x, k, y)
    assert_close(cpu, native)
