"""Features of pictures: computed once by content, in order, cached whatever happens."""

import hashlib

import numpy as np
import pytest

from jaxclust.data.pictures import Unreadable
from jaxclust.errors import UsageError
from jaxclust.runs import embedders, feature_cache, features
from jaxclust.runs.embedders import Embedder
from jaxclust.runs.features import Pictures

SHAPE = (4, 4, 3)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def network(monkeypatch):
    """The numbers of pictures in each batch of a network: mean color, and a constant."""
    batches = []

    def embed(images):
        batches.append(len(images))
        means = images.astype(np.float32).mean(axis=(1, 2))
        return np.concatenate([means, np.ones((len(images), 1), np.float32)], axis=1)

    embedder = Embedder("mean", SHAPE, 4, 3, "identity", embed)
    monkeypatch.setattr(features, "open_embedder", lambda name: embedder)
    return batches


def made(contents, rule="rule"):
    """Pictures whose content is one byte, their gray; b"" is unreadable and None is gone."""

    def content(place):
        if contents[place] is None:
            raise FileNotFoundError(2, "No such file or directory")
        return contents[place]

    def decode(content, shape):
        if not content:
            raise Unreadable("empty")
        return np.full(shape, content[0], np.uint8)

    names = [f"{place}.png" for place in range(len(contents))]
    return Pictures(names, content, decode, rule)


def grays(found):
    return found.values[:, 0].tolist()


def test_readable_pictures_in_order_and_equal_ones_once(network):
    contents = [b"\x05", b"", b"\x01", b"\x05", None, b"\x09", b"\x07", b""]
    found = features.features_of("mean", made(contents))
    assert grays(found) == [5, 1, 5, 9, 7]
    assert found.values.dtype == np.float32
    assert found.values.shape == (5, 4)
    assert found.rows.tolist() == [0, 2, 3, 5, 6]
    assert found.unreadable == {1: "empty", 4: "No such file or directory", 7: "empty"}
    assert sum(network) == 4
    assert max(network) == 3


def test_what_is_known_is_not_computed_again(network):
    features.features_of("mean", made([bytes([gray]) for gray in range(10)]))
    assert sum(network) == 10
    network.clear()
    # In another order, with two more.
    order = [11, 3, 9, 0, 10, 3]
    found = features.features_of("mean", made([bytes([gray]) for gray in order]))
    assert grays(found) == order
    assert sum(network) == 2
    # Brought to their size in another way, they are other pictures.
    features.features_of("mean", made([b"\x03"], rule="other"))
    assert sum(network) == 3


def test_known_pictures_are_not_decoded(network):
    pictures = made([b"\x01", b"\x02"])
    features.features_of("mean", pictures)

    def decode(content, shape):
        raise AssertionError("decoded")

    found = features.features_of("mean", pictures._replace(decode=decode))
    assert grays(found) == [1, 2]


def test_what_was_done_before_an_error_is_kept(network, monkeypatch):
    pictures = made([bytes([gray]) for gray in range(100)])

    def decode(content, shape):
        if content[0] == 90:
            raise KeyboardInterrupt
        return np.full(shape, content[0], np.uint8)

    with pytest.raises(KeyboardInterrupt):
        features.features_of("mean", pictures._replace(decode=decode))
    before = sum(network)
    assert before >= 60
    assert grays(features.features_of("mean", pictures)) == list(range(100))
    assert sum(network) == 100


def test_a_file_every_so_many_pictures(network, monkeypatch, cache):
    monkeypatch.setattr(features, "FLUSH", 6)
    features.features_of("mean", made([bytes([gray]) for gray in range(20)]))
    (folder,) = (cache / "features").iterdir()
    assert len(list(folder.iterdir())) == 4
    assert all(path.suffix == ".safetensors" for path in folder.iterdir())


