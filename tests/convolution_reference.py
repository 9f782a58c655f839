"""Convolutions by lax, and what the tests of convolutions share."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

LAX = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}


def lax_conv(x, kernel, bias, stride, padding):
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, **LAX) + bias


def lax_conv_transpose(x, kernel, bias, stride, padding):
    return (
        lax.conv_transpose(x, kernel, (stride, stride), padding, transpose_kernel=True, **LAX)
        + bias
    )


def normal(seed, *shape):
    """Normal draws, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_close(actual, expected, tolerance=1e-4):
    """Asserts that two trees have the same shapes and dtypes, and values within the tolerance."""
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        assert a.dtype == e.dtype
        scale = max(1.0, float(jnp.abs(e).max()))
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance * scale)
