"""Sets of pictures from folders: their rules, and what is left out or refused by name."""

import hashlib
import os
import tracemalloc

import numpy as np
import pytest
from PIL import ExifTags, Image

from jaxclust.data import datasets, in_threads, picture_sets
from jaxclust.data.listing import listing
from random_pictures import color, gray, put


def test_the_folder_that_holds_a_picture_is_its_class(tmp_path):
    names = ["b/2.png", "a/deep/er/1.PNG", "a/deeper/0.png", "b/10.png", "c d/x.png"]
    pixels = {name: put(tmp_path / name, gray()) for name in names}
    dataset = datasets.load(tmp_path)
    assert dataset.name == tmp_path.name
    assert dataset.files == (
        "a/deep/er/1.PNG",
        "a/deeper/0.png",
        "b/10.png",
        "b/2.png",
        "c d/x.png",
    )
    assert dataset.class_names == ("b", "c d", "deeper", "er")
    assert dataset.labels.tolist() == [3, 2, 0, 0, 1]
    assert (dataset.labels.dtype, dataset.images.dtype, dataset.classes) == (np.int32, np.uint8, 4)
    np.testing.assert_array_equal(dataset.images[..., 0], [pixels[name] for name in dataset.files])


def test_files_are_in_the_order_of_their_folders(tmp_path):
    for name in ("x/a-b/1.png", "x/a/2.png", "x/a/1.png", "x/a.png"):
        put(tmp_path / name, gray())
    assert datasets.load(tmp_path).files == ("x/a/1.png", "x/a/2.png", "x/a-b/1.png", "x/a.png")


def test_a_listing_digest_is_of_names_and_sizes(tmp_path):
    for name, size in (("a.png", 3), ("b.png", 5)):
        (tmp_path / name).write_bytes(b"x" * size)
    expected = hashlib.sha256(b"a.png 3\nb.png 5").hexdigest()
    listed = listing(tmp_path)
    assert listed.files == ("a.png", "b.png")
    assert picture_sets.listing_digest(listed) == expected


def test_a_survey_holds_little_more_than_names(tmp_path):
    place, one = tmp_path / "class", tmp_path / "one.png"
    place.mkdir()
    put(one, gray(1, 1))
    for number in range(1000):
        os.link(one, place / f"{number:060}.png")
    one.unlink()
    picture_sets.survey(tmp_path)  # Pillow imports its plugins at the first call.
    tracemalloc.start()
    survey = picture_sets.survey(tmp_path)
    picture_sets.listing_digest(survey.listed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A name of 70 characters takes 119 bytes: once listed, once to sort by, once kept, and its
    # places in lists.
    assert peak < 1000 * 400


def test_a_flat_folder_has_no_labels(tmp_path):
    pixels = [put(tmp_path / f"{number}.png", gray()) for number in range(3)]
    dataset = datasets.load(str(tmp_path))
    assert (dataset.labels, dataset.classes, dataset.files) == (
        None,
        None,
        ("0.png", "1.png", "2.png"),
    )
    np.testing.assert_array_equal(dataset.images[..., 0], pixels)


def test_arrays_have_no_files(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([gray(), gray()]))
    assert datasets.load(tmp_path / "x.npy").files is None


def test_what_is_no_image_is_passed_over(tmp_path):
    put(tmp_path / "a.png", gray())
    put(tmp_path / "b.png", gray())
    put(tmp_path / ".hidden.png", gray())
    put(tmp_path / ".cache" / "c.png", gray())
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "one.pdf").write_bytes(b"%PDF")
    dataset = datasets.load(tmp_path)
    assert (dataset.files, dataset.labels) == (("a.png", "b.png"), None)


def test_images_beside_sub_folders_are_read_and_have_no_class(tmp_path):
    put(tmp_path / "a.png", gray())
    put(tmp_path / "x" / "b.png", gray())
    put(tmp_path / "y" / "c.png", gray())
    dataset = datasets.load(tmp_path)
    assert dataset.files == ("a.png", "x/b.png", "y/c.png")
    assert (dataset.labels.tolist(), dataset.classes) == ([-1, 0, 1], 2)
    assert "2 folders as classes (x, y), 1 of 3 without a class beside sub" in dataset.summary


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "class").mkdir()
    with pytest.raises(ValueError, match=r"must hold pictures .*, got none; left out: 1 \.txt$"):
        datasets.load(tmp_path)


