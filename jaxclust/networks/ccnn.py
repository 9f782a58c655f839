"""CCNN's trunk (Hsu, Lin 2018, section II).

It has stacked convolutions, adaptation layers and global max pooling. The head on top of it, FC9
and softmax, is part of the algorithm's state: see ``methods/ccnn.py``.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.networks import backbones
from jaxclust.networks.backbones import AlexNet, ResNet18, Small
from jaxclust.networks.from_flax import as_network
from jaxclust.networks.geometry import Window
from jaxclust.networks.imagenet_trunk import ImageNetTrunk
from jaxclust.networks.layers import Conv, ConvTranspose, Dense
from jaxclust.networks.shapes import check_filters, check_sizes, padded
from jaxclust.types import Network, NetworkFactory, Shape, Variables, network_name

ADAPTATION = (6144, 2048)
"""Channels of conv6 and conv7 (section II)."""
NARROW = (384, 128)
"""Channels of conv6 and conv7 in the paper's ratio, a sixteenth as wide, for a CPU."""


@lru_cache
def ccnn(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = (32, 64),
    adaptation: tuple[int, ...] = (128, 64),
    norm: bool = False,
) -> Network:
    """The simplified network for small images.

    The paper's (figure 4) removes "some convolution layers"; the text does not say which. This one
    keeps two of five, 5x5 as AlexNet's second, with strides of 2 in place of the pooling between
    them. A map of a quarter of the image's rows remains: 7x7 on MNIST, about as large as AlexNet's
    6x6. Then conv6, conv7 (3:1 in the paper, 2:1 here) and conv8, of 3x3, lead to ``embedding``
    channels, whose receptive field is the whole of a 28x28 image. Every convolution has a ReLU. The
    features are the global maxima of conv8's map.

    It has a decoder for pretraining alone, since the ImageNet of the paper is not available. It is
    a dense layer from the features back to the map of the last of ``filters``, then the mirrored
    transposed convolutions.

    Args:
      shape: (h, w, c) of the images; sizes that the strides do not divide are padded with zeros.
      embedding: channels of conv8; the paper takes the number of clusters k.
      filters: channels of conv1 and conv2.
      adaptation: channels of conv6 and conv7.
      norm: whether conv1 and conv2 have batch norm (the paper does not say).

    Returns:
      The network, with features of at least 0, (n, embedding); ``activations`` names the map after
      each layer.

    Raises:
      UsageError: a size, the embedding or a number of channels is below 1, or there are no filters.
    """
    check_sizes(shape, embedding, (*filters, *adaptation))
    check_filters(filters)
    return as_network(partial(_Small, shape, filters, norm, (*adaptation, embedding)))


@lru_cache
def ccnn_norm(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = (32, 64),
    adaptation: tuple[int, ...] = (128, 64),
) -> Network:
    """``ccnn`` with batch norm in conv1 and conv2."""
    return ccnn(shape, embedding, filters, adaptation, norm=True)


@lru_cache
def ccnn_plain(
    shape: Shape, embedding: int, filters: tuple[int, ...] = (32, 64), adaptation: tuple[()] = ()
) -> Network:
    """``ccnn`` without the adaptation layers (table V).

    The features are the global maxima of the last map, (n, filters[-1]).
    """
    check_sizes(shape, embedding, filters)
    _check_no_layers(adaptation)
    check_filters(filters)
    return as_network(partial(_Small, shape, filters, False, ()))


@lru_cache
def ccnn_alexnet(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = backbones.ALEXNET,
    adaptation: tuple[int, ...] = ADAPTATION,
) -> Network:
    """The paper's network: AlexNet's conv1 to conv5, conv6 to conv8 of 3x3, global max pooling.

    Args:
      shape: (h, w, c) of the images. h and w are at least 63; c is 1 or 3, and gray is repeated as
        red, green and blue.
      embedding: channels of conv8; the paper takes the number of clusters k.
      filters: channels of conv1 to conv5; by default torchvision's, so that its weights fit.
      adaptation: channels of conv6 and conv7.

    Returns:
      The network, with features of at least 0, (n, embedding), and without a decoder;
      ``activations`` names the map after each layer.

    Raises:
      UsageError: the images are too small or have another number of channels, a number of channels
        is below 1, or there are not five filters.
    """
    return _on(AlexNet, shape, filters, (*adaptation, embedding))


@lru_cache
def ccnn_alexnet_plain(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = backbones.ALEXNET,
    adaptation: tuple[()] = (),
) -> Network:
    """``ccnn_alexnet`` without the adaptation layers (table V).

    The features are the global maxima of conv5's map, (n, filters[-1]).
    """
    check_sizes(shape, embedding, ())
    _check_no_layers(adaptation)
    return _on(AlexNet, shape, filters, ())


