"""One picture file as an array: sizes, turns, transparency, and what is refused with a reason."""

import io
import os

import numpy as np
import pytest
from PIL import ExifTags, Image

from jaxclust.data import pictures
from jaxclust.data.pictures import Unreadable


def stored(picture, file_format="png", **options):
    """A file's content; the picture is an array or one of Pillow's."""
    content = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(content, file_format, **options)
    return content.getvalue()


def thirds():
    """8 x 24 pixels, dark, light and middle from left to right."""
    return np.repeat(np.uint8([10, 200, 60]), 8)[None].repeat(8, 0)


def test_the_usual_formats_are_read_and_documents_are_not():
    assert {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".avif"} <= pictures.endings()
    assert {".gif", ".bmp", ".tif", ".tiff", ".jp2", ".pgm", ".ico"} <= pictures.endings()
    others = {".pdf", ".eps", ".ps", ".mpg", ".h5", ".hdf", ".grib", ".bufr", ".fits", ".wmf"}
    assert not others & pictures.endings()


def test_a_document_that_is_called_a_picture_starts_no_program(monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("started"))
    document = stored(Image.new("RGB", (4, 4)), "eps")
    with pytest.raises(Unreadable, match="no image"):
        pictures.decode(document, (4, 4, 3))


def test_crop_keeps_the_middle():
    content = stored(thirds())
    assert (pictures.decode(content, (8, 8, 1)) == 200).all()
    assert (pictures.decode(stored(thirds().T), (8, 8, 1), "crop") == 200).all()


def test_stretch_keeps_everything():
    stretched = pictures.decode(stored(thirds()), (8, 12, 1), "stretch")[..., 0]
    assert stretched.shape == (8, 12)
    assert (stretched == stretched[0]).all()
    assert [stretched[0, place] for place in (0, 5, 11)] == [10, 200, 60]


def test_pad_keeps_everything_and_fills_with_the_mean_of_the_border():
    padded = pictures.decode(stored(thirds()), (24, 24, 1), "pad")[..., 0]
    np.testing.assert_array_equal(padded[8:16], thirds())
    # The border is the upper and lower line, and the rest of the left and right one.
    border = (2 * thirds()[0].sum() + 6 * 10 + 6 * 60) / (2 * 24 + 12)
    assert (np.concatenate([padded[:8], padded[16:]]) == round(border)).all()
    tall = pictures.decode(stored(thirds().T), (24, 24, 3), "pad")
    np.testing.assert_array_equal(tall[:, 8:16, 1], thirds().T)
    assert (tall[:, :8] == tall[:, :8, :1]).all()


@pytest.mark.parametrize("resize", pictures.RESIZES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 7)])
def test_every_size_can_be_reached(resize, size):
    image = pictures.decode(stored(np.full(size, 77, np.uint8)), (5, 9, 3), resize)
    assert image.shape == (5, 9, 3)
    assert (image == 77).all()


def test_an_unknown_way_to_resize_is_refused():
    with pytest.raises(ValueError, match="resize: must be one of crop, pad, stretch, got 'zoom'"):
        pictures.decode(stored(thirds()), (8, 8, 1), "zoom")


