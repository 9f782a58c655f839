"""A folder as people have them: every file is read, named as unreadable or counted, once."""

import io
import os

import numpy as np
import pytest
from PIL import ExifTags, Image

from jaxclust.data import datasets, listing, picture_sets
from jaxclust.data.listing import shown

FORMATS = {
    ".jpg": "JPEG",
    ".JPG": "JPEG",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".avif": "AVIF",
    ".ppm": "PPM",
    ".jp2": "JPEG2000",
}
MODES = ("RGB", "L", "RGBA", "P", "CMYK")
ABLE = {"JPEG": ("RGB", "L", "CMYK"), "WEBP": ("RGB", "L", "RGBA"), "GIF": ("P", "L")}
ABLE |= {"PNG": ("RGB", "L", "RGBA", "P"), "TIFF": MODES}
WORDS = (
    "plain",
    "with space",
    "q\"uo'te",
    "<b>",
    "写真",
    "é",
    "new\nline",
    os.fsdecode(b"\xff\xfe"),
)
OTHERS = {"notes.txt": 4, "clip.mp4": 3, "raw.CR2": 2, "Thumbs.db": 1, "noending": 3, "x.xmp": 2}
HIDDEN = (".DS_Store", "._IMG_1.png", ".hidden.jpg")


def picture(rng, number, mode):
    """A picture with one color, its number's, so that a mixed-up order is seen."""
    width, height = rng.integers(20, 300, 2)
    color = (number % 250, 100, 50)
    image = Image.new("RGB", (int(width), int(height)), color)
    if mode == "RGBA":
        image.putalpha(255)
    return image if mode in ("RGB", "RGBA") else image.convert(mode)


def content(rng, number):
    """A file's ending and bytes."""
    ending = list(FORMATS)[number % len(FORMATS)]
    name = FORMATS[ending]
    modes = ABLE.get(name, ("RGB",))
    image = picture(rng, number, modes[number // len(FORMATS) % len(modes)])
    options = {}
    if name in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") and number % 3 == 0:
        options["exif"] = Image.Exif()
        options["exif"][ExifTags.Base.Orientation] = number % 8 + 1
    file = io.BytesIO()
    image.save(file, name, **options)
    return ending, file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """About 200 files; where they are, the good ones with their numbers, and the damaged ones."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    good, damaged = {}, set()
    places = ("", "cat", "dog", "trips/2023", "trips/with space")
    for number in range(168):
        ending, whole = content(rng, number)
        place = places[number % len(places)]
        name = f"{WORDS[number % len(WORDS)]} {number}{ending}"
        path = root / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        relative = f"{place}/{name}" if place else name
        kind = number % 10
        if kind == 7:
            whole = (b"", whole[: len(whole) // 3], b"not a picture", whole[:10])[number // 10 % 4]
            damaged.add(relative)
        else:
            good[relative] = number
        path.write_bytes(whole)
    for name, count in OTHERS.items():
        stem, ending = os.path.splitext(name)
        for number in range(count):
            (root / places[number] / f"{stem}{number}{ending}").write_bytes(b"x")
    for name in HIDDEN:
        (root / "cat" / name).write_bytes(b"x")
    (root / "link").symlink_to(root / "cat")
    (root / "loop").symlink_to(root)
    (root / "gone.png").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe.jpg")
    return root, good, damaged | {"gone.png"}


@pytest.fixture(scope="module")
def dataset(folder):
    return datasets.load(folder[0], size=(16, 16))


def test_every_file_is_read_or_named_or_counted_once(folder, dataset):
    root, good, damaged = folder
    assert len(dataset.files) == len(set(dataset.files)) == len(dataset.images)
    assert set(dataset.files) == good.keys()
    assert dataset.unreadable.keys() == damaged
    surveyed = picture_sets.survey(root)
    left_out = {".txt": 4, ".mp4": 3, ".cr2": 2, ".db": 1, "": 3, ".xmp": 2, listing.SPECIAL: 1}
    assert surveyed.listed.left_out == left_out
    everything = [
        path
        for place, _, names in os.walk(root)
        for name in names
        if not name.startswith(".")
        for path in [os.path.join(place, name)]
    ]
    count = len(dataset.files) + len(dataset.unreadable) + sum(left_out.values())
    assert count == len(everything) == len(set(everything))


def test_each_row_is_of_its_file(folder, dataset):
    _, good, _ = folder
    numbers = np.array([good[name] % 250 for name in dataset.files])
    # Gray pictures show another red: they are told by their three equal channels.
    center = dataset.images[:, 8, 8].astype(int)
    colored = np.ptp(center, axis=1) > 8
    assert colored.sum() > 80
    assert np.abs(center[colored, 0] - numbers[colored]).max() <= 40
    exact = [
        place
        for place, name in enumerate(dataset.files)
        if name.endswith((".bmp", ".ppm")) and colored[place]
    ]
    np.testing.assert_array_equal(center[exact, 0], numbers[exact])


def test_the_line_says_all_of_it(folder, dataset):
    _, good, damaged = folder
    line = dataset.summary
    assert line.startswith(f"{len(good)} images of ")
    assert "-> 16 x 16 x 3 (crop)" in line
    assert "without a class beside sub-folders" in line  # Pictures lie in the root, too.
    assert "left out: 4 .txt, 3 without ending, 3 .mp4, 2 .cr2, 2 .xmp, 1 .db, 1 pipe, " in line
    assert line.endswith(f"not readable: {len(damaged)} of {len(good) + len(damaged)}")
    assert all(dataset.unreadable.values())
    for name in (*dataset.files, *dataset.unreadable):
        assert "\n" not in shown(name)
        shown(name).encode()
    assert "no regular file" not in dataset.unreadable.values()


def test_threads_change_nothing(folder, dataset, monkeypatch):
    root, _, _ = folder
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    alone = datasets.load(root, size=(16, 16))
    assert (alone.files, alone.unreadable) == (dataset.files, dataset.unreadable)
    np.testing.assert_array_equal(alone.images, dataset.images)


def test_a_copy_of_the_folder_in_an_archive_gives_the_same_images(folder, dataset, tmp_path):
    import tarfile

    root, good, _ = folder
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as archive:
        for name in good:
            archive.add(root / name, name)
    packed = datasets.load(tmp_path / "photos.tar.gz", size=(16, 16))
    assert (packed.name, packed.files) == ("photos", dataset.files)
    np.testing.assert_array_equal(packed.images, dataset.images)