@lru_cache
def ccnn_resnet18(
    shape: Shape,
    embedding: int,
    filters: tuple[int, ...] = backbones.RESNET18,
    adaptation: tuple[int, ...] = ADAPTATION,
) -> Network:
    """``ccnn_alexnet`` with ResNet-18 in place of conv1 to conv5 (section II names it).

    Images have at least 32 rows and columns.
    """
    return _on(ResNet18, shape, filters, (*adaptation, embedding))


@lru_cache
def ccnn_squeezenet(
    shape: Shape,
    embedding: int,
    filters: tuple[()] = (),
    adaptation: tuple[int, ...] = NARROW,
) -> Network:
    """``ccnn_alexnet`` with SqueezeNet 1.1 up to fire9 in place of conv1 to conv5.

    Args:
      shape: (h, w, c) of the images. h and w are at least 32; c is 1 or 3. Small images are
        enlarged, see ``imagenet_trunk.ImageNetTrunk``.
      embedding: channels of conv8; the paper takes the number of clusters k.
      filters: none, since the trunk has widths of its own.
      adaptation: channels of conv6 and conv7.

    Returns:
      The network, with features of at least 0, (n, embedding), and without a decoder;
      ``activations`` names the trunk's last map and those after it.

    Raises:
      UsageError: the images are too small or have another number of channels, a number of channels
        is below 1, or filters are given.
    """
    return _on_imagenet("squeezenet", shape, filters, (*adaptation, embedding))


@lru_cache
def ccnn_squeezenet_plain(
    shape: Shape, embedding: int, filters: tuple[()] = (), adaptation: tuple[()] = ()
) -> Network:
    """``ccnn_squeezenet`` without the adaptation layers.

    The features are the global maxima of fire9's map, (n, 512).
    """
    check_sizes(shape, embedding, ())
    _check_no_layers(adaptation)
    return _on_imagenet("squeezenet", shape, filters, ())


@lru_cache
def ccnn_lite0(
    shape: Shape,
    embedding: int,
    filters: tuple[()] = (),
    adaptation: tuple[int, ...] = NARROW,
) -> Network:
    """``ccnn_squeezenet`` with EfficientNet-Lite0 in SqueezeNet's place."""
    return _on_imagenet("efficientnet-lite0", shape, filters, (*adaptation, embedding))


@lru_cache
def ccnn_lite0_plain(
    shape: Shape, embedding: int, filters: tuple[()] = (), adaptation: tuple[()] = ()
) -> Network:
    """``ccnn_lite0`` without the adaptation layers.

    The features are the global maxima of the last map, (n, 1280).
    """
    check_sizes(shape, embedding, ())
    _check_no_layers(adaptation)
    return _on_imagenet("efficientnet-lite0", shape, filters, ())


ON_IMAGENET: dict[NetworkFactory, str] = {
    ccnn_squeezenet: "squeezenet",
    ccnn_squeezenet_plain: "squeezenet",
    ccnn_lite0: "efficientnet-lite0",
    ccnn_lite0_plain: "efficientnet-lite0",
}
"""Factories whose trunk can begin with weights from ImageNet; its name in
``pretrained.FEATURES``."""


