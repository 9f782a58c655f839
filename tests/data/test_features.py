"""Features in the images' place: scale and grid, dense SIFT with PCA, the cache, refusals."""

import json
import types

import jax
import numpy as np
import pytest

from jaxclust.cli.main import main
from jaxclust.data import cache_files, datasets, features
from jaxclust.methods.registry import METHODS
from jaxclust.report import run_figures
from jaxclust.runs.rows import read_rows


@pytest.fixture
def dataset(few_digits):
    return datasets.checked("few", few_digits[0][:40], few_digits[1][:40])


@pytest.mark.parametrize(("d", "shape"), [(300, (15, 20)), (7, (1, 7)), (36, (6, 6)), (1, (1, 1))])
def test_a_vector_becomes_a_grid_of_unit_mean_square(d, shape):
    x = 50 * np.random.default_rng(0).standard_normal((9, d))
    images = features.as_images(x)
    assert images.dtype == np.float32
    assert images.shape == (9, *shape, 1)
    np.testing.assert_allclose(np.mean(images.astype(np.float64) ** 2), 1, rtol=1e-5)
    np.testing.assert_allclose(images.reshape(9, d) * np.sqrt(np.mean(x**2)), x, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-200, 1e30, 1e200])
def test_no_scale_is_too_small_or_too_large(scale):
    images = features.as_images(scale * np.random.default_rng(0).standard_normal((5, 4)))
    np.testing.assert_allclose(np.mean(images**2), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.zeros((4, 3, 2)),
            r"features: must be numbers of shape \(n, d\), got float64 \(4, 3, 2\)",
        ),
        (np.full((4, 3), "a"), r"features: must be numbers of shape \(n, d\), got <U1 \(4, 3\)"),
        (np.zeros((4, 3), bool), r"features: must be numbers of shape \(n, d\), got bool \(4, 3\)"),
        (np.zeros((4, 0)), r"features: must not be empty, got shape \(4, 0\)"),
        (np.full((4, 3), np.nan), "features: must be finite, got NaN or inf in 12 of 12 values"),
        (np.full((4, 3), 7.0), "features: must differ between images, got the same 3 for all"),
        (
            1e7 + np.eye(4),
            "features: must differ between images by 1e-05 of their size .*, got 4.3e-08; subtract",
        ),
    ],
)
def test_features_that_cannot_be_clustered_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        features.as_images(x)


def test_features_from_a_file(dataset, tmp_path):
    x = np.random.default_rng(1).standard_normal((40, 12))
    np.save(tmp_path / "mine.npy", x)
    found = features.replaced(dataset, str(tmp_path / "mine.npy"))
    assert found.name == "few+mine"
    assert found.images.shape == (40, 3, 4, 1)
    np.testing.assert_array_equal(found.labels, dataset.labels)
    np.testing.assert_array_equal(found.images, features.as_images(x))


def test_files_that_do_not_fit_are_refused(dataset, tmp_path):
    def refused(message, path):
        with pytest.raises(ValueError, match=message):
            features.replaced(dataset, str(path))

    np.save(tmp_path / "short.npy", np.eye(39))
    refused(
        "features: must have a row for each of the 40 images, got 39 in .*short.npy",
        tmp_path / "short.npy",
    )
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    refused(
        "features: .*objects.npy must be a readable .npy file of plain numbers",
        tmp_path / "objects.npy",
    )
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    refused("features: .*broken.npy must be a readable .npy file", tmp_path / "broken.npy")
    header = b"\x93NUMPY\x01\x00v\x00"
    for name, content in {
        "tokens": header + b"{'descr': '<f8', (((".ljust(118),
        "zip": b"PK\x03\x04" + bytes(60),
        "huge": header
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 9), }".ljust(117)
        + b"\n",
    }.items():
        (tmp_path / f"{name}.npy").write_bytes(content)
        refused(f"features: .*{name}.npy must be a readable .npy file", tmp_path / f"{name}.npy")
    refused("features: .*missing.npy must be a readable .npy file", tmp_path / "missing.npy")
    np.savez(tmp_path / "archive.npz", x=np.eye(40))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    refused(
        "features: .*archive.npy must be a readable .npy file of plain numbers, got an archive",
        tmp_path / "archive.npy",
    )
    np.save(tmp_path / "scalar.npy", np.float32(3))
    refused(r"features: must be numbers of shape \(n, d\)", tmp_path / "scalar.npy")
    refused(r"features: must be efficientnet-lite0, .*, got 'hog'", "hog")


