"""Stacked convolutions for CCNN: AlexNet's, ResNet-18's, and two layers for small images.

Each is a module that maps scaled images (n, h, w, c) to a map (n, h', w', ``channels``), writing the layers' outputs
into a dict on its way, and names its arrays as torchvision's files do (``torch_names``).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxclust.networks.layers import Conv

ALEXNET = (64, 192, 384, 256, 256)
"""Channels of conv1 to conv5 in torchvision (the paper's own, with two groups, has 96, 256, 384, 384, 256)."""
RESNET18 = (64, 128, 256, 512)
"""Channels of the four pairs of blocks (He et al. 2016, table 1)."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue in [0, 1], with which torchvision's weights were trained."""
MOMENTUM = 0.9
"""Of running statistics, as PyTorch's 0.1."""

Names = dict[str, tuple[str, ...]]
"""A tensor's name in PyTorch's layout, and the path of ours: ("params" or "stats", module, ..., array)."""


class Small(nnx.Module):
    """Convolutions 5x5 of stride 2 with ReLU, padding same; batch normalisation before it if wanted."""

    def __init__(self, shape, filters, norm, *, rngs):
        self.channels, self.count = filters[-1], len(filters)
        for i, (inputs, outputs) in enumerate(zip((shape[2], *filters), filters, strict=False), 1):
            layer = ConvNorm if norm else Conv
            setattr(self, f"conv{i}", layer(inputs, outputs, 5, stride=2, rngs=rngs))

    def __call__(self, x, maps):
        for i in range(1, self.count + 1):
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
        return x

    @staticmethod
    def torch_names(count: int, norm: bool) -> Names:
        if norm:
            return {
                **_conv_names(
                    [(f"conv{i}.conv", (f"conv{i}", "conv")) for i in range(1, count + 1)],
                    bias=False,
                ),
                **_norm_names(
                    [(f"conv{i}.norm", (f"conv{i}", "norm")) for i in range(1, count + 1)]
                ),
            }
        return _conv_names([(f"conv{i}", (f"conv{i}",)) for i in range(1, count + 1)])


class AlexNet(nnx.Module):
    """conv1 to conv5 with their pooling, as torchvision has them: no grouping, no response normalisation."""

    LEAST = 63
    """Rows and columns that leave one after the third pooling."""

    def __init__(self, shape, filters, *, rngs):
        self.channels = filters[-1]
        inputs = (3, *filters)
        for i, (size, stride) in enumerate(((11, 4), (5, 1), (3, 1), (3, 1), (3, 1)), 1):
            padding = "VALID" if i == 1 else "SAME"
            conv = Conv(
                inputs[i - 1], filters[i - 1], size, stride=stride, padding=padding, rngs=rngs
            )
            setattr(self, f"conv{i}", conv)

    def __call__(self, x, maps):
        x = normalised(x)
        for i in range(1, 6):
            x = _pad(x, 2) if i == 1 else x
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
            x = _pool(x) if i in (1, 2, 5) else x
        return x

    @staticmethod
    def torch_names() -> Names:
        places = zip(range(1, 6), (0, 3, 6, 8, 10), strict=True)
        return _conv_names([(f"features.{place}", (f"conv{i}",)) for i, place in places])


class ResNet18(nnx.Module):
    """ResNet-18 without its last pooling and its classifier."""

    LEAST = 32
    """Rows and columns that leave one: the strides' product."""

    def __init__(self, shape, filters, *, rngs):
        self.channels, self.stages = filters[-1], len(filters)
        self.conv1 = ConvNorm(3, filters[0], 7, stride=2, padding="VALID", rngs=rngs)
        for i, (inputs, outputs) in enumerate(
            zip((filters[0], *filters), filters, strict=False), 1
        ):
            setattr(self, f"block{i}0", _Residual(inputs, outputs, 1 if i == 1 else 2, rngs=rngs))
            setattr(self, f"block{i}1", _Residual(outputs, outputs, 1, rngs=rngs))

    def __call__(self, x, maps):
        x = maps["conv1"] = jax.nn.relu(self.conv1(_pad(normalised(x), 3)))
        # After ReLU zeros are as good as minus infinity around the map.
        x = _pool(_pad(x, 1))
        for i in range(1, self.stages + 1):
            x = getattr(self, f"block{i}1")(getattr(self, f"block{i}0")(x))
            maps[f"layer{i}"] = x
        return x

    @staticmethod
    def torch_names(stages: int = 4) -> Names:
        convs, norms = [("conv1", ("conv1", "conv"))], [("bn1", ("conv1", "norm"))]
        for i in range(1, stages + 1):
            for block in (0, 1):
                theirs, ours = f"layer{i}.{block}", f"block{i}{block}"
                for j in (1, 2):
                    convs.append((f"{theirs}.conv{j}", (ours, f"conv{j}", "conv")))
                    norms.append((f"{theirs}.bn{j}", (ours, f"conv{j}", "norm")))
                if i > 1 and block == 0:
                    convs.append((f"{theirs}.downsample.0", (ours, "shortcut", "conv")))
                    norms.append((f"{theirs}.downsample.1", (ours, "shortcut", "norm")))
        return {**_conv_names(convs, bias=False), **_norm_names(norms)}


class _Residual(nnx.Module):
    """Two convolutions 3x3 beside a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs, outputs, stride, *, rngs):
        self.stride = stride
        self.conv1 = ConvNorm(inputs, outputs, 3, stride=stride, padding="VALID", rngs=rngs)
        self.conv2 = ConvNorm(outputs, outputs, 3, rngs=rngs)
        widens = inputs != outputs or stride > 1
        self.shortcut = (
            ConvNorm(inputs, outputs, 1, stride=stride, padding="VALID", rngs=rngs)
            if widens
            else None
        )

    def __call__(self, x):
        y = self.conv2(jax.nn.relu(self.conv1(_pad(x, 1))))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ConvNorm(nnx.Module):
    """A convolution without bias, then batch normalisation."""

    def __init__(self, inputs, outputs, size, *, stride=1, padding="SAME", rngs):
        self.conv = Conv(
            inputs, outputs, size, stride=stride, padding=padding, bias=False, rngs=rngs
        )
        # Two passes for the variance: the difference of the means of x^2 and of x cancels on bright, even images.
        self.norm = nnx.BatchNorm(
            outputs, momentum=MOMENTUM, epsilon=1e-5, use_fast_variance=False, rngs=rngs
        )

    def __call__(self, x):
        return self.norm(self.conv(x))


def normalised(x: jax.Array) -> jax.Array:
    """Images in [0, 1], grey or colour, as torchvision's weights take them: three channels, centred and scaled."""
    x = jnp.broadcast_to(x, (*x.shape[:3], 3)) if x.shape[3] == 1 else x
    return (x - jnp.array(MEAN, jnp.float32)) / jnp.array(DEVIATION, jnp.float32)


def _pad(x, size):
    # PyTorch's padding, even on both sides; "SAME" pads strided convolutions more on the lower right.
    return lax.pad(
        x, jnp.zeros((), x.dtype), [(0, 0, 0), (size, size, 0), (size, size, 0), (0, 0, 0)]
    )


def _pool(x):
    """Maximum of 3x3 at a stride of 2 (AlexNet's overlapping pooling), a rest that fills no window dropped."""
    return nnx.max_pool(x, (3, 3), (2, 2))


def _conv_names(layers, bias=True) -> Names:
    names = {f"{theirs}.weight": ("params", *ours, "kernel") for theirs, ours in layers}
    return names | (
        {f"{theirs}.bias": ("params", *ours, "bias") for theirs, ours in layers} if bias else {}
    )


def _norm_names(layers) -> Names:
    arrays = {
        "weight": ("params", "scale"),
        "bias": ("params", "bias"),
        "running_mean": ("stats", "mean"),
        "running_var": ("stats", "var"),
    }
    return {
        f"{theirs}.{name}": (kind, *ours, array)
        for theirs, ours in layers
        for name, (kind, array) in arrays.items()
    }
