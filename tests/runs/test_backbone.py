"""Backbones trained on one set's labels, and what clusters from them."""

import re

import jax
import numpy as np
import pytest
from PIL import Image

from jaxclust.cli.main import main
from jaxclust.data import datasets
from jaxclust.engine import driver, weights
from jaxclust.methods import pretraining_supervised
from jaxclust.networks import ccnn, torch_weights
from jaxclust.runs import backbone
from jaxclust.runs.reading import open_run

FLAGS = "--clusters 4 --batch 12 --reliable 4 --sample 50 --epochs 1 --pretraining.epochs 0 "
FLAGS += "--seeds 2 --over map"
REFUSAL = "must not have been trained on the labels of the images to cluster"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_digits):
    """A folder with a labeled set and a file of weights that its labels trained."""
    folder = tmp_path_factory.mktemp("transfer")
    np.savez(folder / "labeled.npz", images=few_digits[0], labels=few_digits[1])
    command = f"weights ccnn --data {folder / 'labeled.npz'} --out {folder / 'w.safetensors'}"
    assert main(f"{command} --epochs 40".split()) == 0
    return folder


def test_labels_train_the_backbone(trained, capfd):
    file = trained / "w.safetensors"
    network = ccnn((8, 8, 1), 10)
    kept = torch_weights.read(file, ccnn, network)
    fresh = jax.eval_shape(network.init, jax.random.key(0))
    kernel = kept.arrays["params", "backbone", "conv1", "kernel"]
    assert kernel.shape == fresh.params["backbone"]["conv1"]["kernel"].shape
    arguments = ["weights", "ccnn", "--data", str(trained / "labeled.npz"), "--out"]
    assert main([*arguments, str(file)]) == 2
    assert "out: must not exist" in capfd.readouterr().err
    again = trained / "again.safetensors"
    assert main([*arguments, str(again), "--epochs", "40"]) == 0
    assert again.read_bytes() == file.read_bytes()
    out, err = capfd.readouterr()
    assert float(out.split("accuracy ")[1]) > 0.7, err


def test_a_run_starts_from_the_weights_in_every_seed(trained, tmp_path, few_digits, capsys):
    np.savez(tmp_path / "other.npz", images=few_digits[0][:150, ::-1])
    out = tmp_path / "out"
    command = f"fit ccnn-ii --data {tmp_path / 'other.npz'} {FLAGS} --reliable 12 --out {out} "
    command += "--no-figures --no-baseline"
    assert main(f"{command} --weights {trained / 'w.safetensors'}".split()) == 0
    run = open_run(out)
    kept = torch_weights.read(trained / "w.safetensors", ccnn, ccnn((8, 8, 1), 4))
    assert run.settings.weights == kept.digest
    variables = run.states([0, 1]).variables
    for kernel in variables.params["backbone"]["conv1"]["kernel"]:
        np.testing.assert_array_equal(kernel, kept.arrays["params", "backbone", "conv1", "kernel"])
    capsys.readouterr()
    assert main(f"{command} --resume".split()) == 2
    assert "must hold the same run, differs in weights" in capsys.readouterr().err


def test_the_targets_labels_are_refused(trained, tmp_path, capsys):
    out = tmp_path / "out"
    command = f"fit ccnn-ii --data {trained / 'labeled.npz'} {FLAGS} --reliable 12 --no-figures"
    assert main(f"{command} --weights {trained / 'w.safetensors'} --out {out}".split()) == 2
    assert f"weights: {REFUSAL}" in capsys.readouterr().err
    assert not out.exists()


def test_the_labels_of_a_folder_are_refused_however_it_is_read(tmp_path, few_digits, capsys):
    folder = tmp_path / "set"
    for index, (image, label) in enumerate(
        zip(few_digits[0][:40], few_digits[1][:40], strict=True)
    ):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{index}.png")
    file = tmp_path / "w.safetensors"
    out = tmp_path / "out"
    assert main(f"weights ccnn --data {folder} --out {file} --epochs 1".split()) == 0
    capsys.readouterr()
    # The same pixels from a file are refused, too.
    pixels = tmp_path / "set.npy"
    np.save(pixels, datasets.load(folder).images)
    given = [f"{folder} {how}" for how in ("", "--size 10", "--stream", "--stream --size 10")]
    for data in (*given, f"{pixels} --stream"):
        command = f"fit ccnn --data {data} --out {out} --weights {file} {FLAGS}"
        assert main(command.split()) == 2
        assert REFUSAL in capsys.readouterr().err
        assert not out.exists()


def test_a_named_sets_labels_are_refused_for_its_parts_and_versions(tmp_path):
    network = ccnn((8, 8, 1), 4)
    variables = jax.jit(network.init)(jax.random.key(0))
    file = tmp_path / "w.safetensors"
    torch_weights.write(file, ccnn, variables, torch_weights.TrainedOn("a", None, "mnist"))
    kept = torch_weights.read(file, ccnn, network)
    assert kept.trained_on.named_set == "mnist"
    for data in ("mnist", "mnist-test", "tfds:mnist", "tfds:mnist/test"):
        with pytest.raises(ValueError, match=REFUSAL):
            weights.check_weights(kept, "b", None, data=data)
    for data in (
        "fashion-mnist",
        "tfds:fashion_mnist/train",
        "usps",
        "mnist/pictures",
        "some/mnist",
        "",
    ):
        weights.check_weights(kept, "b", None, data=data)
    fashion = kept._replace(trained_on=kept.trained_on._replace(named_set="fashion-mnist"))
    weights.check_weights(fashion, data="mnist-test")
    with pytest.raises(ValueError, match=REFUSAL):
        weights.check_weights(fashion, data="tfds:fashion_mnist")
    with pytest.raises(ValueError, match=REFUSAL):
        weights.check_weights(fashion, data="fashion-mnist-test")
    unnamed = kept._replace(trained_on=kept.trained_on._replace(named_set=None))
    weights.check_weights(unnamed, data="mnist")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("weights dcec --data digits --out w", "method: must be one of ccnn, .*, got 'dcec'"),
        ("weights --data digits", "method.*: must be given, got none"),
        ("weights ccnn --data {file} --out w", "data: must have labels, got images without"),
        (
            "weights ccnn --data digits --out none/w",
            "out: must be in a folder that exists, got none/w",
        ),
        (
            "fit ccnn-resnet18 --data digits --size 32 --out out",
            "weights: must be given for ccnn-resnet18, or --preset random",
        ),
        (
            "fit ccnn-alexnet --stream --data {file} --out out",
            "weights: must be given for ccnn-alexnet, or --preset random",
        ),
        (
            "fit dcec --data digits --out out --weights {file}",
            "weights: .* must be a readable .safetensors file|must be",
        ),
        (
            "fit ccnn --data digits --out out --weights {file}",
            "weights: .* must be a readable .safetensors file",
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, tmp_path, capsys, few_digits, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "images.npy", few_digits[0][:20])
    assert main(arguments.format(file=tmp_path / "images.npy").split()) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_nothing_is_trained_for_a_file_that_cannot_be_written(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(driver, "start", None)  # Training would begin with it.
    (tmp_path / "there").touch()
    for name, message in (
        ("there", "out: must not exist"),
        ("none/w", "out: must be in a folder that exists"),
    ):
        with pytest.raises(ValueError, match=message):
            backbone.write(tmp_path / name, ccnn, digits, pretraining_supervised.Config(), 0)
