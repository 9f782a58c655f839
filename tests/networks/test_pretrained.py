"""The pretrained networks against plain NumPy forward passes of the files' own arrays."""

import importlib.metadata

import numpy as np
import pytest

from jaxclust.networks import pretrained, pretrained_weights
from jaxclust.networks.pretrained import FEATURES

SIDE = 32
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)


def convolved(x, kernel, stride):
    """A convolution with TensorFlow's "same" padding; x (n, h, w, c), kernel (kh, kw, c, o)."""
    size = kernel.shape[0]
    out = -(-x.shape[1] // stride)
    total = max((out - 1) * stride + size - x.shape[1], 0)
    pad = (total // 2, total - total // 2)
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
    y = np.zeros((len(x), out, out, kernel.shape[3]))
    for row in range(out):
        for column in range(out):
            patch = x[:, row * stride :, column * stride :][:, :size, :size]
            y[:, row, column] = np.einsum("nijc,ijco->no", patch, kernel)
    return y


def depthwise(x, kernel, stride):
    """A convolution of each channel on its own; kernel (kh, kw, c)."""
    maps = [
        convolved(x[..., c : c + 1], kernel[:, :, c, None, None], stride) for c in range(x.shape[3])
    ]
    return np.concatenate(maps, axis=3)


def pooled(x):
    """The maximum of 3x3 at a stride of 2 over whole windows."""
    out = (x.shape[1] - 3) // 2 + 1
    rows = [
        [x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2)) for j in range(out)]
        for i in range(out)
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def lite0(arrays, images):
    """EfficientNet-Lite0's features, with batch norm as a layer of its own."""

    def kernel(name):
        return arrays[f"{name}.weight"].astype(np.float64).transpose(2, 3, 1, 0)

    def norm(x, name):
        mean, variance, scale, shift = (
            arrays[f"{name}.{part}"].astype(np.float64)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * scale + shift

    def relu6(x):
        return np.minimum(np.maximum(x, 0), 6)

    x = (images.astype(np.float64) - 127) / 128
    x = relu6(norm(convolved(x, kernel("_conv_stem"), 2), "_bn0"))
    for index, stride in enumerate(STRIDES):
        name = f"_blocks.{index}"
        y = x
        if f"{name}._expand_conv.weight" in arrays:
            y = relu6(norm(convolved(y, kernel(f"{name}._expand_conv"), 1), f"{name}._bn0"))
        filters = kernel(f"{name}._depthwise_conv")[:, :, 0]
        y = relu6(norm(depthwise(y, filters, stride), f"{name}._bn1"))
        y = norm(convolved(y, kernel(f"{name}._project_conv"), 1), f"{name}._bn2")
        x = x + y if stride == 1 and x.shape[3] == y.shape[3] else y
    return relu6(norm(convolved(x, kernel("_conv_head"), 1), "_bn1")).mean(axis=(1, 2))


def squeezenet(arrays, images):
    """SqueezeNet 1.1's features."""

    def layer(x, name, stride=1):
        y = convolved(x, arrays[f"{name}/kernel"].astype(np.float64), stride)
        return np.maximum(y + arrays[f"{name}/bias"], 0)

    x = images[..., ::-1].astype(np.float64) - (104.006, 116.669, 122.679)
    x = pooled(layer(x, "conv1", 2))
    for number in range(2, 10):
        squeezed = layer(x, f"fire{number}/squeeze1x1")
        parts = [layer(squeezed, f"fire{number}/expand{size}") for size in ("1x1", "3x3")]
        x = np.concatenate(parts, axis=3)
        if number in (3, 5):
            x = pooled(x)
    return x.mean(axis=(1, 2))


REFERENCES = {"efficientnet-lite0": lite0, "squeezenet": squeezenet}


def random_arrays(shapes):
    """Arrays under which the maps neither vanish nor grow."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes.items():
        if len(shape) == 4:
            # The file of SqueezeNet has the output's channels last, that of Lite0 first.
            fan = np.prod(shape) / (shape[3] if "/" in name else shape[0])
            arrays[name] = rng.standard_normal(shape) * np.sqrt(2 / fan)
        elif name.endswith(("weight", "running_var")):
            arrays[name] = rng.uniform(0.5, 1.5, shape)
        else:
            arrays[name] = 0.1 * rng.standard_normal(shape)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


@pytest.mark.parametrize("name", FEATURES)
def test_random_weights_give_what_numpy_gives(name, images):
    network = FEATURES[name]._replace(batch=3)
    arrays = random_arrays(network.shapes())
    found = network.embed(network.fold(arrays), images)
    expected = REFERENCES[name](arrays, images)
    assert found.dtype == np.float32
    assert found.shape == (2, network.dimension)
    scale = np.abs(expected).max()
    assert expected.std() > 0.01 * scale
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


@pytest.mark.parametrize("name", FEATURES)
def test_the_real_weights_give_what_numpy_gives(name, images, tmp_path):
    package = pretrained_weights.PACKAGES[name].name
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}")
    network = FEATURES[name]._replace(batch=2)
    arrays = pretrained_weights.from_package(name)
    found = network.embed(pretrained_weights.load(name, tmp_path), images)
    expected = REFERENCES[name](arrays, images)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_picture_does_not_depend_on_its_batch(images):
    network = FEATURES["squeezenet"]._replace(batch=2)
    variables = network.fold(random_arrays(network.shapes()))
    three = np.concatenate([images, images[:1]])
    found = network.embed(variables, three)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1:2], network.embed(variables, images[1:]))


def test_the_blocks_are_those_of_the_paper():
    assert tuple(block.stride for block in pretrained.BLOCKS) == STRIDES
    assert len(pretrained.lite0_shapes()) == 245
