"""Where streams read from: files, and tensorflow-datasets; images that cannot be read."""

import io
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

from jaxclust.data import datasets, sources
from jaxclust.data.picture_sets import Reading
from jaxclust.errors import UsageError


def test_images_with_nan_are_skipped_and_named(tmp_path):
    images = np.random.default_rng(0).random((20, 4, 4)).astype(np.float64)
    images[3], images[7, 0, 0] = np.inf, np.nan
    np.save(tmp_path / "x.npy", images)
    source = sources.open_source(str(tmp_path / "x.npy"))
    found = list(source.in_order(15))
    assert found[0][1] == {3: "NaN or inf", 7: "NaN or inf"}
    assert found[1][1] == {}
    assert found[0][0].dtype == np.float32
    stands_in = source[3]
    assert source.skipped == 1
    assert (
        sum(np.array_equal(stands_in, image.astype(np.float32)[..., None]) for image in images) == 1
    )


def test_floats_of_a_stream_have_the_rules_of_those_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "DIGESTED", 300)  # Two images at once.
    images = np.random.default_rng(0).random((20, 4, 4))
    images[3, 0, 0], images[5, 0, 0] = 1.0000000000000004, -1e-9
    np.save(tmp_path / "x.npy", images)
    ((block, lost),) = sources.open_source(str(tmp_path / "x.npy")).in_order(20)
    assert lost == {}
    np.testing.assert_array_equal(block, datasets.checked("x", images).images)
    images = images.clip(0, 1)
    for scaled, message in (
        (images * 255, "got 0 to 255; divide them .*, as in images / 255$"),
        (images * 2 - 1, "got -1 to 1$"),
    ):
        np.save(tmp_path / "x.npy", scaled)
        with pytest.raises(UsageError, match=rf"floats must lie in \[0, 1\], {message}"):
            sources.open_source(str(tmp_path / "x.npy"))


def test_a_stream_has_the_notes_on_its_pictures(tmp_path):
    for number in range(5):
        image = Image.fromarray(np.full((40 if number == 0 else 32,) * 2, 40 * number, np.uint8))
        image.save(tmp_path / f"{number}.png")
    source = sources.open_source(str(tmp_path))
    assert source.notes == datasets.load(tmp_path).notes != ()


def test_a_file_is_told_from_others_without_holding_it(tmp_path, monkeypatch):
    np.save(tmp_path / "images.npy", np.arange(64 * 16, dtype=np.uint8).reshape(64, 4, 4))
    whole = sources.open_source(str(tmp_path / "images.npy")).digest
    held = []
    monkeypatch.setattr(sources, "DIGESTED", 100)
    monkeypatch.setattr(
        sources.np, "ascontiguousarray", lambda part: held.append(part.nbytes) or np.array(part)
    )
    assert sources.open_source(str(tmp_path / "images.npy")).digest == whole
    assert max(held) == 96


class Prepared(list):
    """Examples as tensorflow-datasets gives them, with what it says of their features."""

    def __init__(self, examples, **features):
        super().__init__(examples)
        self.dataset_info = types.SimpleNamespace(features=features)


def image_feature(channels, dtype=np.uint8):
    return types.SimpleNamespace(shape=(None, None, channels), np_dtype=dtype)


