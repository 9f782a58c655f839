"""Arrays that may mean two things are refused, with what to write for each."""

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.data import datasets, sources
from jaxclust.data.picture_sets import Reading
from jaxclust.errors import UsageError

X = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
FIRST = np.stack([X, X // 2, X // 3], 1)  # (6, 3, 8, 8)


def refused(images, labels=None):
    with pytest.raises(UsageError) as error:
        datasets.checked("x", images, labels)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_that_may_come_first_are_refused_until_the_layout_is_said(channels, tmp_path):
    images = np.stack([X] * channels, 1)
    message = refused(images)
    assert f"got (6, {channels}, 8, 8), whose channels may come first" in message
    assert "--layout nchw" in message
    assert 'layout="nchw"' in message
    np.save(tmp_path / "x.npy", images)
    loaded = jc.load(tmp_path / "x.npy", layout="nchw").images
    np.testing.assert_array_equal(loaded, images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(jc.load(tmp_path / "x.npy", layout="nhwc").images, images)
    streamed = sources.open_source(str(tmp_path / "x.npy"), reading=Reading(layout="nchw"))
    assert streamed.shape == loaded.shape
    np.testing.assert_array_equal(streamed[2], loaded[2])
    with pytest.raises(UsageError, match="channels may come first"):
        sources.open_source(str(tmp_path / "x.npy"))


def test_the_python_door_has_the_layout_too():
    with pytest.raises(UsageError, match="channels may come first"):
        jc.fit("kmeans", FIRST, clusters=2, seeds=1, progress=False)
    with pytest.raises(UsageError, match="layout: must be one of nhwc, nchw, got 'chw'"):
        jc.fit("kmeans", FIRST, clusters=2, seeds=1, layout="chw", progress=False)


def test_usual_layouts_are_taken_as_they_are():
    for shape in ((6, 8, 8), (6, 8, 8, 1), (6, 8, 8, 3), (6, 3, 3, 3), (6, 5, 8, 8), (6, 3, 8, 4)):
        images = np.resize(X, shape)
        expected = shape if len(shape) == 4 else (*shape, 1)
        assert datasets.checked("x", images).images.shape == expected


@pytest.mark.parametrize(
    ("images", "remedy"),
    [
        (X > 99, 'images.astype("float32")'),
        ((X > 99).astype(np.uint8), "images * 255"),
        ((X > 99).astype(np.int64), 'images.astype("float32")'),
        (X.astype(np.int64), 'images.astype("uint8")'),
        (X.astype(np.uint16) * 16, "images / 65535"),
        (X.astype(np.float32), "images / 255"),
        (X.astype(np.float32) * 4, "largest possible value"),
        (X.reshape(6, 64), "reshape vectors"),
    ],
)
def test_values_of_another_scale_are_refused_with_what_to_do(images, remedy):
    assert remedy in refused(images)


def test_bytes_of_zero_and_one_are_refused_from_a_stream(tmp_path):
    np.save(tmp_path / "x.npy", (X > 99).astype(np.uint8))
    with pytest.raises(UsageError, match="nearly black"):
        sources.open_source(str(tmp_path / "x.npy"))


def test_words_are_classes_and_the_empty_one_is_not_known():
    data = datasets.checked("x", X, np.array(["b", "a", "", "b", "ü", "a"]))
    np.testing.assert_array_equal(data.labels, [1, 0, -1, 1, 2, 0])
    assert data.class_names == ("a", "b", "ü")
    raw = datasets.checked("x", X, np.array([b"b", b"a", b"a", b"b", b"\xff", b"a"]))
    assert raw.class_names == ("\\xff", "a", "b")
    assert datasets.checked("x", X, np.array([""] * 6)).labels is None
    np.testing.assert_array_equal(datasets.checked("x", X, X[:, 0, 0] > 99).labels.max(), 1)
    assert "labels.astype(int)" in refused(X, np.arange(6.0))
    assert "must be integers or words" in refused(X, np.arange(6) / 4)


def test_minus_one_is_left_out_of_the_scores_of_a_run():
    images = np.repeat(X[:2], 3, axis=0)
    labels = np.array([0, 0, -1, 1, 1, -1])
    run = jc.fit("kmeans", datasets.checked("x", images, labels), seeds=1, progress=False)
    assert run.rows[0].acc == 1
    assert run.rows[0].unscored == 2
    assert "2 of 6 images have no known class" in str(run.scores(labels))
