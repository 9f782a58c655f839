"""Pictures are told apart by what their files hold, also under the same names and sizes."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from jaxclust.data import content_digest, listing, sources
from jaxclust.data.picture_sets import listing_digest


@pytest.fixture
def folder(tmp_path):
    """Four uncompressed pictures of one size in bytes, larger than what is read of a file."""
    root = tmp_path / "pictures"
    root.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (4, 80, 80, 3), np.uint8)
    for number, image in enumerate(noise):
        Image.fromarray(image).save(root / f"{number}.bmp")
    return root


def digests(path):
    listed = listing.listing(path)
    return listing_digest(listed), content_digest.content_digest(listed)


def exchange(folder):
    os.rename(folder / "0.bmp", folder / "x")
    os.rename(folder / "1.bmp", folder / "0.bmp")
    os.rename(folder / "x", folder / "1.bmp")


def archived(folder, ending):
    path = folder.parent / f"pictures{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)
    else:
        with tarfile.open(path, "w") as archive:
            for file in sorted(folder.iterdir()):
                content = file.read_bytes()
                member = tarfile.TarInfo(file.name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("ending", ["", ".zip", ".tar"])
def test_exchanged_pictures_have_another_digest(folder, ending):
    before = digests(archived(folder, ending) if ending else folder)
    exchange(folder)
    after = digests(archived(folder, ending) if ending else folder)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_times_of_change_and_places_do_not_count(folder):
    before = digests(folder)
    os.utime(folder / "0.bmp", (1, 1))
    other = folder.rename(folder.with_name("elsewhere"))
    assert digests(other) == before


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_change_at_the_begin_the_middle_or_the_end_is_seen(folder, place):
    before = digests(folder)[1]
    path = folder / "2.bmp"
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    assert digests(folder)[1] != before


def test_a_file_that_has_gone_counts_too(folder):
    listed = listing.listing(folder)
    before = content_digest.content_digest(listed)
    (folder / "3.bmp").unlink()
    assert content_digest.content_digest(listed) != before


def test_a_stream_of_a_folder_knows_its_content(folder):
    first = sources.open_source(str(folder)).content
    exchange(folder)
    second = sources.open_source(str(folder)).content
    assert first
    assert first != second
