"""Convolutions that are fast on every device, and the layers that hold their parameters.

XLA's CPU backend has one fast path for convolutions, which packs patches in the cache and writes none: NHWC, HWIO, no
dilated input, more than 16 channels on one side. Its own gradients of strided convolutions leave that path, inside
loops by a factor of fifty, and kernels batched over seeds by a factor of four. So on a CPU the gradients are written as
such convolutions, and a batch of kernels is a loop; layers of stride 1 with few channels, where the path is closed or
slow, are products with band matrices. On any other device all three are the native operations.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jaxclust.networks.convolution import Padding, conv, conv_transpose


class Conv(nnx.Module):
    """``conv`` with its parameters: a Glorot-uniform kernel (kh, kw, c, o) and, if wanted, a zero bias (o,), float32.

    ``size`` is of the kernel, (kh, kw) or one number for both.
    """

    def __init__(
        self,
        inputs,
        outputs,
        size,
        *,
        stride=1,
        padding: Padding = "SAME",
        bias=True,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(glorot(rngs.params(), (*_pair(size), inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32)) if bias else None
        self.stride, self.padding = stride, padding

    def __call__(self, x):
        bias = None if self.bias is None else self.bias[...]
        return conv(x, self.kernel[...], bias, stride=self.stride, padding=self.padding)


class ConvTranspose(nnx.Module):
    """``conv_transpose`` with its parameters, as ``Conv``; its kernel is (kh, kw, o, c)."""

    def __init__(
        self,
        inputs,
        outputs,
        size,
        *,
        stride=1,
        padding: Padding = "SAME",
        bias=True,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(glorot(rngs.params(), (*_pair(size), outputs, inputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32)) if bias else None
        self.stride, self.padding = stride, padding

    def __call__(self, x):
        bias = None if self.bias is None else self.bias[...]
        return conv_transpose(x, self.kernel[...], bias, stride=self.stride, padding=self.padding)


def glorot(key, shape):
    """Keras's uniform start of a kernel, float32."""
    # The last two axes are fan-in and fan-out, each times the receptive field; their sum does not mind that a
    # transposed convolution holds them the other way round.
    return jax.nn.initializers.glorot_uniform()(key, shape, jnp.float32)


class Dense(nnx.Module):
    """``x @ kernel + bias``: a kernel (inputs, outputs), at first Glorot-uniform, a bias (outputs,), zero; float32."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs, start=glorot):
        self.kernel = nnx.Param(start(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x):
        return x @ self.kernel[...] + self.bias[...]


def _pair(size):
    return (size, size) if isinstance(size, int) else size
