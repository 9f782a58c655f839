"""Layers of networks: the modules that hold the parameters of convolutions and dense layers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxclust.networks.convolution import conv, conv_transpose
from jaxclust.networks.geometry import Padding, Window


def glorot(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Keras's uniform first values of a kernel, float32."""
    # The last two axes are fan-in and fan-out, each times the receptive field. The bound depends on
    # their sum, so it does not matter that a transposed convolution has them the other way round.
    return jax.nn.initializers.glorot_uniform()(key, shape, jnp.float32)


class Conv(nnx.Module):
    """``conv`` with its parameters.

    The kernel is float32, (kh, kw, c, o), and starts Glorot-uniform. The bias is float32, (o,), and
    starts at zero.

    Args:
      inputs: channels c of the input.
      outputs: channels o of the output.
      window: size, stride and padding of the kernel.
      bias: whether there is a bias.
      rngs: where the first kernel is drawn from.
    """

    def __init__(
        self, inputs: int, outputs: int, window: Window, *, bias: bool = True, rngs: nnx.Rngs
    ):
        self.kernel = nnx.Param(glorot(rngs.params(), (*window.pair, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32)) if bias else None
        self.stride = window.stride
        self.padding: Padding = window.padding

    def __call__(self, x: jax.Array) -> jax.Array:
        bias = None if self.bias is None else self.bias[...]
        return conv(x, self.kernel[...], bias, stride=self.stride, padding=self.padding)


class ConvTranspose(nnx.Module):
    """``conv_transpose`` with its parameters; as ``Conv``, but with a kernel (kh, kw, o, c)."""

    def __init__(
        self, inputs: int, outputs: int, window: Window, *, bias: bool = True, rngs: nnx.Rngs
    ):
        self.kernel = nnx.Param(glorot(rngs.params(), (*window.pair, outputs, inputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32)) if bias else None
        self.stride = window.stride
        self.padding: Padding = window.padding

    def __call__(self, x: jax.Array) -> jax.Array:
        bias = None if self.bias is None else self.bias[...]
        return conv_transpose(x, self.kernel[...], bias, stride=self.stride, padding=self.padding)


class Dense(nnx.Module):
    """``x @ kernel + bias``.

    The kernel is float32, (inputs, outputs); the bias is float32, (outputs,), and starts at zero.

    Args:
      inputs: features of the input.
      outputs: features of the output.
      rngs: where the first kernel is drawn from.
      start: ``start(key, shape)`` draws it; Glorot-uniform by default.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        rngs: nnx.Rngs,
        start: Callable[[jax.Array, tuple[int, ...]], jax.Array] = glorot,
    ):
        self.kernel = nnx.Param(start(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.kernel[...] + self.bias[...]
