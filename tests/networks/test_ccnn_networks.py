"""CCNN's networks against PyTorch's, the weights file between them, and what it must not hold."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxclust.methods.registry import METHODS
from jaxclust.networks import (
    backbones,
    ccnn,
    ccnn_alexnet,
    ccnn_alexnet_plain,
    ccnn_resnet18,
    torch_weights,
)
from jaxclust.networks.backbones import DEVIATION, MEAN, normalized
from jaxclust.networks.ccnn import ccnn_plain

ALEXNET, RESNET18 = (4, 6, 8, 5, 7), (4, 6, 8, 10)


def images(shape, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def start(network):
    """Variables as ``init`` lays them out, drawn by NumPy.

    Compiling a draw for each kernel would take seconds.
    """
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(
        lambda a: jnp.asarray(np.abs(0.2 * rng.normal(size=a.shape)), a.dtype), tree
    )


def torch_alexnet(torch, filters):
    """torchvision's ``alexnet().features`` up to conv5, with other widths."""
    nn, (a, b, c, d, e) = torch.nn, filters
    return nn.Sequential(
        *(nn.Conv2d(3, a, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(b, c, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(c, d, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(d, e, 3, padding=1), nn.ReLU()),
    )


def torch_resnet18(torch, filters):
    """torchvision's ResNet-18 up to layer4, with other widths and torchvision's names."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            if stride > 1:
                shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))
            self.stride = stride

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + (self.downsample(x) if self.stride > 1 else x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, filters[0], 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(filters[0])
            inputs = filters[0]
            for i, outputs in enumerate(filters, 1):
                pair = nn.Sequential(
                    Block(inputs, outputs, 1 if i == 1 else 2), Block(outputs, outputs, 1)
                )
                setattr(self, f"layer{i}", pair)
                inputs = outputs

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
            for i in range(1, len(filters) + 1):
                x = getattr(self, f"layer{i}")(x)
            return x

    net = Net()
    for (
        name,
        buffer,
    ) in net.named_buffers():  # Statistics other than 0 and 1, or their layout would not be tested.
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return net.eval()


def torch_input(torch, batch):
    x = (batch / 255 - np.array(MEAN)) / np.array(DEVIATION)
    return torch.tensor(x.transpose(0, 3, 1, 2).astype(np.float32))


@pytest.mark.parametrize(
    ("factory", "make", "filters", "side", "prefix", "last"),
    [
        (ccnn_alexnet, torch_alexnet, ALEXNET, 70, "features.", "conv5"),
        (ccnn_resnet18, torch_resnet18, RESNET18, 45, "", "layer4"),
        # At torchvision's own widths.
        (ccnn_alexnet, torch_alexnet, backbones.ALEXNET, 224, "features.", "conv5"),
        (ccnn_resnet18, torch_resnet18, backbones.RESNET18, 64, "", "layer4"),
    ],
)
def test_a_file_of_pytorchs_weights_gives_pytorchs_maps(
    tmp_path, factory, make, filters, side, prefix, last
):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = make(torch, filters).eval()
    tensors = {
        f"{prefix}{name}": tensor.detach().numpy() for name, tensor in theirs.state_dict().items()
    }
    tensors["classifier.6.weight"] = np.zeros(
        (3, 2), np.float32
    )  # Left alone, as is num_batches_tracked.
    save_file(tensors, tmp_path / "w.safetensors")
    network = factory((side, side, 3), 5, filters, (6, 4))
    variables = torch_weights.placed(
        start(network), torch_weights.read(tmp_path / "w.safetensors", factory, network)
    )
    batch = images((side, side, 3))
    maps = jax.jit(network.activations)(variables, batch)
    with torch.no_grad():
        expected = theirs(torch_input(torch, batch)).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(maps[last], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_trunk_is_the_papers(tmp_path):
    torch = pytest.importorskip("torch")
    network = ccnn_alexnet((64, 66, 1), 5, ALEXNET, (6, 4))
    variables = start(network)
    batch = images((64, 66, 1))
    maps = jax.jit(network.activations)(variables, batch)
    with torch.no_grad():
        x = torch.tensor(np.array(maps["conv5"]).transpose(0, 3, 1, 2))
        x = torch.nn.functional.max_pool2d(x, 3, 2)
        for i in (6, 7, 8):
            kernel, bias = (
                np.array(variables.params[f"conv{i}"][name]) for name in ("kernel", "bias")
            )
            x = torch.relu(torch.nn.functional.conv2d(x, *_torch(torch, kernel, bias), padding=1))
        expected = x.amax(dim=(2, 3)).numpy()  # global max pooling
    assert expected.shape == (2, 5)
    np.testing.assert_allclose(maps["features"], expected, rtol=1e-4)
    features, stats = jax.jit(network.encode, static_argnums=2)(variables, batch, False)
    np.testing.assert_allclose(features, expected, rtol=1e-4)
    assert stats == {}


def _torch(torch, kernel, bias):
    return torch.tensor(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))), torch.tensor(bias)


@pytest.mark.slow
def test_the_full_width_forward_pass():
    network = ccnn_alexnet((224, 224, 3), 365)
    variables = start(network)
    kernels = {name: variables.params[name]["kernel"].shape for name in ("conv6", "conv7", "conv8")}
    assert kernels == {
        "conv6": (3, 3, 256, 6144),
        "conv7": (3, 3, 6144, 2048),
        "conv8": (3, 3, 2048, 365),
    }
    features, _ = jax.jit(network.encode, static_argnums=2)(
        variables, images((224, 224, 3), 1), False
    )
    assert features.shape == (1, 365)
    assert np.isfinite(features).all()


def test_the_simplified_network_is_the_stated_one():
    network = ccnn((28, 28, 1), 10)
    shapes = jax.tree.map(lambda a: a.shape, jax.eval_shape(network.init, jax.random.key(0)).params)
    assert shapes == {
        "backbone": {
            "conv1": {"kernel": (5, 5, 1, 32), "bias": (32,)},
            "conv2": {"kernel": (5, 5, 32, 64), "bias": (64,)},
        },
        "conv6": {"kernel": (3, 3, 64, 128), "bias": (128,)},
        "conv7": {"kernel": (3, 3, 128, 64), "bias": (64,)},
        "conv8": {"kernel": (3, 3, 64, 10), "bias": (10,)},
        "dense": {"kernel": (10, 3136), "bias": (3136,)},
        "deconv2": {"kernel": (5, 5, 32, 64), "bias": (32,)},
        "deconv1": {"kernel": (5, 5, 1, 32), "bias": (1,)},
    }


@pytest.mark.parametrize(
    ("factory", "last", "shape"),
    [
        (ccnn_plain, "conv2", (9, 8, 1)),
        (partial(ccnn_alexnet_plain, filters=ALEXNET), "conv5", (64, 64, 1)),
    ],
)
def test_without_adaptation_layers_features_are_the_last_maps_maxima(factory, last, shape):
    network, batch = factory(shape, 5), images(shape)
    variables = start(network)
    features, _ = jax.jit(network.encode, static_argnums=2)(variables, batch, False)
    maps = jax.jit(network.activations)(variables, batch)
    assert np.ptp(maps[last], axis=(1, 2)).max() > 0
    np.testing.assert_allclose(features, np.max(maps[last], axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("name", ["ccnn", "ccnn-norm", "ccnn-alexnet", "ccnn-resnet18"])
def test_widths_are_settings(name):
    widths = {"ccnn-alexnet": ALEXNET, "ccnn-resnet18": RESNET18}.get(name, (3, 4))
    method = METHODS[name].with_settings({"filters": widths, "adaptation": (5, 6)})
    network = method.build((64, 64, 1))
    kernels = jax.eval_shape(network.init, jax.random.key(0)).params
    assert kernels["conv6"]["kernel"].shape == (3, 3, widths[-1], 5)
    assert kernels["conv7"]["kernel"].shape == (3, 3, 5, 6)
    assert kernels["conv8"]["kernel"].shape == (3, 3, 6, 10)


def test_a_network_without_adaptation_layers_takes_no_widths_of_them():
    method = METHODS["ccnn-alexnet-plain"]
    method.with_settings({"filters": ALEXNET}).build((64, 64, 1))
    with pytest.raises(
        ValueError, match="adaptation: must be none in a network without adaptation layers, got "
    ):
        method.with_settings({"adaptation": (5,)}).build((64, 64, 1))


@pytest.mark.parametrize("shape", [(16, 16, 1), (13, 18, 3)])
def test_the_simplified_network_returns_images_of_any_size(shape):
    network = ccnn(shape, 4, (3, 4), (5,))
    batch = images(shape)
    reconstruction, features, _ = jax.jit(network.reconstruct, static_argnums=2)(
        start(network), batch, True
    )
    assert reconstruction.shape == batch.shape
    assert features.shape == (2, 4)
    assert (np.asarray(features) >= 0).all()


def test_running_statistics_change_in_training_alone():
    network = ccnn((8, 8, 1), 4, (3, 4), (5,), True)
    variables = start(network)
    batch = images((8, 8, 1), 6)
    for train, moves in ((False, False), (True, True)):
        _, stats = network.encode(variables, batch, train)
        moved = any(
            jax.tree.leaves(
                jax.tree.map(lambda a, b: bool(jnp.any(a != b)), stats, variables.stats)
            )
        )
        assert moved is moves


@pytest.mark.parametrize(
    ("factory", "shape", "message"),
    [
        (
            ccnn_alexnet,
            (62, 80, 3),
            r"shape: must be at least 63 x 63 pixels of 1 or 3 channels .*\(62, 80, 3\)",
        ),
        (
            ccnn_resnet18,
            (32, 32, 2),
            r"shape: must be at least 32 x 32 pixels of 1 or 3 channels .*\(32, 32, 2\)",
        ),
    ],
)
def test_images_that_a_backbone_cannot_take_are_refused(factory, shape, message):
    with pytest.raises(ValueError, match=message):
        factory(shape, 5)


def test_gray_images_are_normalized_as_color():
    gray = images((4, 4, 1)).astype(np.float32) / 255
    color = np.repeat(gray, 3, axis=3)
    np.testing.assert_array_equal(normalized(gray), normalized(color))
    np.testing.assert_allclose(
        normalized(color), (color - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], rtol=1e-4
    )


def test_the_first_kernels_have_hes_spread():
    kernels = jax.jit(ccnn((8, 8, 1), 4).init)(jax.random.key(0)).params
    for name, fan in (("conv6", 64), ("conv7", 128)):
        assert float(jnp.std(kernels[name]["kernel"])) == pytest.approx(
            (2 / (9 * fan)) ** 0.5, rel=0.02
        )


@pytest.mark.parametrize(
    ("factory", "filters", "message"),
    [
        (
            ccnn_alexnet,
            (4, 6),
            r"filters: must be the channels of AlexNet's 5 layers, got \(4, 6\)",
        ),
        (ccnn_alexnet, (4, 6, 8, 5, 7, 9), "filters: must be the channels of AlexNet's 5 layers"),
        (ccnn_resnet18, (), "filters: must name at least one"),
        (ccnn_plain, (), "filters: must name at least one"),
    ],
)
def test_filters_that_make_no_backbone_are_refused(factory, filters, message):
    with pytest.raises(ValueError, match=message):
        factory((64, 64, 3), 4, filters)
