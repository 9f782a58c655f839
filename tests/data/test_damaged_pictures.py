"""Damaged picture files: left out, named, counted, refused."""

import struct
import zlib

import numpy as np
import pytest

from jaxclust.data import datasets, picture_sets
from random_pictures import gray, put


def bomb():
    """A PNG of a few bytes that says it has 10 ** 10 pixels."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"0"))
        + chunk(b"IEND", b"")
    )


def spoil(folder):
    """A folder with two readable images and, by name, each kind of unreadable file."""
    good = folder / "a.png"
    put(good, gray(40, 40))
    put(folder / "z.png", gray(40, 40))
    put(folder / "float.tiff", np.ones((4, 4), np.float32))
    (folder / "truncated.png").write_bytes(good.read_bytes()[:-200])
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not an image")
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")


UNREADABLE = {
    "bomb.png": "more pixels than is safe",
    "dangling.png": "No such file or directory",
    "float.tiff": "32-bit pixels without a stated range",
    "text.jpg": "no image",
    "truncated.png": None,
    "zero.png": "empty",
}


@pytest.mark.parametrize("strict", [False, True])
def test_too_many_unreadable_files_are_refused_by_name(tmp_path, strict):
    spoil(tmp_path)
    with pytest.raises(ValueError) as caught:
        datasets.load(tmp_path, strict=strict)
    message = str(caught.value)
    whole = f"every picture in {tmp_path}" if strict else f"half of the pictures in {tmp_path}"
    assert message.startswith(f"data: {whole} must be readable, got ")
    for name, reason in UNREADABLE.items():
        assert f"{name} ({reason or ''}" in message
    assert "a.png" not in message
    assert "z.png" not in message


def test_some_unreadable_files_are_left_out_and_named(tmp_path):
    spoil(tmp_path)
    good = [put(tmp_path / f"good{number}.png", gray(40, 40)) for number in range(8)]
    dataset = datasets.load(tmp_path)
    assert dataset.files == ("a.png", *(f"good{number}.png" for number in range(8)), "z.png")
    np.testing.assert_array_equal(dataset.images[1:-1, ..., 0], good)
    assert dataset.unreadable.keys() == UNREADABLE.keys()
    for name, reason in UNREADABLE.items():
        assert reason in (None, dataset.unreadable[name])
    assert dataset.summary.endswith("; not readable: 6 of 16")
    assert "6 not readable" in repr(dataset)
    with pytest.raises(ValueError, match="every picture in .* must be readable, got bomb.png"):
        datasets.load(tmp_path, strict=True)


def test_a_class_whose_pictures_cannot_be_read_leaves_no_gap_in_the_labels(tmp_path):
    for name in ("a/1.png", "b/1.png", "c/1.png", "c/2.png"):
        put(tmp_path / name, gray())
    (tmp_path / "b" / "1.png").write_bytes(b"")
    dataset = datasets.load(tmp_path)
    assert dataset.labels.tolist() == [0, 1, 1]
    assert dataset.class_names == ("a", "c")
    assert "2 folders as classes (a, c)" in dataset.summary


def test_too_few_readable_files_are_named(tmp_path):
    put(tmp_path / "a.png", gray())
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"at least 2, got 1; not readable: b\.png \(empty\)$"):
        datasets.load(tmp_path)


def test_ten_unreadable_files_are_named_and_the_rest_counted(tmp_path):
    for number in range(13):
        (tmp_path / f"{number:02}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"00\.png \(empty\), .*, 09\.png \(empty\) and 3 more$"):
        datasets.load(tmp_path)


def test_no_damage_to_a_png_escapes(tmp_path):
    """Whatever byte is wrong, the file is read, or refused by name."""
    put(tmp_path / "a.png", gray(5, 5))
    whole = (tmp_path / "a.png").read_bytes()
    refusals = []
    for place in range(len(whole)):
        damaged = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        (tmp_path / "b.png").write_bytes(damaged)
        try:
            read = picture_sets.read(tmp_path, picture_sets.Reading(strict=True))
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert read.images.dtype == np.uint8
    assert len(refusals) > len(whole) / 2
    assert all("got b.png (" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 8)}, r"size: must be height and width, each from 1 to 1024, got \(0, 8\)"),
        ({"size": (8, 1025)}, "size: must be height and width"),
        ({"channels": 2}, "channels: must be 1 or 3 for a folder of images, got 2"),
    ],
)
def test_sizes_and_channels_out_of_range_are_refused(tmp_path, options, message):
    put(tmp_path / "a.png", gray())
    with pytest.raises(ValueError, match=message):
        datasets.load(tmp_path, **options)
