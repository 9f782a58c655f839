"""Networks trained on ImageNet whose weights can be had without a download at run time.

EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation and with ReLU6) and SqueezeNet
1.1 (Iandola et al. 2016), as pure functions of a dict of arrays. The features are the mean over
space of the last map before the classifier. Both networks have seen ImageNet's labels.

Batch norm is folded into the convolutions when weights are read. On a CPU, XLA's grouped
convolutions are slow, so that a depthwise convolution is a sum of shifted products, and a 1x1
convolution is a matrix product.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxclust.networks.convolution import conv
from jaxclust.networks.geometry import geometry_of

Arrays = Mapping[str, jax.Array | np.ndarray]
"""A network's arrays, float32, by their names."""


class Block(NamedTuple):
    """One inverted residual block of EfficientNet.

    Attributes:
      size: rows and columns of the depthwise kernel.
      stride: of the depthwise convolution.
      inputs: channels of the input.
      expansion: the depthwise convolution has this many times as many channels.
      outputs: channels of the output.
    """

    size: int
    stride: int
    inputs: int
    expansion: int
    outputs: int


def _blocks() -> tuple[Block, ...]:
    """EfficientNet-Lite0's 16 blocks; only the first of a stage has the stage's stride."""
    stages = (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    )
    blocks = []
    inputs = 32
    for repeats, size, stride, expansion, outputs in stages:
        for index in range(repeats):
            blocks.append(Block(size, 1 if index else stride, inputs, expansion, outputs))
            inputs = outputs
    return tuple(blocks)