def test_the_cache_is_by_content_and_never_unpickled(dataset, tmp_path, monkeypatch):
    pytest.importorskip("cv2", reason="dense SIFT needs the extra features")
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))
    calls = []

    def computed(images):
        calls.append(len(images))
        return images.reshape(len(images), -1).astype(np.float32)

    monkeypatch.setattr(features, "dsift_pca", computed)
    first = features.cached(dataset.images)
    np.testing.assert_array_equal(features.cached(dataset.images.copy()), first)
    assert calls == [40]
    (path,) = (tmp_path / "cache").iterdir()
    assert path.suffix == ".npy"
    other = dataset.images.copy()
    other[0, 0, 0, 0] ^= 1
    features.cached(other)
    assert calls == [40, 40]
    # Damaged, or objects: computed again.
    for content in (b"", path.read_bytes()[:100], b"PK\x03\x04" + bytes(60)):
        path.write_bytes(content)
        np.testing.assert_array_equal(features.cached(dataset.images), first)
    for kept in (np.array([{}] * 40, object), np.full_like(first, np.nan)):
        np.save(path, kept)
        np.testing.assert_array_equal(features.cached(dataset.images), first)
    assert len(calls) == 7
    # Other settings, or another OpenCV: another file.
    monkeypatch.setattr(features, "SETTINGS", (*features.SETTINGS[:-1], 41))
    features.cached(dataset.images)
    monkeypatch.setattr(features, "_opencv", lambda: types.SimpleNamespace(__version__="0"))
    features.cached(dataset.images)
    assert len(calls) == 9
    # Nowhere to write: nothing is kept, and nothing fails.
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(features.cached(dataset.images), first)


def test_dense_sift_is_opencvs_at_the_stated_patches(few_digits):
    cv2 = pytest.importorskip("cv2", reason="dense SIFT needs the extra features")
    image = np.kron(few_digits[0][0, ..., 0], np.ones((6, 6), np.uint8))  # 48 x 48
    found = features.dense_sift(image[None, ..., None])
    assert found.shape == (1, 5 * 5 * 128)
    patches = found.reshape(5, 5, 128)
    # The middle patch alone, described by OpenCV as one keypoint.
    keypoint = cv2.KeyPoint(24.0, 24.0, 16 / 6, 0.0)
    expected = cv2.SIFT_create().compute(image, [keypoint])[1][0]
    np.testing.assert_allclose(patches[2, 2], expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=2)[patches.any(axis=2)], 1, rtol=1e-5)
    # Upright: a turned image has other descriptors. Color turns to gray, and floats give the same
    # picture.
    assert np.abs(features.dense_sift(np.rot90(image)[None, ..., None]) - found).max() > 0.1
    color = np.repeat(image[None, ..., None], 3, axis=3)
    np.testing.assert_allclose(features.dense_sift(color), found, atol=1e-6)
    np.testing.assert_allclose(
        features.dense_sift(image[None, ..., None].astype(np.float32) / 255), found, atol=1e-6
    )


def test_dsift_pca_of_small_images_has_as_many_components_as_there_are(few_digits):
    pytest.importorskip("cv2", reason="dense SIFT needs the extra features")
    found = features.dsift_pca(few_digits[0][:30])
    assert (found.shape, found.dtype) == ((30, 30), np.float32)
    np.testing.assert_array_equal(found, features.dsift_pca(few_digits[0][:30]))
    variances = found.var(axis=0)
    assert (np.diff(variances) <= 1e-6).all()
    with pytest.raises(
        ValueError, match="features: dsift-pca must differ between images, got the same for all 5"
    ):
        features.dsift_pca(np.full((5, 8, 8, 1), 7, np.uint8))


