"""Stacked convolutions for CCNN: AlexNet's, ResNet-18's, and two layers for small images.

Each backbone is a module that maps scaled images (n, h, w, c) to a map (n, h', w', ``channels``).
It writes its layers' outputs into a dict on the way. ``torch_names`` gives the names that its
arrays have in torchvision's files.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxclust.networks.geometry import Window
from jaxclust.networks.layers import Conv
from jaxclust.types import Shape

ALEXNET = (64, 192, 384, 256, 256)
"""Channels of conv1 to conv5 in torchvision.

The paper's own AlexNet has two groups and 96, 256, 384, 384, 256 channels.
"""
RESNET18 = (64, 128, 256, 512)
"""Channels of the four pairs of blocks (He et al. 2016, table 1)."""
MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's red, green and blue in [0, 1]; torchvision's weights expect it."""
DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue in [0, 1]."""
MOMENTUM = 0.9
"""Momentum of running statistics; PyTorch states the same as 0.1."""

Path = tuple[str, ...]
"""Where an array is in ``Variables``: ("params" or "stats", module, ..., array)."""
Names = dict[str, Path]
"""The path of each array, by the name of its tensor in PyTorch's layout."""


class Small(nnx.Module):
    """5x5 convolutions of stride 2 with ReLU and padding SAME, with or without batch norm."""

    def __init__(self, shape: Shape, filters: tuple[int, ...], norm: bool, *, rngs: nnx.Rngs):
        self.channels = filters[-1]
        self.count = len(filters)
        inputs = (shape[2], *filters[:-1])
        layer = ConvNorm if norm else Conv
        for i in range(self.count):
            setattr(self, f"conv{i + 1}", layer(inputs[i], filters[i], Window(5, 2), rngs=rngs))

    def __call__(self, x: jax.Array, maps: dict[str, jax.Array]) -> jax.Array:
        for i in range(1, self.count + 1):
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
        return x

    @staticmethod
    def torch_names(count: int, norm: bool) -> Names:
        """The names of ``count`` layers in PyTorch's layout."""
        layers = [f"conv{i}" for i in range(1, count + 1)]
        if not norm:
            return _conv_names([(layer, (layer,)) for layer in layers])
        return {
            **_conv_names([(f"{layer}.conv", (layer, "conv")) for layer in layers], bias=False),
            **_norm_names([(f"{layer}.norm", (layer, "norm")) for layer in layers]),
        }


class AlexNet(nnx.Module):
    """conv1 to conv5 with their pooling, as in torchvision.

    There are no groups and no response normalization.
    """

    LEAST = 63
    """The smallest number of rows and columns, of which the third pooling leaves one."""

    def __init__(self, shape: Shape, filters: tuple[int, ...], *, rngs: nnx.Rngs):
        del shape
        self.channels = filters[-1]
        inputs = (3, *filters)
        for i, (size, stride) in enumerate(((11, 4), (5, 1), (3, 1), (3, 1), (3, 1)), 1):
            window = Window(size, stride, "VALID" if i == 1 else "SAME")
            setattr(self, f"conv{i}", Conv(inputs[i - 1], filters[i - 1], window, rngs=rngs))

    def __call__(self, x: jax.Array, maps: dict[str, jax.Array]) -> jax.Array:
        x = normalized(x)
        for i in range(1, 6):
            x = _pad(x, 2) if i == 1 else x
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
            x = _pool(x) if i in (1, 2, 5) else x
        return x

    @staticmethod
    def torch_names() -> Names:
        """The names in torchvision's files."""
        places = zip(range(1, 6), (0, 3, 6, 8, 10), strict=True)
        return _conv_names([(f"features.{place}", (f"conv{i}",)) for i, place in places])


