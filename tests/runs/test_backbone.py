"""Backbones trained on one set's labels, and what clusters from them."""

import jax
import numpy as np
import pytest
from PIL import Image

from jaxclust.cli.main import main
from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.networks import ccnn, torch_weights
from jaxclust.runs.settings import read_settings

FLAGS = "--clusters 4 --batch 12 --reliable 4 --sample 50 --epochs 1 --pretraining.epochs 0 --seeds 2 --over map"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_digits):
    """A file of weights, and the labelled set behind it."""
    folder = tmp_path_factory.mktemp("transfer")
    np.savez(folder / "labelled.npz", images=few_digits[0], labels=few_digits[1])
    arguments = [
        "weights",
        "ccnn",
        "--data",
        str(folder / "labelled.npz"),
        "--out",
        str(folder / "w.safetensors"),
    ]
    assert main([*arguments, "--epochs", "40"]) == 0
    return folder


def test_labels_train_the_backbone(trained, capfd, few_digits):
    file = trained / "w.safetensors"
    network = ccnn((8, 8, 1), 10)
    found = torch_weights.read(file, ccnn, network)
    fresh = network.init(jax.random.key(0))
    kernel = found.arrays["params", "backbone", "conv1", "kernel"]
    assert kernel.shape == fresh.params["backbone"]["conv1"]["kernel"].shape
    arguments = ["weights", "ccnn", "--data", str(trained / "labelled.npz"), "--out"]
    assert main([*arguments, str(file)]) == 2
    assert "out: must not exist" in capfd.readouterr().err
    again = trained / "again.safetensors"
    assert main([*arguments, str(again), "--epochs", "40"]) == 0
    assert again.read_bytes() == file.read_bytes()
    out, err = capfd.readouterr()
    assert float(out.split("accuracy ")[1]) > 0.7, err


def test_a_run_starts_from_the_weights_in_every_seed(trained, tmp_path, few_digits, capsys):
    np.savez(tmp_path / "other.npz", images=few_digits[0][:150, ::-1])
    command = f"fit ccnn-ii --data {tmp_path / 'other.npz'} {FLAGS} --reliable 12 --no-figures --no-baseline".split()
    out = tmp_path / "out"
    assert main([*command, "--weights", str(trained / "w.safetensors"), "--out", str(out)]) == 0
    settings = read_settings(out)
    found = torch_weights.read(trained / "w.safetensors", ccnn, ccnn((8, 8, 1), 4))
    assert settings["weights"] == found.digest

    from jaxclust.runs.predict import configuration

    method, config, pretraining = configuration(settings, out)
    runs = fit.restored(method, config, pretraining, (150, 8, 8, 1), (0, 1), out / "checkpoint")
    backbone = runs.state.variables.params["backbone"]["conv1"]["kernel"]
    for lane in range(2):
        np.testing.assert_array_equal(
            backbone[lane], found.arrays["params", "backbone", "conv1", "kernel"]
        )
    capsys.readouterr()
    assert main([*command, "--out", str(out), "--resume"]) == 2
    assert "must hold the same run, differs in weights" in capsys.readouterr().err


def test_the_targets_labels_are_refused(trained, tmp_path, capsys):
    command = (
        f"fit ccnn-ii --data {trained / 'labelled.npz'} {FLAGS} --reliable 12 --no-figures".split()
    )
    out = tmp_path / "out"
    assert main([*command, "--weights", str(trained / "w.safetensors"), "--out", str(out)]) == 2
    assert (
        "weights: must not have been trained on the labels of the images to cluster"
        in capsys.readouterr().err
    )
    assert not out.exists()


def test_the_labels_of_a_folder_are_refused_however_it_is_read(tmp_path, few_digits, capsys):
    for index, (image, label) in enumerate(
        zip(few_digits[0][:40], few_digits[1][:40], strict=True)
    ):
        place = tmp_path / "set" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{index}.png")
    file, out = tmp_path / "w.safetensors", tmp_path / "out"
    assert main(f"weights ccnn --data {tmp_path / 'set'} --out {file} --epochs 1".split()) == 0
    capsys.readouterr()
    for how in ("", "--size 10", "--stream", "--stream --size 10"):
        assert (
            main(
                f"fit ccnn --data {tmp_path / 'set'} --out {out} --weights {file} {FLAGS} {how}".split()
            )
            == 2
        )
        assert "must not have been trained on the labels" in capsys.readouterr().err
        assert not out.exists()
    # The same pixels, from a file.
    np.save(tmp_path / "set.npy", datasets.load(tmp_path / "set").images)
    assert (
        main(
            f"fit ccnn --data {tmp_path / 'set.npy'} --out {out} --weights {file} {FLAGS} --stream".split()
        )
        == 2
    )
    assert "must not have been trained on the labels" in capsys.readouterr().err


def test_a_named_sets_labels_are_refused_for_its_parts_and_versions(tmp_path):
    network, message = (
        ccnn((8, 8, 1), 4),
        "must not have been trained on the labels of the images to cluster",
    )
    variables = jax.jit(network.init)(jax.random.key(0))
    torch_weights.write(tmp_path / "w.safetensors", ccnn, variables, "a", None, "mnist")
    found = torch_weights.read(tmp_path / "w.safetensors", ccnn, network)
    assert found.trained_on_set == "mnist"
    for data in ("mnist", "mnist-test", "tfds:mnist", "tfds:mnist/test"):
        with pytest.raises(ValueError, match=message):
            fit.check_weights(found, "b", None, data=data)
    for data in (
        "fashion-mnist",
        "tfds:fashion_mnist/train",
        "usps",
        "mnist/pictures",
        "some/mnist",
        "",
    ):
        fit.check_weights(found, "b", None, data=data)
    fashion = found._replace(trained_on_set="fashion-mnist")
    fit.check_weights(fashion, data="mnist-test")
    with pytest.raises(ValueError, match=message):
        fit.check_weights(fashion, data="tfds:fashion_mnist")
    fit.check_weights(found._replace(trained_on_set=None), data="mnist")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("weights dcec --data digits --out w", "method: must be one of ccnn, .*, got 'dcec'"),
        ("weights --data digits", "method: must be one of ccnn"),
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
    import re

    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "images.npy", few_digits[0][:20])
    assert main(arguments.format(file=tmp_path / "images.npy").split()) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_nothing_is_trained_for_a_file_that_cannot_be_written(tmp_path, digits, monkeypatch):
    from jaxclust.engine import driver
    from jaxclust.methods import pretraining_supervised
    from jaxclust.runs import backbone

    monkeypatch.setattr(driver, "start", None)  # Training would begin with it.
    (tmp_path / "there").touch()
    for name, message in (
        ("there", "out: must not exist"),
        ("none/w", "out: must be in a folder that exists"),
    ):
        with pytest.raises(ValueError, match=message):
            backbone.write(tmp_path / name, ccnn, digits, pretraining_supervised.Config(), 0)
