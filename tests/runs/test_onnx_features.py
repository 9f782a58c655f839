"""A user's own network in an ONNX file: its input, its scaling, its output, refusals."""

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.errors import UsageError
from jaxclust.runs import embedders, features, onnx_features

onnx = pytest.importorskip("onnx", reason="needs the package onnx")
pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))


def network(path, shape, kind="FLOAT", operation="Identity"):
    """A network whose output is its input, as floats; or what an operation makes of it."""
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("x", getattr(TensorProto, kind), shape)
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node(operation, ["f"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [given], [gives])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)


@pytest.mark.parametrize("shape", [("n", 3, 6, 6), (None, 6, 6, 3), (2, 3, 6, 6)])
def test_a_map_is_averaged_over_space(shape, images, tmp_path):
    path = network(tmp_path / "m.onnx", shape)
    found = onnx_features.open_network(str(path))
    assert found.shape == (6, 6, 3)
    assert found.dimension == 3
    expected = (images / 255).mean(axis=(1, 2))
    np.testing.assert_allclose(found.embed(images), expected, rtol=1e-5)


def test_scaling_and_size_are_in_the_name(images, tmp_path):
    path = network(tmp_path / "m.onnx", ("n", 3, "h", "w"))
    address = f"{path}?size=6&mean=.1,.2,.3&std=2&output=y"
    found = onnx_features.open_network(address)
    expected = ((images / 255).mean(axis=(1, 2)) - (0.1, 0.2, 0.3)) / 2
    np.testing.assert_allclose(found.embed(images), expected, rtol=1e-4, atol=1e-6)


def test_vectors_are_flattened(images, tmp_path):
    path = network(tmp_path / "m.onnx", ("n", 3, 6, 6), operation="Flatten")
    found = onnx_features.open_network(str(path)).embed(images)
    expected = images.transpose(0, 3, 1, 2).reshape(5, -1) / 255
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32


def test_whole_numbers_stay(images, tmp_path):
    path = network(tmp_path / "m.onnx", ("n", 6, 6, 3), "UINT8")
    found = onnx_features.open_network(str(path)).embed(images)
    np.testing.assert_allclose(found, images.mean(axis=(1, 2)), rtol=1e-5)
    with pytest.raises(UsageError, match="mean and std must not be given"):
        onnx_features.open_network(f"{path}?mean=0.5")


def test_features_of_images_by_name(images, tmp_path):
    path = network(tmp_path / "m.onnx", ("n", 3, 6, 6))
    found = features.features_of_images(f"onnx:{path}", images)
    np.testing.assert_allclose(found, (images / 255).mean(axis=(1, 2)), rtol=1e-5)
    first = embedders.open_embedder(f"onnx:{path}").identity
    assert embedders.open_embedder(f"onnx:{path}?std=2").identity != first
    network(path, ("n", 3, 6, 6), operation="Neg")
    assert embedders.open_embedder(f"onnx:{path}").identity != first


@pytest.mark.parametrize(
    ("shape", "query", "message"),
    [
        (("n", 3, "h", "w"), "", r"m.onnx has no fixed size and needs one, as in onnx:.*\?size="),
        (("n", 3, 6, 6), "?size=7", "size must be that of .*, 6 x 6, got 7"),
        (("n", 3, 6, 6), "?size=big", "size must be from 1 to 2048, got 'big'"),
        (("n", 3, 6, 6), "?mean=1,2", "mean must be one number or three, got '1,2'"),
        (("n", 3, 6, 6), "?mean=nan", "mean must be one number or three, got 'nan'"),
        (("n", 3, 6, 6), "?std=0", "std must be above 0, got 0"),
        (("n", 3, 6, 6), "?scale=2", "must have each of size, mean, std, output once"),
        (("n", 3, 6, 6), "?size=6&size=6", "must have each of size, mean, std, output once"),
        (("n", 3, 6, 6), "?output=z", "output must be one of y of .*, got 'z'"),
        (("n", 4, 6, 6), "", r"must take one input \(n, 3, h, w\) or \(n, h, w, 3\), takes"),
        ((3, 6), "", r"must take one input \(n, 3, h, w\)"),
    ],
)
def test_what_does_not_fit_is_refused(shape, query, message, tmp_path):
    path = network(tmp_path / "m.onnx", shape)
    with pytest.raises(UsageError, match=message):
        onnx_features.open_network(f"{path}{query}")


def test_a_network_of_another_kind_is_refused(tmp_path):
    path = network(tmp_path / "m.onnx", ("n", 3, 6, 6), "INT32")
    with pytest.raises(UsageError, match=r"must take tensor\(float\), .* takes tensor\(int32\)"):
        onnx_features.open_network(str(path))


def test_no_network_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"x.onnx must be a readable ONNX file \(No such file"):
        onnx_features.open_network(str(tmp_path / "x.onnx"))
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(UsageError, match=r"x.onnx must be a readable ONNX file \("):
        onnx_features.open_network(str(tmp_path / "x.onnx"))


def test_without_onnx_runtime_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(
        UsageError, match=r"onnx needs ONNX Runtime: pip install 'jaxclust\[onnx\]'"
    ):
        onnx_features.open_network(str(tmp_path / "x.onnx"))


def test_another_network_under_the_same_name_is_refused(images, tmp_path):
    path = tmp_path / "model.onnx"
    network(path, ("n", 3, 6, 6))
    run = jc.fit("kmeans", images, clusters=2, seeds=1, features=f"onnx:{path}", progress=False)
    first = run.predict(images).cluster
    np.testing.assert_array_equal(first, run.predict(images).cluster)
    network(path, ("n", 3, 6, 6), operation="Abs")
    with pytest.raises(UsageError, match="must be the network that the run had"):
        run.predict(images)