def test_one_image_is_too_few(tmp_path):
    put(tmp_path / "a.png", gray())
    with pytest.raises(ValueError, match="images: must be at least 2, got 1"):
        datasets.load(tmp_path)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(9, 7), (9, 7)], (9, 7)),
        ([(128, 128), (128, 128)], (128, 128)),
        ([(20, 129), (20, 129)], (64, 64)),
        ([(9, 7), (7, 9)], (64, 64)),
        ([(100, 50), (30, 300)], (64, 64)),
        ([(9, 7)] * 9 + [(300, 200)], (9, 7)),
        ([(9, 7)] * 8 + [(300, 200)], (64, 64)),
        ([(300, 200)] * 9 + [(9, 7)], (64, 64)),
    ],
)
def test_the_small_size_of_nine_in_ten_stays_and_else_it_is_64_by_64(tmp_path, sizes, expected):
    for number, size in enumerate(sizes):
        put(tmp_path / f"{number}.png", gray(*size))
    assert datasets.load(tmp_path).images.shape == (len(sizes), *expected, 1)


def test_the_size_asked_for_is_covered_and_cropped_around_the_center(tmp_path):
    # Thirds of a wide image: its middle is what a square keeps, exactly, since nothing is scaled.
    wide = np.repeat(np.uint8([10, 200, 60]), 8)[None].repeat(8, 0)
    put(tmp_path / "wide.png", wide)
    put(tmp_path / "tall.png", wide.T.copy())
    images = datasets.load(tmp_path, size=(8, 8)).images
    assert images.shape == (2, 8, 8, 1)
    assert (images == 200).all()
    assert datasets.load(tmp_path, size=(4, 6)).images.shape == (2, 4, 6, 1)


def test_scaling_down_averages(tmp_path):
    # A fine checkerboard: picking pixels would give black or white, antialiasing gives gray.
    board = (np.indices((96, 96)).sum(0) % 2 * 255).astype(np.uint8)
    put(tmp_path / "a.png", board)
    put(tmp_path / "b.png", 255 - board)
    images = datasets.load(tmp_path, size=(8, 8)).images
    assert np.abs(images.astype(int) - 127.5).max() < 8


def test_scaling_weighs_pixels_by_their_distance(tmp_path):
    blocks = gray(8, 8)
    for name in "ab":
        put(tmp_path / f"{name}.png", np.kron(blocks, np.ones((16, 16), np.uint8)))
    # A triangle of two blocks' width has 3/4 of its area over its own block, 1/8 over each next.
    weights = 0.75 * np.eye(8) + 0.125 * (np.eye(8, k=1) + np.eye(8, k=-1))
    weights /= weights.sum(1, keepdims=True)
    small = datasets.load(tmp_path, size=(8, 8)).images[0, ..., 0]
    np.testing.assert_allclose(small, weights @ blocks @ weights.T, atol=1.5)


def test_very_thin_images_can_be_scaled(tmp_path):
    put(tmp_path / "a.png", np.full((1, 3000), 77, np.uint8))
    put(tmp_path / "b.png", np.full((3000, 1), 78, np.uint8))
    images = datasets.load(tmp_path).images
    assert (images[0] == 77).all()
    assert (images[1] == 78).all()


def test_a_set_is_gray_if_all_files_are_gray(tmp_path):
    for number in range(2):
        put(tmp_path / f"{number}.png", gray())
    assert datasets.load(tmp_path).images.shape[-1] == 1
    gray_pixels = put(tmp_path / "2.png", gray())
    color_pixels = put(tmp_path / "3.png", color())
    images = datasets.load(tmp_path).images
    np.testing.assert_array_equal(images[2], gray_pixels[..., None].repeat(3, 2))
    np.testing.assert_array_equal(images[3], color_pixels)


def test_channels_can_be_asked_for(tmp_path):
    put(tmp_path / "a.png", np.full((4, 4, 3), (255, 0, 0), np.uint8))
    put(tmp_path / "b.png", np.full((4, 4), 9, np.uint8))
    images = datasets.load(tmp_path, channels=1).images
    assert (images[0] == 76).all()  # ITU-R 601: 0.299 * 255
    assert (images[1] == 9).all()
    assert datasets.load(tmp_path, channels=3).images.shape[-1] == 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tiff"])
def test_orientation_is_applied(tmp_path, orientation, ending):
    # Left dark, right light, taller than wide.
    stored = np.full((16, 8), 20, np.uint8)
    stored[:, 4:] = 220
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 100} if ending == "jpg" else {}
    for name in "ab":
        put(tmp_path / f"{name}.{ending}", stored, exif=exif, **options)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].T,
        8: np.rot90(stored),
    }[orientation]
    image = datasets.load(tmp_path).images[0, ..., 0]
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).max() <= 8


@pytest.mark.parametrize("ending", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, ending):
    wide = np.uint16([[0, 128, 129, 257, 32768, 65279, 65406, 65407, 65535]])
    for name in "ab":
        put(tmp_path / f"{name}.{ending}", wide)
    images = datasets.load(tmp_path).images
    assert images.shape == (2, 1, 9, 1)
    np.testing.assert_array_equal(images[0, 0, :, 0], np.round(wide[0] / 257))


