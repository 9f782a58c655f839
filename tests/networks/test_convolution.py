"""Convolutions against lax: values and gradients, both paths, alone, under vmap, in a scan."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxclust.networks import convolution, layers
from jaxclust.networks.geometry import Window, geometry_of

pytestmark = pytest.mark.optimized

# (height, width), kernel, channels in, channels out, stride, padding. Each case is a compilation of
# its own and was picked for a reason. The large map is the convolution's input.
CASES = [
    # DCEC's first layer; its transpose is a product before an overlap-add.
    ((28, 28), (5, 5), 1, 32, 2, "SAME"),
    ((14, 14), (5, 5), 3, 17, 2, "SAME"),
    ((7, 7), (3, 3), 4, 18, 2, "VALID"),  # more phase rows than small rows
    ((8, 7), (3, 3), 3, 4, 2, "VALID"),  # the stride leaves the last row out
    ((9, 6), (5, 4), 2, 3, 1, "SAME"),
    ((11, 12), (9, 9), 2, 3, 1, "VALID"),
    ((5, 6), (9, 7), 2, 3, 1, "SAME"),  # a kernel larger than the map
    ((10, 11), (4, 5), 3, 2, 3, "SAME"),
    ((12, 10), (7, 3), 1, 50, 3, "VALID"),
    ((6, 7), (1, 1), 3, 20, 1, "SAME"),
    ((6, 45), (3, 4), 2, 16, 1, "VALID"),  # several strips of a band matrix, the last one short
    ((7, 33), (5, 5), 3, 20, 1, "SAME"),
    ((9, 10), (3, 5), 18, 17, 1, "VALID"),  # neither few channels nor any padding
    ((7, 8), (1, 2), 3, 4, 3, "SAME"),  # a stride longer than the kernel
    ((7, 8), (2, 1), 1, 9, 3, "VALID"),
]
LAX = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}


def lax_conv(x, kernel, bias, stride, padding):
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, **LAX) + bias


def lax_conv_transpose(x, kernel, bias, stride, padding):
    return (
        lax.conv_transpose(x, kernel, (stride, stride), padding, transpose_kernel=True, **LAX)
        + bias
    )


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def value_and_gradients(f, x, kernel, bias):
    y, pull = jax.vjp(f, x, kernel, bias)
    return y, pull(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))


def assert_close(actual, expected, tolerance=1e-4):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        assert a.dtype == e.dtype
        np.testing.assert_allclose(
            a, e, rtol=tolerance, atol=tolerance * max(1.0, float(jnp.abs(e).max()))
        )


@partial(jax.jit, static_argnums=(0, 1, 2))
def down_and_up(conv, conv_transpose, how, x, kernel, y):
    """Values and gradients of a convolution of x and a transposed one of y, in one compilation."""
    how = dict(how)
    o, c = y.shape[-1], x.shape[-1]
    down = value_and_gradients(
        lambda x, k, b: conv(x, k, b, **how), x, kernel, jnp.arange(o, dtype=jnp.float32)
    )
    up = value_and_gradients(
        lambda y, k, b: conv_transpose(y, k, b, **how), y, kernel, jnp.arange(c, dtype=jnp.float32)
    )
    return down, up


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_are_those_of_lax(case):
    size, kernel, c, o, stride, padding = case
    arrays = normal(0, 2, *size, c), normal(1, *kernel, c, o), normal(2, 2, *size, o)
    how = (("stride", stride), ("padding", padding))
    assert_close(
        down_and_up(convolution.conv, convolution.conv_transpose, how, *arrays),
        down_and_up(lax_conv, lax_conv_transpose, how, *arrays),
    )


@pytest.mark.parametrize("case", CASES[::4], ids=str)
def test_both_paths_agree(case):
    size, kernel, c, o, stride, padding = case
    geometry = geometry_of(size, kernel, stride, padding)
    x, k, y = normal(0, 2, *size, c), normal(1, *kernel, c, o), normal(2, 2, *geometry.small, o)

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


def stack(*arrays):
    return jnp.stack(arrays)


def loss(kernels, x):
    y = jax.nn.relu(convolution.conv(x, kernels[0], stride=2))
    return jnp.mean((convolution.conv_transpose(y, kernels[1], stride=2, padding="SAME") - x) ** 2)


def test_kernels_batched_under_vmap_are_one_after_the_other():
    kernels, x = (normal(0, 3, 3, 3, 2, 5), normal(1, 3, 3, 3, 2, 5)), normal(2, 4, 8, 6, 2)
    gradient = jax.jit(jax.grad(loss))
    lanes = [gradient(tuple(k[i] for k in kernels), x) for i in range(3)]
    assert_close(
        jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None)))(kernels, x),
        jax.tree.map(stack, *lanes),
    )


def test_training_inside_a_scan_is_the_loop():
    kernels, x = (normal(0, 3, 3, 2, 5), normal(1, 3, 3, 2, 5)), normal(2, 4, 8, 6, 2)

    def step(kernels, x):
        return jax.tree.map(lambda k, g: k - 0.1 * g, kernels, jax.grad(loss)(kernels, x)), None

    looped = kernels
    for _ in range(3):
        looped, _ = jax.jit(step)(looped, x)
    scanned, _ = jax.jit(lambda k: lax.scan(step, k, jnp.stack([x] * 3)))(kernels)
    assert_close(scanned, looped)


def test_second_derivatives_exist():
    kernels, x = (normal(0, 3, 3, 1, 2), normal(1, 3, 3, 1, 2)), normal(2, 1, 4, 4, 1)

    def reference(kernels, x):
        y = jax.nn.relu(lax_conv(x, kernels[0], 0.0, 2, "SAME"))
        return jnp.mean((lax_conv_transpose(y, kernels[1], 0.0, 2, "SAME") - x) ** 2)

    def penalty(loss, kernels):
        return sum(jnp.sum(g**2) for g in jax.tree.leaves(jax.grad(loss)(kernels, x)))

    gradients = [jax.jit(jax.grad(partial(penalty, f)))(kernels) for f in (loss, reference)]
    assert_close(*gradients)


def test_no_dilated_input_and_no_grouped_convolution_is_compiled_on_a_cpu():
    kernels, x = (normal(0, 3, 5, 5, 2, 20), normal(1, 3, 5, 5, 2, 20)), normal(2, 4, 8, 8, 2)
    text = jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None))).lower(kernels, x).as_text()
    assert "stablehlo.convolution" in text
    assert "lhs_dilate = [2" not in text
    assert "feature_group_count = 3" not in text


def test_a_convolution_without_padding_gets_a_row_of_it_on_a_cpu():
    x, kernel = jnp.zeros((2, 9, 9, 18)), jnp.zeros((3, 3, 18, 17))
    text = jax.jit(partial(convolution.conv, padding="VALID")).lower(x, kernel).as_text()
    assert "pad = [[0, 1], [0, 0]]" in text
    assert "pad = [[0, 0], [0, 0]]" not in text


def test_a_transposed_convolution_without_padding_goes_by_rows_of_the_kernel_on_a_cpu():
    y, kernel = jnp.zeros((2, 9, 9, 17)), jnp.zeros((3, 5, 18, 17))
    text = jax.jit(partial(convolution.conv_transpose, padding="VALID")).lower(y, kernel).as_text()
    assert "pad = [[0, 0], [4, 4]]" in text
    assert "pad = [[2, 2], [4, 4]]" not in text


def test_modules_start_as_keras_does():
    rngs = nnx.Rngs(0)
    down = layers.Conv(3, 8, Window(5, 2), rngs=rngs)
    up = layers.ConvTranspose(8, 3, Window(5, 2), rngs=rngs)
    dense = layers.Dense(30, 20, rngs=rngs)
    for module, shape, fans in (
        (down, (5, 5, 3, 8), 25 * 11),
        (up, (5, 5, 3, 8), 25 * 11),
        (dense, (30, 20), 50),
    ):
        kernel, limit = module.kernel[...], np.sqrt(6 / fans)
        assert kernel.shape == shape
        assert kernel.dtype == module.bias[...].dtype == jnp.float32
        assert not module.bias[...].any()
        assert 0.95 * limit < jnp.abs(kernel).max() <= limit
    x = normal(0, 2, 8, 6, 3)
    assert down(x).shape == (2, 4, 3, 8)
    assert up(down(x)).shape == x.shape
    np.testing.assert_allclose(down(x), convolution.conv(x, down.kernel[...], stride=2), rtol=1e-6)
