"""CCNN's trunk (Hsu, Lin 2018, section II): stacked convolutions, adaptation layers, global max pooling.

The head on top of it, FC9 and softmax, is part of the algorithm's state: ``algorithms/ccnn.py``.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.networks import backbones
from jaxclust.networks.from_flax import as_network
from jaxclust.networks.layers import Conv, ConvTranspose, Dense
from jaxclust.networks.shapes import Shape, check_sizes, padded
from jaxclust.types import Network, Variables

ADAPTATION = (6144, 2048)
"""Channels of conv6 and conv7 (section II)."""


@lru_cache
def ccnn(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = (32, 64),
    adaptation: tuple[int, ...] = (128, 64),
    norm: bool = False,
) -> Network:
    """The simplified network for small images.

    The paper's (figure 4) removes "some convolution layers"; which, the text does not say. Ours keeps two of five, 5x5
    as AlexNet's second, with strides of 2 in place of the pooling between them: a map of a quarter of the image's
    rows remains, 7x7 on MNIST, about AlexNet's 6x6. Then conv6, conv7 (3:1 in the paper, 2:1 here) and conv8, 3x3, to
    ``embedding`` channels, whose receptive field is the whole of a 28x28 image. Every convolution has a ReLU. The
    features are conv8's global maximum.

    It has a decoder, for pretraining alone, since the paper's ImageNet is not there: a dense layer from the features
    back to the map of the last of ``filters``, then their mirrored transposed convolutions.

    Args:
      shape: (h, w, c) of the images; sizes that the strides do not divide are padded with zeros.
      embedding: channels of conv8, the number of clusters k in the paper.
      filters: channels of conv1, conv2.
      adaptation: channels of conv6, conv7.
      norm: batch normalisation in conv1 and conv2 (the paper does not say).

    Returns:
      The network, features at least 0, (n, embedding); ``activations`` names the map after each layer.

    Raises:
      ValueError: a size, the embedding or a number of channels is below 1, or there are no filters.
    """
    check_sizes(shape, embedding, (*filters, *adaptation))
    _some(filters)
    step = 2 ** len(filters)
    size = tuple(-(-side // step) * step for side in shape[:2])
    return as_network(partial(_Small, shape, size, filters, norm, (*adaptation, embedding)))


@lru_cache
def ccnn_norm(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = (32, 64),
    adaptation: tuple[int, ...] = (128, 64),
) -> Network:
    """``ccnn`` with batch normalisation in conv1 and conv2."""
    return ccnn(shape, embedding, filters, adaptation, norm=True)


@lru_cache
def ccnn_plain(
    shape: Shape, embedding: int, filters: tuple[int, ...] = (32, 64), adaptation: tuple[()] = ()
) -> Network:
    """``ccnn`` without the adaptation layers (table V): the global maxima of the last map, (n, filters[-1])."""
    check_sizes(shape, embedding, filters)
    _no_layers(adaptation)
    _some(filters)
    step = 2 ** len(filters)
    size = tuple(-(-side // step) * step for side in shape[:2])
    return as_network(partial(_Small, shape, size, filters, False, ()))


@lru_cache
def ccnn_alexnet(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = backbones.ALEXNET,
    adaptation: tuple[int, ...] = ADAPTATION,
) -> Network:
    """The paper's network: AlexNet's conv1 to conv5, conv6 to conv8 of 3x3, global max pooling.

    Args:
      shape: (h, w, c) of the images, h and w at least 63, c 1 or 3; grey is repeated as red, green and blue.
      embedding: channels of conv8, the number of clusters k in the paper.
      filters: channels of conv1 to conv5; torchvision's, so that its weights fit.
      adaptation: channels of conv6, conv7.

    Returns:
      The network, features at least 0, (n, embedding), no decoder; ``activations`` names the map after each layer.

    Raises:
      ValueError: an image too small or of other channels, or a number of channels below 1.
    """
    return _on(backbones.AlexNet, shape, filters, (*adaptation, embedding))


@lru_cache
def ccnn_alexnet_plain(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = backbones.ALEXNET,
    adaptation: tuple[()] = (),
) -> Network:
    """AlexNet without the adaptation layers (table V): the global maxima of conv5's map, (n, filters[-1])."""
    check_sizes(shape, embedding, ())
    _no_layers(adaptation)
    return _on(backbones.AlexNet, shape, filters, ())


@lru_cache
def ccnn_resnet18(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = backbones.RESNET18,
    adaptation: tuple[int, ...] = ADAPTATION,
) -> Network:
    """ResNet-18 in place of conv1 to conv5 (section II names it), else as ``ccnn_alexnet``; images of 32 or more."""
    return _on(backbones.ResNet18, shape, filters, (*adaptation, embedding))


