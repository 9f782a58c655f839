"""Weights files: what is written is read again, and files that do not fit are named."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxclust.errors import UsageError
from jaxclust.networks import (
    ccnn,
    ccnn_alexnet,
    ccnn_alexnet_plain,
    ccnn_norm,
    ccnn_resnet18,
    torch_weights,
)
from jaxclust.networks.ccnn import ccnn_plain, torch_names
from jaxclust.networks.torch_weights import TrainedOn

ALEXNET, RESNET18 = (4, 6, 8, 5, 7), (4, 6, 8, 10)


def start(network):
    """Variables as ``init`` lays them out, drawn by NumPy.

    Compiling a draw for each kernel would take seconds.
    """
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(
        lambda a: jnp.asarray(np.abs(0.2 * rng.normal(size=a.shape)), a.dtype), tree
    )


@pytest.mark.parametrize("factory", [ccnn, ccnn_norm])
def test_written_weights_are_read_again(tmp_path, factory):
    network = factory((8, 8, 1), 4)
    variables = start(network)
    path = tmp_path / "w.safetensors"
    torch_weights.write(path, factory, variables, TrainedOn(images="abc"))
    found = torch_weights.read(path, factory, network)
    assert found.trained_on == TrainedOn(images="abc")
    again = torch_weights.placed(jax.tree.map(jnp.zeros_like, variables), found)
    for name, leaf in torch_weights._flat(again).items():
        backbone = "backbone" in name
        np.testing.assert_array_equal(
            leaf, torch_weights._flat(variables)[name] if backbone else np.zeros_like(leaf)
        )
    with pytest.raises(ValueError, match="out: must not exist, got"):
        torch_weights.write(path, factory, variables)


def test_lanes_get_the_same_weights(tmp_path):
    network = ccnn((8, 8, 1), 4)
    torch_weights.write(tmp_path / "w.safetensors", ccnn, start(network))
    lanes = jax.tree.map(lambda a: jnp.zeros((3, *a.shape), a.dtype), start(network))
    found = torch_weights.placed(
        lanes, torch_weights.read(tmp_path / "w.safetensors", ccnn, network)
    )
    kernel = found.params["backbone"]["conv1"]["kernel"]
    assert kernel.shape[0] == 3
    np.testing.assert_array_equal(kernel[2], start(network).params["backbone"]["conv1"]["kernel"])


def test_adaptation_layers_are_read_where_they_are_all_there(tmp_path):
    network = ccnn((8, 8, 1), 4)
    path = tmp_path / "w.safetensors"
    torch_weights.write(path, ccnn, start(network))
    arrays = load_file(path)
    shapes = {6: (128, 64, 3, 3), 7: (64, 128, 3, 3), 8: (4, 64, 3, 3)}
    for i, shape in shapes.items():
        arrays |= {
            f"conv{i}.weight": np.ones(shape, np.float32),
            f"conv{i}.bias": np.ones(shape[0], np.float32),
        }
    save_file(arrays, path)
    assert len(torch_weights.read(path, ccnn, network).arrays) == 4 + 6
    del arrays["conv7.bias"]
    save_file(arrays, path)
    with pytest.raises(
        ValueError, match="must hold every layer in the network's shape, misses conv7.bias"
    ):
        torch_weights.read(path, ccnn, network)


@pytest.mark.parametrize("adaptation", [(), (5,), (5, 6, 7)])
def test_any_number_of_adaptation_layers_is_read(tmp_path, adaptation):
    network = ccnn((8, 8, 1), 4, (3, 2), adaptation)
    variables = start(network)
    path = tmp_path / "w.safetensors"
    torch_weights.write(path, ccnn, variables)
    widths, arrays = (2, *adaptation, 4), load_file(path)
    for i in range(len(adaptation) + 1):
        arrays[f"conv{6 + i}.weight"] = np.full((widths[i + 1], widths[i], 3, 3), i + 1, np.float32)
        arrays[f"conv{6 + i}.bias"] = np.full(widths[i + 1], i + 1, np.float32)
    save_file(arrays, path)
    found = torch_weights.placed(variables, torch_weights.read(path, ccnn, network)).params
    for i in range(len(adaptation) + 1):
        assert (found[f"conv{6 + i}"]["kernel"] == i + 1).all()
    last = f"conv{6 + len(adaptation)}.bias"
    del arrays[last]
    save_file(arrays, path)
    with pytest.raises(ValueError, match=f"misses {last}"):
        torch_weights.read(path, ccnn, network)


def test_weights_that_do_not_fit_are_named(tmp_path):
    network = ccnn((8, 8, 1), 4)
    path = tmp_path / "w.safetensors"
    torch_weights.write(path, ccnn, start(network))
    good = load_file(path)
    assert good["conv2.weight"].shape == (64, 32, 5, 5)
    ours = start(network).params["backbone"]["conv2"]["kernel"]
    # PyTorch's order: (output, input, row, column).
    np.testing.assert_array_equal(good["conv2.weight"][3, 2, 1, 4], ours[1, 4, 2, 3])
    read = torch_weights.read(path, ccnn, network).arrays["params", "backbone", "conv2", "kernel"]
    np.testing.assert_array_equal(read[1, 4, 2, 3], good["conv2.weight"][3, 2, 1, 4])
    cases = [
        ({k: v for k, v in good.items() if "conv2" not in k}, "misses conv2.bias, conv2.weight"),
        (
            good | {"conv1.weight": np.zeros((32, 3, 5, 5), np.float32)},
            r"conv1.weight \(32, 3, 5, 5\) instead of \(32",
        ),
        (
            {k: v for k, v in good.items() if k != "conv2.bias"}
            | {"conv1.bias": np.zeros(31, np.float32)},
            r"misses conv2.bias and has conv1.bias \(31,\) instead of \(32,\)",
        ),
        (
            good | {"conv1.bias": np.full(32, np.nan, np.float32)},
            "finite in float32, has others in conv1.bias",
        ),
        (good | {"conv1.bias": np.full(32, 1e300)}, "finite in float32, has others in conv1.bias"),
        (
            good | {"conv1.bias": np.zeros(32, np.int32)},
            "finite in float32, has others in conv1.bias",
        ),
    ]
    for arrays, message in cases:
        save_file(arrays, path)
        with pytest.raises(ValueError, match=message):
            torch_weights.read(path, ccnn, network)
    path.write_bytes(b"\x00" * 20)
    with pytest.raises(ValueError, match="must be a readable .safetensors file"):
        torch_weights.read(path, ccnn, network)
    with pytest.raises(ValueError, match="is not there"):
        torch_weights.read(tmp_path / "none", ccnn, network)


def test_every_factorys_names_are_places_in_its_network():
    sides = ((ccnn, 8), (ccnn_norm, 8), (ccnn_plain, 8))
    for factory, side in (
        *sides,
        (ccnn_alexnet, 64),
        (ccnn_alexnet_plain, 64),
        (ccnn_resnet18, 32),
    ):
        shapes = jax.eval_shape(factory((side, side, 3), 4).init, jax.random.key(0))
        leaves = torch_weights._flat(shapes)
        for names in torch_names(factory, shapes):
            assert set(names.values()) <= leaves.keys(), factory
        backbone = {place for place in leaves if place[1] == "backbone"}
        assert backbone == set(torch_names(factory, shapes)[0].values()), factory


@pytest.mark.parametrize(
    ("factory", "widths", "others"),
    [
        (ccnn, (3, 4, 5), (3, 4)),
        (ccnn_norm, (3,), ()),
        pytest.param(ccnn_resnet18, (2, 3), (2,), marks=pytest.mark.slow),
    ],
)
def test_weights_of_any_number_of_layers(factory, widths, others, tmp_path):
    network = factory((32, 32, 3), 4, widths)
    variables = start(network)
    torch_weights.write(tmp_path / "w.safetensors", factory, variables)
    found = torch_weights.placed(
        jax.tree.map(jnp.zeros_like, variables),
        torch_weights.read(tmp_path / "w.safetensors", factory, network),
    )
    for name, leaf in torch_weights._flat(found).items():
        if name[1] == "backbone":
            np.testing.assert_array_equal(leaf, torch_weights._flat(variables)[name])
    if others:
        fewer = factory((32, 32, 3), 4, others)
        torch_weights.write(tmp_path / "fewer.safetensors", factory, start(fewer))
        present = torch_names(factory, start(fewer))[0].keys()
        missing = sorted(torch_names(factory, variables)[0].keys() - present)
        with pytest.raises(
            ValueError, match=f"every layer in the network's shape, misses {', '.join(missing)}$"
        ):
            torch_weights.read(tmp_path / "fewer.safetensors", factory, network)


def test_a_disk_without_room_is_refused_before_the_training_and_nothing_is_left(
    tmp_path, monkeypatch
):
    real = Path.write_bytes

    def full(path, content):
        real(path, content[:9])
        raise OSError(28, "No space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    variables = start(ccnn((8, 8, 1), 4))
    path = tmp_path / "w.safetensors"
    for write in (torch_weights.check_room, torch_weights.write):
        with pytest.raises(UsageError, match=r"must be in a folder that can be written to .*space"):
            write(path, ccnn, variables)
        assert list(tmp_path.iterdir()) == []
