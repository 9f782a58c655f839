"""No file of a folder is lost: each is grouped, named as unreadable, or counted as left out."""

import csv
import io
import os
import re

import numpy as np
import pytest
from PIL import Image

from drawings import KINDS, draw
from jaxclust.cli.main import main
from jaxclust.data.csv_cells import from_cell
from jaxclust.data.datasets import load

NAMES = (
    "=1+1",
    "two words",
    "quote'\"",
    "a<b>&c",
    "\u732b",
    "comma,semi;",
    "line\nbreak",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
)
ENDINGS = (".jpg", ".JPG", ".png", ".webp", ".bmp", ".gif", ".tiff", ".jfif")
FORMATS = {".jpg": "JPEG", ".jfif": "JPEG", ".tiff": "TIFF"}
OTHERS = ("notes.txt", "movie.mp4", "no ending")


def fill(root, images):
    """Writes images in mixed formats, sizes, turns and places; some damaged, and other files.

    Returns the names of the readable ones, of the damaged ones, and of the other files.
    """
    readable = []
    damaged = []
    for number, image in enumerate(images):
        ending = ENDINGS[number % len(ENDINGS)]
        folder = ("", "a", "a/b", "c d")[number % 4]
        name = f"{NAMES[number % 7 if number % 3 else 7]} {number // 2}{ending}"
        path = os.path.join(root, folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if number % 5 == 0:
            image = image.resize((image.width * 3, image.height))
        if number % 7 == 0 and ending in (".png", ".webp"):
            image = image.convert("RGBA")
            image.putalpha(Image.new("L", image.size, 120))
        exif = Image.Exif()
        if number % 6 == 0:
            exif[274] = 6
        content = io.BytesIO()
        kind = FORMATS.get(ending.lower(), ending[1:].upper())
        turned = {"exif": exif} if kind in ("JPEG", "WEBP", "PNG") else {}
        image.save(content, kind, **turned)
        whole = content.getvalue()
        if number % 11 == 0:
            whole = (b"", whole[: len(whole) // 3], b"no picture at all")[number // 11 % 3]
        with open(path, "xb") as file:
            file.write(whole)
        relative = f"{folder}/{name}" if folder else name
        (damaged if number % 11 == 0 else readable).append(relative)
    for name in OTHERS:
        (root / name).write_text("other")
    (root / ".hidden.jpg").write_text("hidden")
    return readable, damaged


def listed(path):
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return [from_cell(line["file"]) for line in csv.DictReader(io.StringIO(text, newline=""))]


def check(root, images, out, more, capsys):
    readable, damaged = fill(root, images)
    assert main(["group", str(root), "--out", str(out), "--copy", *more]) == 0
    err = capsys.readouterr().err
    assert sorted(listed(out / "groups.csv")) == sorted(readable)
    assert sorted(listed(out / "unreadable.csv")) == sorted(damaged)
    counts = re.search("left out: (.*)", err)
    assert counts is not None
    assert sum(map(int, re.findall(r"(\d+) (?:\.|without)", counts[1]))) == len(OTHERS)
    copies = [path for path in (out / "groups").rglob("*") if path.is_file()]
    assert len(copies) == len(readable) + 1  # And made.csv.


def test_each_file_of_a_mixed_folder_is_somewhere(tmp_path, capsys):
    generator = np.random.default_rng(0)
    root = tmp_path / "mixed"
    root.mkdir()
    images = [draw(KINDS[number % 3], generator) for number in range(66)]
    check(root, images, tmp_path / "out", ["--clusters", "3", "--seeds", "3"], capsys)


@pytest.mark.slow
def test_each_of_2000_files_is_somewhere(tmp_path, capsys, photos):
    root = tmp_path / "mixed"
    root.mkdir()
    rows = np.random.default_rng(0).choice(3000, 2000, replace=False)
    images = [Image.fromarray(image) for image in load(photos).images[rows]]
    check(root, images, tmp_path / "out", [], capsys)