@pytest.mark.parametrize("resize", pictures.RESIZES)
@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpegs_are_decoded_at_a_scale_that_keeps_twice_the_size(
    resize, orientation, monkeypatch
):
    from PIL.JpegImagePlugin import JpegImageFile

    rng = np.random.default_rng(0)
    blocks = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = blocks.resize((1200, 900), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = stored(smooth, "jpeg", quality=95, exif=exif)
    scales = []
    draft = JpegImageFile.draft

    def watched(self, mode, size):
        result = draft(self, mode, size)
        scales.append(self.size)
        return result

    monkeypatch.setattr(JpegImageFile, "draft", watched)
    shape = (40, 56, 3)
    reduced = pictures.decode(content, shape, resize).astype(int)
    monkeypatch.setattr(JpegImageFile, "draft", lambda *_: None)
    whole = pictures.decode(content, shape, resize).astype(int)
    # An eighth, 150 x 113, has twice 56 x 40 each way, also where the sides are exchanged.
    assert scales == [(150, 113)]
    assert np.abs(reduced - whole).mean() < 2
    # The size is one below which no reduced scale has twice as many pixels.
    monkeypatch.setattr(JpegImageFile, "draft", watched)
    pictures.decode(content, (451, 601, 3), resize)
    assert scales[1:] == [(1200, 900)]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
def test_what_is_transparent_is_white(mode):
    """Each mode has its own way to store transparency; the hidden color is a dark one."""
    values = np.full((4, 4), 30, np.uint8)
    values[:, 2:] = 90
    alpha = Image.fromarray(np.where(values == 30, 0, 255).astype(np.uint8))
    options = {}
    if mode in ("RGBA", "LA"):
        picture = Image.fromarray(values).convert(mode)
        picture.putalpha(alpha)
    elif mode == "P":
        picture = Image.fromarray(values, "L").convert("P")
        options["transparency"] = 30
    else:
        picture = Image.fromarray(values).convert(mode)
        options["transparency"] = 30 if mode == "L" else (30, 30, 30)
    content = stored(picture, **options)
    for channels in (1, 3):
        image = pictures.decode(content, (4, 4, channels))
        assert (image[:, :2] == 255).all()
        assert (image[:, 2:] == 90).all()


def test_half_transparent_is_mixed_with_white_before_it_is_scaled():
    colors = np.zeros((8, 8, 4), np.uint8)
    colors[..., 3] = 128
    assert np.abs(pictures.decode(stored(colors), (8, 8, 3)).astype(int) - 127).max() <= 1
    # Hidden red beside shown black: scaling must not mix red in.
    colors[:] = (255, 0, 0, 0)
    colors[:, ::2] = (0, 0, 0, 255)
    small = pictures.decode(stored(colors), (2, 2, 3)).astype(int)
    assert (small == small[..., :1]).all()


TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.T,
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("file_format", ["avif", "webp", "heif"])
def test_new_formats_are_turned_once(file_format, orientation):
    if file_format == "heif":
        pytest.importorskip("pillow_heif")
        pictures.formats()
    values = np.full((64, 32), 20, np.uint8)
    values[:, 16:] = 220
    values[:8] = 120
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = Image.fromarray(values).convert("RGB")
    content = stored(picture, file_format, exif=exif.tobytes(), quality=95)
    upright = TURNS[orientation](values)
    size, _ = pictures.header(content)
    assert size == upright.shape
    image = pictures.decode(content, (*size, 1))[..., 0]
    assert np.abs(image.astype(int) - upright).mean() < 4


def test_heic_is_read_where_the_package_is_there_and_says_what_to_do_where_not(monkeypatch):
    pytest.importorskip("pillow_heif")
    assert {".heic", ".heif"} <= pictures.endings()
    content = stored(Image.new("RGB", (64, 64), (200, 10, 20)), "heif", quality=95)
    assert np.abs(pictures.decode(content, (8, 8, 3)).astype(int) - (200, 10, 20)).max() < 8
    without = tuple(name for name in pictures.formats() if name != "HEIF")
    monkeypatch.setattr(pictures, "formats", lambda: without)
    with pytest.raises(Unreadable, match=r"HEIC needs pip install 'jaxclust\[photos\]'"):
        pictures.decode(content, (8, 8, 3))


def test_a_damaged_exif_block_costs_no_picture():
    good = stored(np.full((8, 8), 50, np.uint8), "jpeg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert pictures.header(good)[0] == (8, 8)
    assert np.abs(pictures.decode(good, (8, 8, 1)).astype(int) - 50).max() <= 2
    for value in (0, 9, 700):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = value
        content = stored(thirds(), "jpeg", exif=exif)
        assert pictures.header(content)[0] == (8, 24)
        assert pictures.decode(content, (8, 24, 1)).shape == (8, 24, 1)


def test_a_header_is_the_same_from_a_path(tmp_path):
    for name, mode in (("a.jpg", "CMYK"), ("b.png", "I;16"), ("c.gif", "P")):
        Image.new("L", (5, 9)).convert(mode if mode != "I;16" else "I").convert(mode).save(
            tmp_path / name
        )
        content = (tmp_path / name).read_bytes()
        assert pictures.header(tmp_path / name) == pictures.header(content)
        assert pictures.header(content)[0] == (9, 5)
    assert pictures.is_gray("I;16")
    assert not pictures.is_gray("P")


def test_files_that_cannot_be_read_say_why(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    reasons = {
        "pipe.png": "no regular file",
        "folder.png": "no regular file",
        "none.png": "No such file or directory",
        "round.png": "Too many levels of symbolic links",
    }
    for name, reason in reasons.items():
        for read in (pictures.read_file, pictures.header):
            with pytest.raises(Unreadable, match=reason):
                read(tmp_path / name)
    (tmp_path / "large.png").write_bytes(b"x" * 101)
    monkeypatch.setattr(pictures, "LARGEST_FILE", 100)
    with pytest.raises(Unreadable, match="larger than"):
        pictures.read_file(tmp_path / "large.png")


@pytest.mark.parametrize("file_format", ["jpeg", "gif", "tiff", "webp", "bmp", "avif"])
def test_a_file_that_lacks_its_last_bytes_is_refused(file_format):
    rng = np.random.default_rng(0)
    content = stored(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8), file_format)
    for part in (0.3, 0.7):
        with pytest.raises(Unreadable) as caught:
            pictures.decode(content[: int(len(content) * part)], (8, 8, 3))
        assert "\n" not in str(caught.value)
        assert str(caught.value)