@pytest.mark.parametrize("shape", [(500, 400), (400, 500)])
def test_principal_components_are_exact(monkeypatch, shape):
    """A random solver would be off in the last components, by its draws and its threads."""
    descriptors = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    monkeypatch.setattr(features, "dense_sift", lambda images, patch, step: descriptors)
    found = features.dsift_pca(np.zeros((shape[0], 8, 8, 1), np.uint8))
    centerd = descriptors.astype(np.float64) - descriptors.mean(axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(centerd, full_matrices=False)
    exact = (u * s)[:, :300]
    np.testing.assert_allclose(np.abs(found), np.abs(exact), atol=1e-5)


def test_a_full_disk_leaves_nothing_in_the_cache(few_digits, tmp_path, monkeypatch):
    def full(handle, mode):
        with open(handle, mode) as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_files, "open", full, raising=False)
    assert len(features.cached(few_digits[0][:40])) == 40
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_a_grid_of_300_or_says_that_it_is_too_small(name):
    """AlexNet takes no image below 63 pixels a side, and other trunks none below 32."""
    method = METHODS[name]
    if name.startswith("ccnn-") and method.needs_weights:
        with pytest.raises(ValueError, match="shape: must be at least"):
            method.build((15, 20, 1))
        return
    network = method.build((15, 20, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((3, 15, 20, 1), np.float32)
    found, _ = jax.eval_shape(lambda v, x: network.encode(v, x, False), variables, images)
    assert found.shape[0] == 3


def test_dense_sift_of_other_channels_is_refused():
    pytest.importorskip("cv2", reason="dense SIFT needs the extra features")
    for channels in (2, 5):
        with pytest.raises(ValueError, match=f"needs images of 1, 3 or 4 channels, got {channels}"):
            features.dense_sift(np.zeros((2, 8, 8, channels), np.uint8))


def test_without_opencv_one_line_says_what_to_install(monkeypatch, few_digits):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(
        ValueError, match=r"features: dsift-pca needs OpenCV: pip install 'jaxclust\[features\]'"
    ):
        features.dense_sift(few_digits[0][:2])


def test_the_command_clusters_features_and_shows_images(few_digits, tmp_path, capsys, monkeypatch):
    np.savez(tmp_path / "few.npz", images=few_digits[0][:60], labels=few_digits[1][:60])
    np.save(tmp_path / "mine.npy", few_digits[0][:60].reshape(60, 64).astype(np.float64))
    common = f"--data {tmp_path / 'few.npz'} --seeds 0, --over map --no-baseline"
    run, shown = tmp_path / "run", []
    monkeypatch.setattr(run_figures, "draw", lambda *arguments: shown.append(arguments))
    arguments = f"fit kmeans {common} --restarts 2 --features {tmp_path / 'mine.npy'} --out {run}"
    assert main(arguments.split()) == 0
    settings = json.loads((run / "config.json").read_text())
    assert (settings["data"]["name"], settings["features"]) == ("few+mine", "mine.npy")
    assert settings["data"]["shape"] == [60, 8, 8, 1]
    assert read_rows(run / "results.jsonl")[0].data == "few+mine"
    _, _, dataset, pictures, *_ = shown[0]
    assert dataset.images.dtype == np.float32
    np.testing.assert_array_equal(pictures, few_digits[0][:60])
    capsys.readouterr()
    for arguments, message in (
        (
            f"predict {run} --data {tmp_path / 'few.npz'} --out {tmp_path / 'x.csv'}",
            "must be on images or on a network's features to take new ones, is on mine.npy",
        ),
        (
            f"fit kmeans {common} --features hog --out {tmp_path / 'x'}",
            "features: must be efficientnet-lite0, squeezenet, dsift-pca, onnx:FILE or the path",
        ),
        (
            f"fit ccnn {common} --stream --features hog --out {tmp_path / 'x'}",
            "features: must not be given with stream",
        ),
    ):
        assert main(arguments.split()) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
