"""Named sets, .npz files, and what is refused at the door."""

import io
import re
import sys

import numpy as np
import pytest

from jaxclust.data import datasets, sources, tfds

GOOD = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_digits_ship_with_scikit_learn(digits):
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.images.dtype == np.uint8
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert digits.classes == 10


def test_minus_one_says_that_a_class_is_not_known():
    images = np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4)
    dataset = datasets.checked("x", images, np.array([7, -1, -3, 7, -1]))
    assert (dataset.labels.tolist(), dataset.classes) == ([1, -1, 0, 1, -1], 2)
    assert datasets.checked("x", images, np.full(5, -1)).labels is None


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """An "mnist" of 40 images, of which the last 10 are "mnist-test"; its images and labels.

    Both are known by their checksums.
    """
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), dtype=np.uint8)
    labels = np.arange(40) % 10
    for name, last in (("mnist", None), ("mnist-test", 10)):
        part = slice(None) if last is None else slice(-last, None)
        sha256 = datasets.content(datasets.checked(name, images[part], labels[part]))
        monkeypatch.setitem(
            datasets.SETS, name, datasets.SETS[name]._replace(sha256=sha256, last=last)
        )
    monkeypatch.setenv("JAXCLUST_DATA", str(tmp_path))
    return images, labels


def test_a_named_set_is_read_from_the_folder(tmp_path, small_mnist):
    images, labels = small_mnist
    save(tmp_path / "mnist.npz", images=images[..., 0], labels=labels)
    mnist = datasets.load("mnist")
    np.testing.assert_array_equal(mnist.images, images)
    test = datasets.load("mnist-test")
    assert (test.name, test.files) == ("mnist-test", None)
    np.testing.assert_array_equal(test.images, images[-10:])
    np.testing.assert_array_equal(test.labels, labels[-10:])


def test_the_checksum_is_of_the_content(tmp_path, small_mnist):
    images, labels = small_mnist
    order = np.random.default_rng(1).permutation(40)
    np.savez_compressed(
        tmp_path / "mnist.npz", images=images[order], labels=labels[order].astype(np.int8)
    )
    datasets.load("mnist")
    one_pixel = images.copy()
    one_pixel[3, 2, 1] ^= 1
    swapped = np.concatenate([labels[1::-1], labels[2:]])
    for arrays in (
        (one_pixel, labels),
        (images, swapped),
        (images[:-1], labels[:-1]),
        (images / 255, labels),
    ):
        save(tmp_path / "mnist.npz", images=arrays[0], labels=arrays[1])
        with pytest.raises(
            ValueError,
            match=r"mnist.npz must hold the images and labels known as mnist: .* SHA-256",
        ):
            datasets.load("mnist")
    save(tmp_path / "mnist.npz", images=images)
    with pytest.raises(ValueError, match="known as mnist"):
        datasets.load("mnist")


