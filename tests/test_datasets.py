"""Named sets, .npz files, and what is refused at the door."""

import numpy as np
import pytest

from jaxclust import datasets

GOOD = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_digits_ship_with_scikit_learn(digits):
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.images.dtype == np.uint8
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert digits.classes == 10


def test_a_named_set_is_read_from_the_folder(tmp_path, monkeypatch):
    images = np.zeros((10_005, 4, 4), np.uint8)
    images[-10_000:] = 1
    save(tmp_path / "mnist.npz", images=images, labels=np.arange(10_005) % 10)
    monkeypatch.setenv("JAXCLUST_DATA", str(tmp_path))
    assert datasets.load("mnist").images.shape == (10_005, 4, 4, 1)
    test = datasets.load("mnist-test")
    assert test.images.shape == (10_000, 4, 4, 1)
    assert (test.images == 1).all()


def test_usps_is_the_real_one():
    try:
        usps = datasets.load("usps")
    except ValueError as error:
        pytest.skip(f"no USPS here: {error}")
    assert usps.images.shape == (9298, 16, 16, 1)
    assert usps.classes == 10


def test_a_file_of_the_users(tmp_path):
    path = save(tmp_path / "mine.npz", images=GOOD[..., None], labels=np.array([7, 3]))
    mine = datasets.load(path)
    assert mine.name == "mine"
    assert mine.labels.tolist() == [1, 0]
    assert datasets.load(save(tmp_path / "plain.npz", images=GOOD)).labels is None


def test_floats_are_kept_as_float32():
    assert datasets.checked("x", GOOD / 255.0).images.dtype == np.float32


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GOOD[0], r"images: must be of rank 3 .*, got shape \(4, 4\)"),
        (GOOD[:0], r"images: must not be empty, got shape \(0, 4, 4, 1\)"),
        (GOOD[:1], "images: must be at least 2, got 1"),
        (GOOD.astype(np.int64), r"images: must be uint8 in 0..255 or float in \[0, 1\], got dtype int64"),
        (np.where(GOOD == 3, np.nan, 0.5), "images: must be finite, got NaN or inf in 1 of 32 values"),
        (np.where(GOOD == 3, np.inf, 0.5), "images: must be finite, got NaN or inf in 1 of 32 values"),
        (GOOD.astype(np.float32), r"images: floats must lie in \[0, 1\], got 0 to 31"),
    ],
)
def test_images_that_cannot_be_clustered_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        datasets.checked("x", images)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(3, int), r"labels: must have shape \(2,\) like the images, got \(3,\)"),
        (np.zeros(2), "labels: must be integers, got dtype float64"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        datasets.checked("x", GOOD, labels)


def test_names_and_files_that_are_not_there(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="data: must be one of digits, .* or a path to an .npz file, got 'nope'"):
        datasets.load("nope")
    with pytest.raises(ValueError, match="data: .*none.npz must be a file"):
        datasets.load(str(tmp_path / "none.npz"))
    (tmp_path / "bad.npz").write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match="data: .*bad.npz must be a readable .npz file"):
        datasets.load(str(tmp_path / "bad.npz"))
    with pytest.raises(ValueError, match="data: .* must hold an array 'images', got"):
        datasets.load(save(tmp_path / "other.npz", pictures=GOOD))
    monkeypatch.delenv("JAXCLUST_DATA", raising=False)
    with pytest.raises(ValueError, match="data: usps needs the environment variable JAXCLUST_DATA"):
        datasets.load("usps")


def test_pickled_arrays_are_not_read(tmp_path):
    path = save(tmp_path / "objects.npz", images=np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(ValueError, match="data: .*objects.npz"):
        datasets.load(path)


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        (1, "clusters: must be at least 2, got 1"),
        (6, "clusters: must be at most the number of images, 5, got 6"),
        (3, "clusters: must be at most the number of distinct images, 2, got 3"),
    ],
)
def test_more_clusters_than_images_are_refused(clusters, message):
    dataset = datasets.checked("x", GOOD[[0, 1, 0, 1, 0]])
    with pytest.raises(ValueError, match=message):
        datasets.check_clusters(dataset, clusters)
    datasets.check_clusters(dataset, 2)


def test_the_fingerprint_tells_sets_apart():
    one = datasets.fingerprint(datasets.checked("x", GOOD))
    assert one == datasets.fingerprint(datasets.checked("x", GOOD.copy()))
    assert one != datasets.fingerprint(datasets.checked("x", GOOD + 1))
    assert one != datasets.fingerprint(datasets.checked("x", GOOD, np.array([0, 1])))