BLOCKS = _blocks()
EPSILON = 1e-3
"""The epsilon of Lite0's batch norm."""
FIRES = {
    "fire2": (64, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
"""SqueezeNet's fire modules: channels of the input, of the squeeze, and of each expansion."""
BLUE_GREEN_RED_MEANS = (104.006, 116.669, 122.679)


class FeatureNetwork(NamedTuple):
    """A network that gives features of pictures.

    Attributes:
      name: as the command's --features takes it.
      side: rows and columns of the pictures that it was trained on.
      dimension: number of features.
      batch: number of pictures at a time.
      shapes: the file's arrays that the features need, by name.
      fold: makes of the file's arrays those that ``forward`` takes.
      last_map: ``last_map(variables, images)`` gives the last map before the classifier for
        float32 images in 0..255, (n, h, w, 3), RGB, of any size from 32; float32
        (n, h', w', dimension).
    """

    name: str
    side: int
    dimension: int
    batch: int
    shapes: Callable[[], dict[str, tuple[int, ...]]]
    fold: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    last_map: Callable[[Arrays, jax.Array], jax.Array]

    def forward(self, variables: Arrays, images: jax.Array) -> jax.Array:
        """Features, the mean of the last map, float32 (n, dimension); see ``last_map``."""
        return jnp.mean(self.last_map(variables, images), axis=(1, 2))

    def embed(self, variables: Arrays, images: np.ndarray) -> np.ndarray:
        """Features of pictures, computed in batches of one shape.

        Args:
          variables: as ``fold`` made them.
          images: uint8, (n, h, w, 3), RGB.

        Returns:
          float32, (n, dimension).
        """
        features = np.empty((len(images), self.dimension), np.float32)
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            padded = np.zeros((self.batch, *images.shape[1:]), np.uint8)
            padded[: len(part)] = part
            found = _compiled(self.last_map)(variables, padded)
            features[start : start + len(part)] = np.asarray(found)[: len(part)]
        return features


@functools.cache
def _compiled(last_map: Callable[[Arrays, jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    def features(variables: Arrays, images: jax.Array) -> jax.Array:
        return jnp.mean(last_map(variables, images.astype(jnp.float32)), axis=(1, 2))

    return jax.jit(features)


def lite0(variables: Arrays, images: jax.Array) -> jax.Array:
    """EfficientNet-Lite0's last map, the head's.

    Args:
      variables: as ``fold_lite0`` made them.
      images: float32 in 0..255, (n, h, w, 3), RGB.

    Returns:
      float32, (n, h', w', 1280), at a stride of 32.
    """
    x = (images - 127.0) / 128.0
    x = _relu6(_dense_conv(x, variables, "stem", 2))
    for index, block in enumerate(BLOCKS):
        y = x
        if block.expansion > 1:
            y = _relu6(_pointwise(y, variables, f"block{index}/expand"))
        y = _relu6(_depthwise(y, variables, f"block{index}/depthwise", block.stride))
        y = _pointwise(y, variables, f"block{index}/project")
        x = x + y if block.stride == 1 and block.inputs == block.outputs else y
    return _relu6(_pointwise(x, variables, "head"))


def squeezenet(variables: Arrays, images: jax.Array) -> jax.Array:
    """SqueezeNet 1.1's last map, that of its last fire module.

    Args:
      variables: as ``fold_squeezenet`` made them.
      images: float32 in 0..255, (n, h, w, 3), RGB.

    Returns:
      float32, (n, h', w', 512), at a stride of 16.
    """
    x = images[..., ::-1] - jnp.array(BLUE_GREEN_RED_MEANS, jnp.float32)
    x = jax.nn.relu(_dense_conv(x, variables, "conv1", 2))
    x = _pool(x)
    for name in FIRES:
        squeezed = jax.nn.relu(_pointwise(x, variables, f"{name}/squeeze1x1"))
        narrow = _pointwise(squeezed, variables, f"{name}/expand1x1")
        wide = _dense_conv(squeezed, variables, f"{name}/expand3x3", 1)
        x = jax.nn.relu(jnp.concatenate([narrow, wide], axis=3))
        if name in ("fire3", "fire5"):
            x = _pool(x)
    return x


def lite0_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays in Lite0's file that the features need."""
    shapes: dict[str, tuple[int, ...]] = {"_conv_stem.weight": (32, 3, 3, 3)}
    shapes |= _norm_shapes("_bn0", 32)
    for index, block in enumerate(BLOCKS):
        name = f"_blocks.{index}"
        width = block.inputs * block.expansion
        if block.expansion > 1:
            shapes[f"{name}._expand_conv.weight"] = (width, block.inputs, 1, 1)
            shapes |= _norm_shapes(f"{name}._bn0", width)
        shapes[f"{name}._depthwise_conv.weight"] = (width, 1, block.size, block.size)
        shapes |= _norm_shapes(f"{name}._bn1", width)
        shapes[f"{name}._project_conv.weight"] = (block.outputs, width, 1, 1)
        shapes |= _norm_shapes(f"{name}._bn2", block.outputs)
    shapes["_conv_head.weight"] = (1280, 320, 1, 1)
    return shapes | _norm_shapes("_bn1", 1280)


def _norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    arrays = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{array}": (channels,) for array in arrays}


def fold_lite0(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Lite0's arrays with each batch norm folded into the convolution before it.

    Args:
      arrays: as in the file, float32; kernels are (out, in, h, w).

    Returns:
      float32; kernels are (h, w, in, out), those of 1x1 convolutions (in, out), those of depthwise
      convolutions (h, w, channels).
    """
    folded: dict[str, np.ndarray] = {}

    def add(name: str, conv: str, norm: str) -> None:
        scale = arrays[f"{norm}.weight"].astype(np.float64) / np.sqrt(
            arrays[f"{norm}.running_var"].astype(np.float64) + EPSILON
        )
        kernel = arrays[f"{conv}.weight"].astype(np.float64) * scale[:, None, None, None]
        kernel = kernel.transpose(2, 3, 1, 0)
        if name.endswith("/depthwise"):
            kernel = kernel[:, :, 0]
        elif kernel.shape[:2] == (1, 1):
            kernel = kernel[0, 0]
        bias = arrays[f"{norm}.bias"] - scale * arrays[f"{norm}.running_mean"]
        folded[f"{name}/kernel"] = np.ascontiguousarray(kernel, np.float32)
        folded[f"{name}/bias"] = bias.astype(np.float32)

    add("stem", "_conv_stem", "_bn0")
    for index, block in enumerate(BLOCKS):
        name = f"_blocks.{index}"
        if block.expansion > 1:
            add(f"block{index}/expand", f"{name}._expand_conv", f"{name}._bn0")
        add(f"block{index}/depthwise", f"{name}._depthwise_conv", f"{name}._bn1")
        add(f"block{index}/project", f"{name}._project_conv", f"{name}._bn2")
    add("head", "_conv_head", "_bn1")
    return folded


def squeezenet_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays in SqueezeNet's file that the features need."""
    kernels: dict[str, tuple[int, ...]] = {"conv1": (3, 3, 3, 64)}
    for name, (inputs, squeezed, outputs) in FIRES.items():
        kernels[f"{name}/squeeze1x1"] = (1, 1, inputs, squeezed)
        kernels[f"{name}/expand1x1"] = (1, 1, squeezed, outputs)
        kernels[f"{name}/expand3x3"] = (3, 3, squeezed, outputs)
    shapes = {f"{name}/kernel": shape for name, shape in kernels.items()}
    return shapes | {f"{name}/bias": shape[3:] for name, shape in kernels.items()}


def fold_squeezenet(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """SqueezeNet's arrays, of which 1x1 kernels become matrices (in, out)."""
    return {
        name: array[0, 0] if array.shape[:2] == (1, 1) else array for name, array in arrays.items()
    }


FEATURES = {
    "efficientnet-lite0": FeatureNetwork(
        "efficientnet-lite0", 224, 1280, 16, lite0_shapes, fold_lite0, lite0
    ),
    "squeezenet": FeatureNetwork(
        "squeezenet", 227, 512, 16, squeezenet_shapes, fold_squeezenet, squeezenet
    ),
}
"""The networks by the names that the command's --features takes."""


def _relu6(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0.0, 6.0)


def _pool(x: jax.Array) -> jax.Array:
    """The maximum of 3x3 at a stride of 2; rows that fill no window are dropped."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")


def _pointwise(x: jax.Array, variables: Arrays, name: str) -> jax.Array:
    """A 1x1 convolution as a matrix product."""
    kernel = variables[f"{name}/kernel"]
    y = x.reshape(-1, x.shape[3]) @ kernel + variables[f"{name}/bias"]
    return y.reshape(*x.shape[:3], kernel.shape[1])


def _dense_conv(x: jax.Array, variables: Arrays, name: str, stride: int) -> jax.Array:
    kernel = jnp.asarray(variables[f"{name}/kernel"])
    return conv(x, kernel, jnp.asarray(variables[f"{name}/bias"]), stride=stride)


def _depthwise(x: jax.Array, variables: Arrays, name: str, stride: int) -> jax.Array:
    """A depthwise convolution as a sum of shifted products; padding is TensorFlow's "same"."""
    kernel = variables[f"{name}/kernel"]
    geometry = geometry_of(x.shape[1:3], kernel.shape[:2], stride, "SAME")
    x = jnp.pad(x, ((0, 0), *geometry.pads, (0, 0)))
    # Otherwise XLA pads once more for each product.
    x = lax.optimization_barrier(x)
    rows, columns = geometry.small
    y: jax.Array = jnp.asarray(variables[f"{name}/bias"])
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            end = (i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1)
            part = lax.slice(
                x, (0, i, j, 0), (x.shape[0], *end, x.shape[3]), (1, stride, stride, 1)
            )
            y = y + part * kernel[i, j]
    return y