@pytest.mark.parametrize("name", datasets.NAMES)
def test_the_real_sets_are_as_listed(name):
    known = datasets.SETS[name]
    if known.file is not None and known.path is None:
        pytest.skip(f"no {known.file} here")
    dataset = datasets.load(name)
    assert (dataset.images.shape, dataset.classes) == ((known.n, *known.shape), known.classes)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No files, nothing prepared, and every connection refused at once."""
    monkeypatch.delenv("JAXCLUST_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    for scheme in ("HTTP", "HTTPS", "ALL"):
        monkeypatch.setenv(f"{scheme}_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv(f"{scheme}_proxy".lower(), "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")


@pytest.mark.parametrize("name", ["mnist", "mnist-test", "fashion-mnist", "fashion-mnist-test"])
def test_without_file_and_connection_the_error_says_what_to_do(name, offline, tmp_path):
    known = datasets.SETS[name]
    rule = f"data: {name} needs the environment variable JAXCLUST_DATA to name a folder with "
    rule += f"{known.file} .*; or tensorflow-datasets, which needs, to prepare it once: "
    rule += ".*a connection to [a-z0-9.-]+$"
    with pytest.raises(ValueError, match=rule):
        datasets.load(name)
    assert not (tmp_path / "tfds").exists()


def test_tensorflow_datasets_failing_is_said(offline, monkeypatch):
    import tensorflow_datasets

    def broken(*_, **__):
        raise tensorflow_datasets.download.DownloadError("Failed to get url. HTTP code: 404.")

    monkeypatch.setattr(tfds, "_check_preparable", lambda address: None)
    monkeypatch.setattr(tensorflow_datasets, "data_source", broken)
    with pytest.raises(
        ValueError, match=r"; or tensorflow-datasets, which could not get mnist \(.* HTTP code: 404"
    ):
        datasets.load("mnist")


def test_what_tensorflow_datasets_holds_as_tfrecords_is_said(offline, monkeypatch):
    import tensorflow_datasets

    def builder(*_, **__):
        raise ValueError(
            "File format is already set to FileFormat.TFRECORD. Got FileFormat.ARRAY_RECORD"
        )

    monkeypatch.setattr(tensorflow_datasets, "builder", builder)
    with pytest.raises(
        ValueError, match="data: mnist needs .*: set TFDS_DATA_DIR to another folder .*TFRECORD"
    ):
        datasets.load("mnist")


def test_a_set_prepared_by_tensorflow_datasets_is_read_from_there(
    offline, small_mnist, tmp_path, monkeypatch
):
    """The real call on the real builder, without TensorFlow.

    The builder's images come from here instead of the network.
    """
    pytest.importorskip("importlib_resources")
    import tensorflow_datasets
    from PIL import Image

    images, labels = small_mnist

    def examples(part):
        for row in range(40)[part]:
            png = io.BytesIO()
            Image.fromarray(images[row, ..., 0]).save(png, "png")
            yield row, {"image": png.getvalue(), "label": labels[row]}

    parts = {"train": slice(0, 30), "test": slice(30, 40)}
    builder = tensorflow_datasets.image_classification.MNIST
    monkeypatch.setattr(
        builder,
        "_split_generators",
        lambda self, manager: {name: examples(part) for name, part in parts.items()},
    )
    monkeypatch.setattr(tfds, "_check_preparable", lambda address: None)
    mnist = datasets.load("mnist")
    assert (mnist.images.shape, mnist.images.dtype) == ((40, 28, 28, 1), np.uint8)
    streamed = sources.open_source("tfds:mnist/test")
    ((block, lost),) = streamed.in_order(10)
    assert not lost
    np.testing.assert_array_equal(block, mnist.images[30:])
    np.testing.assert_array_equal(
        streamed.labels, np.unique(mnist.labels[30:], return_inverse=True)[1]
    )
    monkeypatch.undo()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.delenv("JAXCLUST_DATA", raising=False)
    with pytest.raises(
        ValueError, match="data: tensorflow-datasets must hold the images and labels known as mnist"
    ):
        datasets.load("mnist")
    assert "tensorflow" not in sys.modules


def test_a_file_of_the_users(tmp_path):
    path = save(tmp_path / "mine.npz", images=GOOD[..., None], labels=np.array([7, 3]))
    mine = datasets.load(path)
    assert mine.name == "mine"
    assert mine.labels.tolist() == [1, 0]
    assert datasets.load(save(tmp_path / "plain.npz", images=GOOD)).labels is None


def test_an_npy_is_images_alone(tmp_path):
    np.save(tmp_path / "mine.npy", np.asfortranarray(GOOD))
    mine = datasets.load(tmp_path / "mine.npy")
    assert (mine.name, mine.labels) == ("mine", None)
    np.testing.assert_array_equal(mine.images[..., 0], GOOD)


def test_arrays_are_not_scaled(tmp_path):
    path = save(tmp_path / "mine.npz", images=GOOD)
    assert datasets.load(path, size=(4, 4), channels=1).images.shape == (2, 4, 4, 1)
    with pytest.raises(
        ValueError,
        match=r"images: must be of shape \(n, 8, 8, 1\), got \(2, 4, 4, 1\); only a folder",
    ):
        datasets.load(path, size=(8, 8))
    with pytest.raises(
        ValueError,
        match=r"images: must be of shape \(n, 4, 4, 3\), got \(2, 4, 4, 1\); only a folder",
    ):
        datasets.load(path, channels=3)


def test_floats_are_kept_as_float32():
    assert datasets.checked("x", GOOD / 255.0).images.dtype == np.float32


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GOOD[0], r"images: must be of rank 3 .*, got shape \(4, 4\)"),
        (GOOD[:0], r"images: must not be empty, got shape \(0, 4, 4\)"),
        (GOOD[:1], "images: must be at least 2, got 1"),
        (GOOD.astype(bool), r"images: must be uint8 .*, got dtype bool"),
        (GOOD.astype(complex), r"images: must be uint8 .*, got dtype complex128"),
        (GOOD.astype(np.uint16), r"images: must be uint8 .*, got dtype uint16"),
        (GOOD.astype("S1"), r"images: must be uint8 .*, got dtype \|S1"),
        (
            GOOD.astype(np.int64),
            r"images: must be uint8 in 0..255 or float in \[0, 1\], got dtype int64",
        ),
        (
            np.where(GOOD == 3, np.nan, 0.5),
            "images: must be finite, got NaN or inf in 1 of 32 values",
        ),
        (
            np.where(GOOD == 3, np.inf, 0.5),
            "images: must be finite, got NaN or inf in 1 of 32 values",
        ),
        (GOOD.astype(np.float32), r"images: floats must lie in \[0, 1\], got 0 to 31"),
    ],
)
def test_images_that_cannot_be_clustered_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        datasets.checked("x", images)


def test_floats_that_rounding_has_put_beside_0_and_1_are_taken():
    images = np.where(GOOD == 3, 1 + 9e-7, np.where(GOOD == 4, -9e-7, 0.5))
    taken = datasets.checked("x", images).images[..., 0]
    np.testing.assert_array_equal(taken, np.where(GOOD == 3, 1, np.where(GOOD == 4, 0, 0.5)))
    with pytest.raises(ValueError, match=r"floats must lie in \[0, 1\], got 0.5 to 1"):
        datasets.checked("x", np.where(GOOD == 3, 1 + 2e-6, 0.5))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(3, int), r"labels: must have shape \(2,\) like the images, got \(3,\)"),
        (np.zeros(2), "labels: must be integers or words, got dtype float64"),
        (np.zeros((2, 1), int), r"labels: must have shape \(2,\) like the images, got \(2, 1\)"),
        (np.zeros(2, complex), "labels: must be integers or words, got dtype complex128"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        datasets.checked("x", GOOD, labels)


def test_names_and_files_that_are_not_there(tmp_path, monkeypatch):
    with pytest.raises(
        ValueError,
        match="data: must be one of digits, .* or a path to an .npz or .npy file, got 'nope'",
    ):
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
    monkeypatch.setenv("JAXCLUST_DATA", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"data: usps needs .* a folder with usps_9298.npz \(.* has none\)$"
    ):
        datasets.load("usps")


class Trap:
    """Leaves a mark if it is ever unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_pickled_arrays_are_not_read(tmp_path, ending):
    path, mark = tmp_path / f"objects.{ending}", tmp_path / "mark"
    objects = np.array([Trap(mark), None], dtype=object)
    np.savez(path, images=objects) if ending == "npz" else np.save(path, objects)
    with pytest.raises(
        ValueError,
        match=f"data: .*objects.{ending} must be a readable .{ending} file of plain arrays",
    ):
        datasets.load(path)
    np.savez(tmp_path / "labels.npz", images=GOOD, labels=objects)
    with pytest.raises(
        ValueError, match="data: .*labels.npz must be a readable .npz file of plain arrays"
    ):
        datasets.load(tmp_path / "labels.npz")
    assert not mark.exists()


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_no_damage_to_a_file_escapes(tmp_path, ending):
    """Whatever byte is wrong or missing, the file is read, or refused in one way."""
    path = tmp_path / f"damaged.{ending}"
    np.savez(path, images=GOOD) if ending == "npz" else np.save(path, GOOD)
    whole = path.read_bytes()
    flipped = [
        whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        for place in range(len(whole))
    ]
    refusals = []
    for content in (*flipped, b"", *(whole[:end] for end in range(1, len(whole), 7))):
        path.write_bytes(content)
        try:
            datasets.load(path)
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > len(whole) / 7
    assert all(refusal.startswith(("data: ", "images: ")) for refusal in refusals)


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
        datasets.check_clusters(dataset.images, clusters)
    datasets.check_clusters(dataset.images, 2)