class ResNet18(nnx.Module):
    """ResNet-18 without its last pooling and its classifier."""

    LEAST = 32
    """The smallest number of rows and columns, of which the strides leave one."""

    def __init__(self, shape: Shape, filters: tuple[int, ...], *, rngs: nnx.Rngs):
        del shape
        self.channels = filters[-1]
        self.stages = len(filters)
        self.conv1 = ConvNorm(3, filters[0], Window(7, 2, "VALID"), rngs=rngs)
        inputs = (filters[0], *filters[:-1])
        for i, outputs in enumerate(filters, 1):
            stride = 1 if i == 1 else 2
            setattr(self, f"block{i}0", _Residual(inputs[i - 1], outputs, stride, rngs=rngs))
            setattr(self, f"block{i}1", _Residual(outputs, outputs, 1, rngs=rngs))

    def __call__(self, x: jax.Array, maps: dict[str, jax.Array]) -> jax.Array:
        x = maps["conv1"] = jax.nn.relu(self.conv1(_pad(normalized(x), 3)))
        # After a ReLU, zeros around the map are as good as minus infinity.
        x = _pool(_pad(x, 1))
        for i in range(1, self.stages + 1):
            x = getattr(self, f"block{i}1")(getattr(self, f"block{i}0")(x))
            maps[f"layer{i}"] = x
        return x

    @staticmethod
    def torch_names(stages: int = 4) -> Names:
        """The names in torchvision's files."""
        convs: list[tuple[str, Path]] = [("conv1", ("conv1", "conv"))]
        norms: list[tuple[str, Path]] = [("bn1", ("conv1", "norm"))]
        for i in range(1, stages + 1):
            for block in (0, 1):
                tensor = f"layer{i}.{block}"
                module = f"block{i}{block}"
                for j in (1, 2):
                    convs.append((f"{tensor}.conv{j}", (module, f"conv{j}", "conv")))
                    norms.append((f"{tensor}.bn{j}", (module, f"conv{j}", "norm")))
                if i > 1 and block == 0:
                    convs.append((f"{tensor}.downsample.0", (module, "shortcut", "conv")))
                    norms.append((f"{tensor}.downsample.1", (module, "shortcut", "norm")))
        return {**_conv_names(convs, bias=False), **_norm_names(norms)}


class _Residual(nnx.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs):
        self.stride = stride
        self.conv1 = ConvNorm(inputs, outputs, Window(3, stride, "VALID"), rngs=rngs)
        self.conv2 = ConvNorm(outputs, outputs, Window(3), rngs=rngs)
        if inputs != outputs or stride > 1:
            self.shortcut = ConvNorm(inputs, outputs, Window(1, stride, "VALID"), rngs=rngs)
        else:
            self.shortcut = None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv2(jax.nn.relu(self.conv1(_pad(x, 1))))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ConvNorm(nnx.Module):
    """A convolution without bias, then batch norm."""

    def __init__(self, inputs: int, outputs: int, window: Window, *, rngs: nnx.Rngs):
        self.conv = Conv(inputs, outputs, window, bias=False, rngs=rngs)
        # The variance takes two passes: the difference of the means of x^2 and of x loses its
        # digits on bright, even images.
        self.norm = nnx.BatchNorm(
            outputs, momentum=MOMENTUM, epsilon=1e-5, use_fast_variance=False, rngs=rngs
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.conv(x))


def normalized(x: jax.Array) -> jax.Array:
    """Images as torchvision's weights take them: three channels, centered and scaled.

    Args:
      x: gray or color images in [0, 1], float32, (n, h, w, 1) or (n, h, w, 3). A gray channel is
        repeated.

    Returns:
      float32, (n, h, w, 3).
    """
    x = jnp.broadcast_to(x, (*x.shape[:3], 3)) if x.shape[3] == 1 else x
    return (x - jnp.array(MEAN, jnp.float32)) / jnp.array(DEVIATION, jnp.float32)


def _pad(x: jax.Array, size: int) -> jax.Array:
    """PyTorch's padding, even on both sides."""
    # "SAME" pads strided convolutions more on the lower right.
    pads = [(0, 0, 0), (size, size, 0), (size, size, 0), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _pool(x: jax.Array) -> jax.Array:
    """The maximum of 3x3 at a stride of 2 (AlexNet's overlapping pooling).

    Rows and columns that fill no window are dropped.
    """
    return nnx.max_pool(x, (3, 3), (2, 2))


def _conv_names(layers: Sequence[tuple[str, Path]], bias: bool = True) -> Names:
    names: Names = {f"{tensor}.weight": ("params", *path, "kernel") for tensor, path in layers}
    if bias:
        names |= {f"{tensor}.bias": ("params", *path, "bias") for tensor, path in layers}
    return names


def _norm_names(layers: Sequence[tuple[str, Path]]) -> Names:
    arrays = {
        "weight": ("params", "scale"),
        "bias": ("params", "bias"),
        "running_mean": ("stats", "mean"),
        "running_var": ("stats", "var"),
    }
    return {
        f"{tensor}.{name}": (kind, *path, array)
        for tensor, path in layers
        for name, (kind, array) in arrays.items()
    }
