"""Convolutions under vmap, in loops and in compiled programs, and the layers that hold them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from convolution_reference import assert_close, lax_conv, lax_conv_transpose, normal
from jaxclust.networks import convolution, layers
from jaxclust.networks.geometry import Window


def loss(kernels, x):
    y = jax.nn.relu(convolution.conv(x, kernels[0], stride=2))
    return jnp.mean((convolution.conv_transpose(y, kernels[1], stride=2, padding="SAME") - x) ** 2)


def test_kernels_batched_under_vmap_are_one_after_the_other():
    kernels = (normal(0, 3, 3, 3, 2, 5), normal(1, 3, 3, 3, 2, 5))
    x = normal(2, 4, 8, 6, 2)
    gradient = jax.jit(jax.grad(loss))
    lanes = [gradient(tuple(k[i] for k in kernels), x) for i in range(3)]
    assert_close(
        jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None)))(kernels, x),
        jax.tree.map(lambda *arrays: jnp.stack(arrays), *lanes),
    )


def test_training_inside_a_scan_is_the_loop():
    kernels = (normal(0, 3, 3, 2, 5), normal(1, 3, 3, 2, 5))
    x = normal(2, 4, 8, 6, 2)

    def step(kernels, x):
        return jax.tree.map(lambda k, g: k - 0.1 * g, kernels, jax.grad(loss)(kernels, x)), None

    jitted = jax.jit(step)
    looped = kernels
    for _ in range(3):
        looped, _ = jitted(looped, x)
    scanned, _ = jax.jit(lambda k: lax.scan(step, k, jnp.stack([x] * 3)))(kernels)
    assert_close(scanned, looped)


def test_second_derivatives_exist():
    kernels = (normal(0, 3, 3, 1, 2), normal(1, 3, 3, 1, 2))
    x = normal(2, 1, 4, 4, 1)

    def reference(kernels, x):
        y = jax.nn.relu(lax_conv(x, kernels[0], 0.0, 2, "SAME"))
        return jnp.mean((lax_conv_transpose(y, kernels[1], 0.0, 2, "SAME") - x) ** 2)

    def penalty(loss, kernels):
        return sum(jnp.sum(g**2) for g in jax.tree.leaves(jax.grad(loss)(kernels, x)))

    gradients = [jax.jit(jax.grad(partial(penalty, f)))(kernels) for f in (loss, reference)]
    assert_close(*gradients)


def test_no_dilated_input_and_no_grouped_convolution_is_compiled_on_a_cpu():
    kernels = (normal(0, 3, 5, 5, 2, 20), normal(1, 3, 5, 5, 2, 20))
    x = normal(2, 4, 8, 8, 2)
    text = jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None))).lower(kernels, x).as_text()
    assert "stablehlo.convolution" in text
    assert "lhs_dilate = [2" not in text
    assert "feature_group_count = 3" not in text


def test_a_convolution_without_padding_gets_a_row_of_it_on_a_cpu():
    x = jnp.zeros((2, 9, 9, 18))
    kernel = jnp.zeros((3, 3, 18, 17))
    text = jax.jit(partial(convolution.conv, padding="VALID")).lower(x, kernel).as_text()
    assert "pad = [[0, 1], [0, 0]]" in text
    assert "pad = [[0, 0], [0, 0]]" not in text


def test_a_transposed_convolution_without_padding_goes_by_rows_of_the_kernel_on_a_cpu():
    y = jnp.zeros((2, 9, 9, 17))
    kernel = jnp.zeros((3, 5, 18, 17))
    text = jax.jit(partial(convolution.conv_transpose, padding="VALID")).lower(y, kernel).as_text()
    assert "pad = [[0, 0], [4, 4]]" in text
    assert "pad = [[2, 2], [4, 4]]" not in text


def test_modules_start_as_keras_does():
    x = normal(0, 2, 8, 6, 3)

    @jax.jit
    def started(key):
        rngs = nnx.Rngs(params=key)
        down = layers.Conv(3, 8, Window(5, 2), rngs=rngs)
        up = layers.ConvTranspose(8, 3, Window(5, 2), rngs=rngs)
        dense = layers.Dense(30, 20, rngs=rngs)
        arrays = [(layer.kernel[...], layer.bias[...]) for layer in (down, up, dense)]
        by_function = convolution.conv(x, down.kernel[...], stride=2)
        return arrays, down(x), up(down(x)), by_function

    arrays, lower, upper, by_function = started(jax.random.key(0))
    shapes = [(5, 5, 3, 8), (5, 5, 3, 8), (30, 20)]
    for (kernel, bias), shape, fans in zip(arrays, shapes, [25 * 11, 25 * 11, 50], strict=True):
        limit = np.sqrt(6 / fans)
        assert kernel.shape == shape
        assert kernel.dtype == bias.dtype == jnp.float32
        assert not bias.any()
        assert 0.95 * limit < jnp.abs(kernel).max() <= limit
    assert lower.shape == (2, 4, 3, 8)
    assert upper.shape == x.shape
    np.testing.assert_allclose(lower, by_function, rtol=1e-6)