def test_the_fingerprint_tells_sets_apart():
    one = datasets.fingerprint(datasets.checked("x", GOOD))
    assert one == datasets.fingerprint(datasets.checked("x", GOOD.copy()))
    assert one != datasets.fingerprint(datasets.checked("x", GOOD + 1))
    assert one != datasets.fingerprint(datasets.checked("x", GOOD, np.array([0, 1])))


def test_the_table_says_which_sets_are_here(tmp_path, small_mnist, monkeypatch):
    images, labels = small_mnist
    save(tmp_path / "mnist.npz", images=images, labels=labels)
    lines = datasets.table().splitlines()
    assert max(map(len, lines[:-1])) <= 112
    rows = {line.split()[0]: line for line in lines}
    assert {"name", *datasets.NAMES} <= rows.keys()
    assert re.search(
        r"^mnist +70,000 +28x28x1 +10 +LeCun et al\. +none stated +yes$", rows["mnist"]
    )
    assert rows["digits"].endswith("ships with scikit-learn")
    assert rows["fashion-mnist"].endswith("MIT           no, tensorflow-datasets")
    assert rows["usps"].endswith("  no")
    assert lines[-1].endswith(str(tmp_path))
    assert lines[1].index("UCI") == lines[2].index("LeCun")
    monkeypatch.delenv("JAXCLUST_DATA")
    assert datasets.table().endswith("not set")