# By how many modules the backbone has.
_TORCH_NAMES: dict[str, Callable[[int], backbones.Names]] = {
    "ccnn": lambda modules: backbones.Small.torch_names(modules, False),
    "ccnn_norm": lambda modules: backbones.Small.torch_names(modules, True),
    "ccnn_plain": lambda modules: backbones.Small.torch_names(modules, False),
    "ccnn_alexnet": lambda modules: backbones.AlexNet.torch_names(),
    "ccnn_alexnet_plain": lambda modules: backbones.AlexNet.torch_names(),
    # The first convolution, and two blocks a stage.
    "ccnn_resnet18": lambda modules: backbones.ResNet18.torch_names((modules - 1) // 2),
}
TRANSFERABLE = tuple(_TORCH_NAMES)
"""Networks whose layers a weights file can hold."""


def torch_names(
    factory: Callable[..., Network], variables: Variables
) -> tuple[backbones.Names, backbones.Names]:
    """What a weights file may hold for a network, by its name there, with the path of our array.

    Args:
      factory: of this module.
      variables: the network's arrays, or their shapes.

    Returns:
      What the file must hold, the backbone; and what it may, the adaptation layers, all of them or none.

    Raises:
      ValueError: not a factory of this module.
    """
    if factory.__name__ not in _TORCH_NAMES:
        raise UsageError(
            f"weights: must be for a network of {', '.join(_TORCH_NAMES)}, got {factory.__name__}"
        )
    found = _TORCH_NAMES[factory.__name__](len(variables.params["backbone"]))
    backbone = {name: (kind, "backbone", *path) for name, (kind, *path) in found.items()}
    layers = [name for name in variables.params if name.startswith("conv")]
    arrays = (("weight", "kernel"), ("bias", "bias"))
    return backbone, {
        f"{name}.{theirs}": ("params", name, ours) for name in layers for theirs, ours in arrays
    }


def _some(filters):
    if not filters:
        raise UsageError("filters: must name at least one convolution's channels, got ()")


def _no_layers(adaptation):
    if adaptation:
        raise UsageError(
            f"adaptation: must be none in a network without adaptation layers, got {adaptation}"
        )


def _on(backbone, shape, filters, widths) -> Network:
    check_sizes(shape, 1, (*filters, *widths))
    _some(filters)
    if backbone is backbones.AlexNet and len(filters) != len(backbones.ALEXNET):
        raise UsageError(
            f"filters: must be the channels of AlexNet's {len(backbones.ALEXNET)} layers, got {filters}"
        )
    least = backbone.LEAST
    if min(shape[:2]) < least or shape[2] not in (1, 3):
        raise UsageError(
            f"shape: must be at least {least} x {least} pixels of 1 or 3 channels for {backbone.__name__}, got {shape}"
        )
    build = partial(_Trunk, partial(backbone, shape, filters), widths)
    return as_network(build)._replace(reconstruct=None)


class _Trunk(nnx.Module):
    """A backbone, then 3x3 convolutions from conv6 on, each with ReLU; the features are the last map's maxima."""

    def __init__(self, backbone, widths, *, rngs):
        self.backbone, self.count = backbone(rngs=rngs), len(widths)
        channels = (self.backbone.channels, *widths)
        for i in range(self.count):
            setattr(self, f"conv{6 + i}", Conv(channels[i], channels[i + 1], 3, rngs=rngs))
        # He's scale in place of Glorot's, under which five layers of ReLU leave features of a length of .02: a step of
        # FC9's biases then moves them further than they lie apart.
        for _, module in nnx.iter_modules(self):
            if isinstance(module, Conv):
                draw = jax.nn.initializers.he_normal()
                module.kernel[...] = draw(rngs.params(), module.kernel.shape, jnp.float32)

    def maps(self, images):
        maps = {}
        x = self.backbone(images, maps)
        for i in range(6, 6 + self.count):
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
        maps["features"] = jnp.max(x, axis=(1, 2))
        return maps

    def encode(self, images):
        return self.maps(images)["features"]


class _Small(_Trunk):
    """``_Trunk`` on padded images, with a decoder from the features."""

    def __init__(self, shape, size, filters, norm, widths, *, rngs):
        super().__init__(partial(backbones.Small, shape, filters, norm), widths, rngs=rngs)
        self.shape, self.size, self.depth = shape, size, len(filters)
        self.inner = (*(side // 2**self.depth for side in size), filters[-1])
        self.dense = Dense(
            (*filters, *widths)[-1], self.inner[0] * self.inner[1] * self.inner[2], rngs=rngs
        )
        channels = (shape[2], *filters)
        for i in range(1, self.depth + 1):
            setattr(
                self,
                f"deconv{i}",
                ConvTranspose(channels[i], channels[i - 1], 5, stride=2, rngs=rngs),
            )

    def maps(self, images):
        return super().maps(padded(images, self.size))

    def reconstruct(self, images):
        features = self.encode(images)
        x = jax.nn.relu(self.dense(features)).reshape(-1, *self.inner)
        for i in range(self.depth, 0, -1):
            x = getattr(self, f"deconv{i}")(x)
            x = x if i == 1 else jax.nn.relu(x)
        return padded(x, self.shape[:2]), features
