"""JULE's network: blocks at the paper's sizes, forward pass and statistics against slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxclust.networks import jule
from jaxclust.networks.jule import blocks
from jaxclust.networks.pooling import max_pool_any


@pytest.mark.parametrize(
    ("size", "pooled"),
    [
        (5, (False,)),
        (8, (False,)),
        (16, (True,)),  # USPS: 12, 6
        (28, (True, False)),  # MNIST: 24, 12, 8
        (32, (True, True)),  # CMU-PIE, FRGC, COIL at 32: 28, 14, 10, 5
        (55, (True, True, False)),  # 51, 26, 22, 11, 7
        (128, (True, True, True, True)),  # COIL: 124, 62, 58, 29, 25, 13, 9, 5
    ],
)
def test_blocks_at_the_papers_sizes(size, pooled):
    assert blocks(size) == pooled


@pytest.mark.parametrize(
    ("shape", "flat"), [((16, 16, 1), 6 * 6), ((28, 28, 1), 8 * 8), ((128, 128, 3), 5 * 5)]
)
def test_the_inner_product_takes_the_last_map(shape, flat):
    params = jax.eval_shape(jule(shape).init, jax.random.key(0)).params
    assert params["ip"]["kernel"].shape == (flat * 50, 160)
    assert params["conv1"]["kernel"].shape == (5, 5, shape[2], 50)


def test_images_smaller_than_the_kernel_are_refused():
    with pytest.raises(
        ValueError, match="shape: must be at least 5 x 5 pixels, got 4 on the shorter side"
    ):
        jule((4, 9, 1))


def test_first_weights_are_normal_and_biases_zero():
    params = jule((16, 16, 1)).init(jax.random.key(0)).params
    assert abs(float(params["ip"]["kernel"].std()) - 0.01) < 1e-4
    assert not params["ip"]["bias"].any()
    assert not params["conv1"]["bias"].any()


def forward(variables, x, train):
    """One block without pooling, then pooling; loops over pixels."""
    kernel, bias = (
        np.asarray(variables.params["conv1"][name], np.float64) for name in ("kernel", "bias")
    )
    n, height, width, _ = x.shape
    y = np.zeros((n, height - 4, width - 4, 50))
    for i in range(height - 4):
        for j in range(width - 4):
            y[:, i, j] = np.tensordot(x[:, i : i + 5, j : j + 5], kernel, 3) + bias
    stats = variables.stats["norm1"]
    mean, var = (y.mean((0, 1, 2)), y.var((0, 1, 2))) if train else (stats["mean"], stats["var"])
    y = (y - mean) / np.sqrt(var + 1e-5) * variables.params["norm1"]["scale"] + variables.params[
        "norm1"
    ]["bias"]
    y = np.maximum(y, 0)
    pooled = np.zeros((n, -(-y.shape[1] // 2), -(-y.shape[2] // 2), 50))
    for i in range(pooled.shape[1]):
        for j in range(pooled.shape[2]):
            pooled[:, i, j] = y[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2))
    z = (
        pooled.reshape(n, -1) @ np.asarray(variables.params["ip"]["kernel"])
        + variables.params["ip"]["bias"]
    )
    return z / np.linalg.norm(z, axis=1, keepdims=True), mean, var


def test_the_forward_pass_and_the_running_statistics():
    network = jule((13, 14, 2))  # 9 x 10 maps: an odd row to pool
    variables = network.init(jax.random.key(1))
    x = np.random.default_rng(0).integers(0, 256, (4, 13, 14, 2), dtype=np.uint8)
    features, stats = jax.jit(network.encode, static_argnums=2)(variables, x, True)
    expected, mean, var = forward(variables, x / 255, True)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    np.testing.assert_allclose(stats["norm1"]["mean"], 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(stats["norm1"]["var"], 0.9 + 0.1 * var, rtol=1e-5)
    variables = variables._replace(stats=stats)
    still, unchanged = jax.jit(network.encode, static_argnums=2)(variables, x, False)
    np.testing.assert_allclose(still, forward(variables, x / 255, False)[0], atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, unchanged, stats)
    maps = network.activations(variables, x)
    assert list(maps) == ["block1", "ip", "features"]
    np.testing.assert_allclose(maps["features"], still, atol=1e-6)


@pytest.mark.parametrize("values", [2 * 5 * 7 * 3, 3], ids=["all differ", "ties"])
def test_pooling_is_laxs_with_ceil_and_so_is_its_gradient(values):
    x = jnp.asarray(
        np.random.default_rng(0).permutation(2 * 5 * 7 * 3).reshape(2, 5, 7, 3) % values,
        jnp.float32,
    )

    def native(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")

    np.testing.assert_array_equal(max_pool_any(x), native(x))
    ours, theirs = (jax.grad(lambda x, f=f: jnp.sum(f(x) ** 2))(x) for f in (max_pool_any, native))
    np.testing.assert_allclose(ours, theirs)