def test_damaged_files_and_leftovers_are_computed_again(network, monkeypatch, cache):
    monkeypatch.setattr(features, "FLUSH", 6)
    pictures = made([bytes([gray]) for gray in range(12)])
    features.features_of("mean", pictures)
    (folder,) = (cache / "features").iterdir()
    first = min(folder.iterdir())
    first.write_bytes(first.read_bytes()[:-5])
    (folder / "x.part").write_bytes(b"half")
    (folder / "y.safetensors").write_bytes(b"")
    network.clear()
    assert grays(features.features_of("mean", pictures)) == list(range(12))
    assert sum(network) == 6


def test_a_file_that_vanishes_while_it_is_needed(network, monkeypatch, cache):
    pictures = made([bytes([gray]) for gray in range(5)] + [b"\x02"])
    features.features_of("mean", pictures)
    index = feature_cache.index

    def vanishing(cache):
        places = index(cache)
        for path in cache.folder.iterdir():
            path.unlink()
        return places

    monkeypatch.setattr(feature_cache, "index", vanishing)
    network.clear()
    assert grays(features.features_of("mean", pictures)) == [0, 1, 2, 3, 4, 2]
    assert sum(network) == 5


def test_a_cache_that_cannot_be_written_costs_nothing(network, monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "file"))
    assert grays(features.features_of("mean", made([b"\x03"]))) == [3]


def test_no_picture_at_all(network):
    found = features.features_of("mean", made([b"", None]))
    assert found.values.shape == (0, 4)
    assert found.rows.tolist() == []
    assert network == []


def test_progress_ends_with_all(network):
    told = []
    features.features_of("mean", made([b"\x01"] * 7 + [b""]), lambda *event: told.append(event))
    assert [done for done, _, _ in told] == [3, 6, 8]
    assert {total for _, total, _ in told} == {8}
    assert all(rate > 0 for _, _, rate in told)


def test_images_in_memory(network):
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (3, 4, 4, 1), np.uint8)
    found = features.features_of_images("mean", gray)
    means = gray.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found[:, :3], np.repeat(means[:, None], 3, axis=1), rtol=1e-6)
    # The same pixels as floats and with a fourth channel are the same pictures.
    np.testing.assert_array_equal(
        features.features_of_images("mean", gray.astype(np.float32) / 255), found
    )
    assert sum(network) == 3
    color = rng.integers(0, 256, (2, 4, 4, 4), np.uint8)
    found = features.features_of_images("mean", color)
    np.testing.assert_allclose(found[:, :3], color[..., :3].mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(features.features_of_images("mean", color[..., :3]), found)
    with pytest.raises(UsageError, match="needs images of 1, 3 or 4 channels, got 2"):
        features.features_of_images("mean", color[..., :2])


def test_images_are_scaled_and_cropped_around_their_center(network):
    image = np.zeros((1, 8, 16, 3), np.uint8)
    image[:, :, 3:13] = 200
    found = features.features_of_images("mean", image)
    assert found[0, :3].tolist() == [200, 200, 200]


def test_the_cache_is_told_apart_by_shape(network):
    features.features_of_images("mean", np.arange(8, dtype=np.uint8).reshape(1, 2, 4, 1))
    features.features_of_images("mean", np.arange(8, dtype=np.uint8).reshape(1, 4, 2, 1))
    assert sum(network) == 2


def test_two_writers_of_the_same_file(tmp_path):
    cache = feature_cache.Cache(tmp_path, 2)
    keys = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    for _ in range(2):
        feature_cache.write(cache, keys, values)
    places = feature_cache.index(cache)
    assert list(places) == keys
    assert len(list(tmp_path.iterdir())) == 1
    out = np.zeros((2, 2), np.float32)
    assert feature_cache.read(cache, {0: places[keys[2]], 1: places[keys[0]]}, out) == []
    np.testing.assert_array_equal(out, values[[2, 0]])
    # Another dimension is another network's.
    assert feature_cache.index(feature_cache.Cache(tmp_path, 3)) == {}


def test_an_unknown_network_is_refused():
    with pytest.raises(UsageError, match="did you mean squeezenet"):
        embedders.open_embedder("squeezenets")