# Each function takes the number of modules that the backbone has.
_TORCH_NAMES: dict[NetworkFactory, Callable[[int], backbones.Names]] = {
    ccnn: lambda modules: Small.torch_names(modules, False),
    ccnn_norm: lambda modules: Small.torch_names(modules, True),
    ccnn_plain: lambda modules: Small.torch_names(modules, False),
    ccnn_alexnet: lambda modules: AlexNet.torch_names(),
    ccnn_alexnet_plain: lambda modules: AlexNet.torch_names(),
    # These modules are the first convolution and two blocks for each stage.
    ccnn_resnet18: lambda modules: ResNet18.torch_names((modules - 1) // 2),
}
TRANSFERABLE = tuple(_TORCH_NAMES)
"""Factories of the networks whose layers a weights file can hold."""


def torch_names(
    factory: NetworkFactory, variables: Variables
) -> tuple[backbones.Names, backbones.Names]:
    """The tensors that a weights file may hold for a network.

    Args:
      factory: made the network; one of ``TRANSFERABLE``.
      variables: the network's arrays, or their shapes.

    Returns:
      The names that the file must hold, which are the backbone's; and those that it may hold, which
      are the adaptation layers', all of them or none. Each comes with the path of its array.

    Raises:
      UsageError: the factory is not one of ``TRANSFERABLE``.
    """
    if factory not in _TORCH_NAMES:
        known = ", ".join(network_name(factory) for factory in TRANSFERABLE)
        got = network_name(factory)
        raise UsageError(f"weights: must be for a network of {known}, got {got}")
    names = _TORCH_NAMES[factory](len(variables.params["backbone"]))
    backbone = {name: (kind, "backbone", *path) for name, (kind, *path) in names.items()}
    layers = [name for name in variables.params if name.startswith("conv")]
    arrays = (("weight", "kernel"), ("bias", "bias"))
    return backbone, {
        f"{layer}.{tensor}": ("params", layer, array)
        for layer in layers
        for tensor, array in arrays
    }


def _check_no_layers(adaptation: Sequence[int]) -> None:
    if adaptation:
        rule = "adaptation: must be none in a network without adaptation layers"
        raise UsageError(f"{rule}, got {adaptation}")


def _on(
    backbone: type[AlexNet] | type[ResNet18],
    shape: Shape,
    filters: tuple[int, ...],
    widths: tuple[int, ...],
) -> Network:
    """The network of a backbone with adaptation layers of some widths."""
    check_sizes(shape, 1, (*filters, *widths))
    check_filters(filters)
    if backbone is AlexNet and len(filters) != len(backbones.ALEXNET):
        rule = f"filters: must be the channels of AlexNet's {len(backbones.ALEXNET)} layers"
        raise UsageError(f"{rule}, got {filters}")
    _check_least(shape, backbone.LEAST, backbone.__name__)
    return as_network(partial(_Trunk, partial(backbone, shape, filters), widths))


def _on_imagenet(name: str, shape: Shape, filters: tuple[()], widths: tuple[int, ...]) -> Network:
    """The network of a trunk of ``pretrained.FEATURES`` with adaptation layers of some widths."""
    check_sizes(shape, 1, widths)
    if filters:
        raise UsageError(f"filters: must not be given for {name}, got {filters}")
    _check_least(shape, ImageNetTrunk.LEAST, name)
    return as_network(partial(_Trunk, partial(ImageNetTrunk, name, shape), widths))


def _check_least(shape: Shape, least: int, name: str) -> None:
    if min(shape[:2]) < least or shape[2] not in (1, 3):
        rule = f"shape: must be at least {least} x {least} pixels of 1 or 3 channels"
        raise UsageError(f"{rule} for {name}, got {shape}")


class _Trunk(nnx.Module):
    """A backbone, then 3x3 convolutions from conv6 on, each with a ReLU.

    The features are the global maxima of the last map.
    """

    def __init__(
        self,
        backbone: Callable[..., Small | AlexNet | ResNet18 | ImageNetTrunk],
        widths: tuple[int, ...],
        *,
        rngs: nnx.Rngs,
    ):
        self.backbone = backbone(rngs=rngs)
        self.count = len(widths)
        channels = (self.backbone.channels, *widths)
        for i in range(self.count):
            setattr(self, f"conv{6 + i}", Conv(channels[i], channels[i + 1], Window(3), rngs=rngs))
        # Kernels have He's scale in place of Glorot's. After Glorot's, five layers of ReLU leave
        # features of length 0.02, and a step of FC9's biases moves them further than they lie
        # apart.
        for _, module in nnx.iter_modules(self):
            if isinstance(module, Conv):
                draw = jax.nn.initializers.he_normal()
                module.kernel[...] = draw(rngs.params(), module.kernel.shape, jnp.float32)

    def maps(self, images: jax.Array) -> dict[str, jax.Array]:
        maps = {}
        x = self.backbone(images, maps)
        for i in range(6, 6 + self.count):
            x = maps[f"conv{i}"] = jax.nn.relu(getattr(self, f"conv{i}")(x))
        maps["features"] = jnp.max(x, axis=(1, 2))
        return maps

    def encode(self, images: jax.Array) -> jax.Array:
        return self.maps(images)["features"]


class _Small(_Trunk):
    """``_Trunk`` on padded images, with a decoder from the features."""

    def __init__(
        self,
        shape: Shape,
        filters: tuple[int, ...],
        norm: bool,
        widths: tuple[int, ...],
        *,
        rngs: nnx.Rngs,
    ):
        super().__init__(partial(Small, shape, filters, norm), widths, rngs=rngs)
        self.shape = shape
        self.depth = len(filters)
        step = 2**self.depth
        rows = -(-shape[0] // step)
        columns = -(-shape[1] // step)
        self.size = (rows * step, columns * step)
        self.inner = (rows, columns, filters[-1])
        features = (*filters, *widths)[-1]
        self.dense = Dense(features, rows * columns * filters[-1], rngs=rngs)
        channels = (shape[2], *filters)
        for i in range(1, self.depth + 1):
            layer = ConvTranspose(channels[i], channels[i - 1], Window(5, 2), rngs=rngs)
            setattr(self, f"deconv{i}", layer)

    def maps(self, images: jax.Array) -> dict[str, jax.Array]:
        return super().maps(padded(images, self.size))

    def reconstruct(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = self.encode(images)
        x = jax.nn.relu(self.dense(features)).reshape(-1, *self.inner)
        for i in range(self.depth, 0, -1):
            x = getattr(self, f"deconv{i}")(x)
            x = x if i == 1 else jax.nn.relu(x)
        return padded(x, self.shape[:2]), features