def test_a_set_of_tensorflow_datasets_is_streamed_without_what_is_damaged(monkeypatch, few_digits):
    """A stand-in reads the set here; test_datasets.py has the real call."""
    images, labels = few_digits
    examples = [
        {"image": png(image), "label": label + 5}
        for image, label in zip(images, labels, strict=True)
    ]
    examples[0]["image"], examples[3]["image"] = b"", examples[3]["image"][:50]
    examples[4]["image"] = png(images[4][:7])
    prepared = Prepared(examples, image=image_feature(1), label=None)
    asked = []

    def found(name, splits, encoded):
        asked.append((name, splits, encoded))
        return [prepared]

    monkeypatch.setattr(sources.tfds, "sources", found)
    source = sources.open_source("tfds:some/test")
    assert asked == [("some", ("test",), True)]
    assert (source.shape, source.dtype) == ((300, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(source.labels, labels)
    np.testing.assert_array_equal(source[7], images[7])
    stands_in = source[3]
    assert source.skipped >= 1
    assert any(np.array_equal(stands_in, image) for image in images)
    ((_, lost),) = source.in_order(300)
    assert lost.keys() == {0, 3, 4}
    assert (lost[0], lost[4]) == ("empty", "shape (7, 8, 1) instead of (8, 8, 1)")
    prepared[:] = [{"image": b"GIF", "label": 0}]
    with pytest.raises(ValueError, match="data: must have a readable image, tfds:some has none"):
        sources.open_source("tfds:some")


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_tensorflow_datasets_have_the_channels_that_it_states(
    channels, monkeypatch, few_digits
):
    """Files that store one picture in different ways give the same image."""
    stored = Image.fromarray(few_digits[0][1].squeeze())
    # The palette has each gray value at another one's place.
    palette = Image.fromarray(255 - few_digits[0][1].squeeze(), "P")
    palette.putpalette([255 - value for value in range(256) for _ in range(3)])
    files = [
        png(stored),
        png(palette),
        *(png(stored.convert(mode)) for mode in ("RGB", "RGBA", "LA")),
    ]
    files.append(png(np.asarray(stored).astype(np.uint16) * 257))
    prepared = Prepared([{"image": file} for file in files], image=image_feature(channels))
    monkeypatch.setattr(sources.tfds, "sources", lambda *_, **__: [prepared])
    source = sources.open_source("tfds:some")
    assert source.shape == (6, 8, 8, channels)
    ((block, lost),) = source.in_order(6)
    assert not lost
    for image in block:
        np.testing.assert_array_equal(image, few_digits[0][1].repeat(channels, axis=2))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"text": None, "label": None}, "must have images, got label, text"),
        (
            {"image": image_feature(4)},
            r"must have images of 8 bits, gray or RGB, got uint8 of shape \(None, None, 4\)",
        ),
        (
            {"image": image_feature(1, np.float32)},
            r"must have images of 8 bits, gray or RGB, got float32 of shape \(None, None, 1\)",
        ),
    ],
)
def test_a_set_of_tensorflow_datasets_without_such_images_is_refused(
    features, message, monkeypatch
):
    monkeypatch.setattr(sources.tfds, "sources", lambda *_, **__: [Prepared([{}], **features)])
    with pytest.raises(ValueError, match=f"data: tfds:some {message}"):
        sources.open_source("tfds:some")


def test_pictures_are_streamed_from_an_archive_as_from_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)))
    (tmp_path / "photos" / "a" / "2.png").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted((tmp_path / "photos").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "photos"))
    reading = Reading((8, 8), resize="stretch")
    folder, packed = (
        sources.open_source(str(tmp_path / name), reading=reading)
        for name in ("photos", "photos.zip")
    )
    assert folder.fingerprint() == packed.fingerprint()
    assert folder.shape == (6, 8, 8, 3)
    assert folder.labels.tolist() == packed.labels.tolist() == [0, 0, 0, 1, 1, 1]
    ((block, lost),) = folder.in_order(6)
    ((other, also_lost),) = packed.in_order(6)
    np.testing.assert_array_equal(block, other)
    assert lost == also_lost == {1: "empty"}
    assert packed.called(1) == "a/2.png"
    assert packed.summary.startswith("5 images of 9 x 7, 2 folders as classes (a, b) -> 8 x 8 x 3")
    with pytest.raises(ValueError, match=r"must be readable, got a/2\.png"):
        sources.open_source(str(tmp_path / "photos.zip"), reading=reading._replace(strict=True))


def png(image):
    content = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image.squeeze())
    picture.save(content, "png")
    return content.getvalue()


def test_damaged_images_in_a_row_do_not_all_become_the_same(tmp_path):
    images = np.random.default_rng(0).random((400, 4, 4)).astype(np.float32)
    images[100:300] = np.nan
    np.save(tmp_path / "x.npy", images)
    source = sources.open_source(str(tmp_path / "x.npy"))
    reads = []
    read = source._read
    source._read = lambda index: reads.append(index) or read(index)
    block = next(source.blocks(400, seed=0))
    counts = np.unique([image.tobytes() for image in block], return_counts=True)[1]
    # 200 images are readable for 400 places: at most a few more than two places each.
    assert len(counts) == 200
    assert counts.max() <= 8
    assert len(reads) <= 600 + 200  # Each damaged one is read once, ahead too.
    other = sources.open_source(str(tmp_path / "x.npy"))
    np.testing.assert_array_equal(block, next(other.blocks(400, seed=0)))
    np.testing.assert_array_equal(source[150], other[150])


def test_the_only_readable_image_is_found(tmp_path):
    images = np.full((300, 2, 2), np.nan, np.float32)
    images[7] = 0.5
    np.save(tmp_path / "x.npy", images)
    source = sources.open_source(str(tmp_path / "x.npy"))
    assert (source[8] == 0.5).all()
    images[7] = np.nan
    np.save(tmp_path / "y.npy", images)
    with pytest.raises(ValueError, match="data: must have a readable image, y has none"):
        sources.open_source(str(tmp_path / "y.npy"))[0]