def test_other_modes_become_gray_or_rgb(tmp_path):
    red = Image.new("RGB", (4, 4), (250, 10, 20))
    folder = tmp_path / "colors"
    folder.mkdir()
    red.quantize(8).save(folder / "palette.png")
    see_through = red.convert("RGBA")
    see_through.putalpha(0)
    see_through.save(folder / "alpha.png")
    see_through.quantize(8, Image.Quantize.FASTOCTREE).save(folder / "palette-alpha.png")
    red.convert("CMYK").save(folder / "cmyk.tiff")
    red.save(folder / "lossy.webp", lossless=True)
    images = datasets.load(folder).images
    assert images.shape == (5, 4, 4, 3)
    # Nobody sees a color below full transparency: the pictures of it are white.
    assert (images[[0, 3]] == 255).all()
    assert np.abs(images[[1, 2, 4]].astype(int) - (250, 10, 20)).max() <= 3
    folder = tmp_path / "grays"
    folder.mkdir()
    Image.new("1", (4, 4), 1).save(folder / "bits.png")
    Image.new("LA", (4, 4), (255, 0)).save(folder / "alpha.png")
    images = datasets.load(folder).images
    assert images.shape == (2, 4, 4, 1)
    assert (images == 255).all()


def test_the_first_of_several_frames_counts(tmp_path):
    first, second = (Image.new("L", (4, 4), value) for value in (30, 200))
    for name in "ab":
        first.save(tmp_path / f"{name}.gif", save_all=True, append_images=[second])
    assert (datasets.load(tmp_path).images == 30).all()


def test_few_files_are_held_at_a_time(tmp_path):
    for number in range(12):
        put(tmp_path / f"{number}.png", np.full((800, 800, 3), number, np.uint8))
    datasets.load(tmp_path)
    tracemalloc.start()
    images = datasets.load(tmp_path, size=(16, 16)).images
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes + 2 * 800 * 800 * 3


def test_a_bar_shows_on_a_terminal_alone_and_for_many_pictures(tmp_path, monkeypatch, capsys):
    for number in range(6):
        put(tmp_path / f"{number}.png", gray())
    monkeypatch.setattr(in_threads, "WITH_BAR", 5)
    datasets.load(tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    datasets.load(tmp_path)
    shown = capsys.readouterr().err
    assert "reading pictures" in shown
    assert "/6 [" in shown
    picture_sets.read(tmp_path, picture_sets.Reading(progress=False))
    monkeypatch.setattr(in_threads, "WITH_BAR", 6)
    datasets.load(tmp_path)
    assert capsys.readouterr().err == ""


def test_a_set_of_arrays_has_no_words_on_files(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([gray(), gray()]))
    dataset = datasets.load(tmp_path / "x.npy")
    assert (dataset.summary, dict(dataset.unreadable), dataset.class_names) == ("", {}, None)
    np.savez(tmp_path / "y.npz", images=np.stack([gray(), gray()]), labels=[0, 1])
    assert datasets.load(tmp_path / "y.npz", labels="none").labels is None
    with pytest.raises(ValueError, match="labels: must not be a table for a set of arrays"):
        datasets.load(tmp_path / "y.npz", labels=tmp_path / "labels.csv")


def test_the_line_says_what_the_classes_are(tmp_path):
    for number in range(14):
        put(tmp_path / "p" / f"class{number // 2}" / f"{number}.png", gray(9 + number, 7))
    words = datasets.load(tmp_path / "p").summary
    classes = "7 folders as classes (class0, class1, class2, class3, class4, ...)"
    assert words == f"14 images of 9 x 7 to 22 x 7, {classes} -> 64 x 64 x 1 (crop)"
    table = tmp_path / "p" / "t.csv"
    table.write_text("file,label\nclass0/0.png,x\nclass1/2.png,y\nclass2/4.png,\n")
    dataset = datasets.load(table)
    assert ", 2 classes (x, y), 1 of 3 without a class ->" in dataset.summary
    assert (dataset.labels.tolist(), dataset.class_names) == ([0, 1, -1], ("x", "y"))
    table.write_text("file,label\nclass0/0.png,x\nclass1/2.png,y\n")
    dataset = datasets.load(table)
    assert ", 2 classes (x, y) ->" in dataset.summary
    assert (dataset.name, dataset.labels.tolist(), dataset.class_names) == ("t", [0, 1], ("x", "y"))
    table.write_text("file,label\nclass0/0.png,x\nclass1/2.png,x\n")
    assert ", no labels (all of one class) ->" in datasets.load(table).summary
    assert ", no labels ->" in datasets.load(table, labels="none").summary
