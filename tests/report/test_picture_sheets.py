"""Sheets of picture files: which files they read, and where each picture stands."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("matplotlib", reason="the sheets' font is matplotlib's")
import jaxclust as jc
from jaxclust.data import pictures
from jaxclust.report import picture_sheets
from jaxclust.report.picture_sheets import COLUMNS, GAP, LEAST, LINE, MOST, SIDE
from jaxclust.report.run_figures import draw
from jaxclust.runs.folder import FOLDERS
from jaxclust.runs.progress import Bars

COLORS = ((200, 0, 0), (0, 180, 0), (0, 0, 220))


@pytest.fixture
def photos(tmp_path):
    """Thirty pictures of three colors, larger than a tile, twice as wide as they are high."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for place in range(30):
        Image.new("RGB", (300, 150), COLORS[place % 3]).save(folder / f"{place:02}.png")
    return folder


@pytest.fixture
def dataset(photos):
    """Those pictures as a set."""
    return jc.load(photos)


def middle(sheet, row, column, titles=False):
    """The color in the middle of a tile."""
    height = SIDE + LINE + GAP + (LINE if titles else 0)
    top = GAP + row * height + (LINE if titles else 0)
    return sheet.getpixel((GAP + column * (SIDE + GAP) + SIDE // 2, top + SIDE // 2))


def test_every_cluster_has_a_row_and_the_sizes_are_told(dataset, tmp_path, monkeypatch):
    words = []
    text = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, place, said, *more: words.append(said) or text(self, place, said, *more),
    )
    labels = np.arange(30) % 3
    chosen = picture_sheets.write_overview(tmp_path / "all.png", dataset, labels, 4)
    assert [sorted(rows.tolist()) for rows in chosen] == [
        *(list(range(first, 30, 3)) for first in range(3)),
        [],
    ]
    with Image.open(tmp_path / "all.png") as sheet:
        assert sheet.size == (
            COLUMNS * (SIDE + GAP) + GAP,
            4 * (SIDE + 2 * LINE + GAP) + GAP,
        )
        for cluster, color in enumerate(COLORS):
            assert {middle(sheet, cluster, column, True) for column in range(10)} == {color}
        assert middle(sheet, 3, 0, True) == (225, 225, 225)
    assert "cluster 1: 10 images" in words
    assert "empty" in words
    assert {f"{place:02}.png" for place in range(30)} <= set(words)


def test_many_clusters_share_rows(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_sheets, "MOST_ROWS", 2)
    picture_sheets.write_overview(tmp_path / "all.png", dataset, np.arange(30) % 3, 3)
    with Image.open(tmp_path / "all.png") as sheet:
        # Five pictures of each, so that two clusters stand beside each other.
        assert middle(sheet, 0, 4, True) == COLORS[0]
        assert middle(sheet, 0, 5, True) == COLORS[1]
        assert middle(sheet, 1, 0, True) == COLORS[2]
        assert sheet.height == 2 * (SIDE + 2 * LINE + GAP) + GAP


def test_a_sheet_reads_only_what_it_shows(dataset, photos, tmp_path, monkeypatch):
    read = []
    thumbnail = pictures.thumbnail
    monkeypatch.setattr(
        pictures, "thumbnail", lambda content, side: read.append(side) or thumbnail(content, side)
    )
    (photos / "03.png").write_bytes(b"damaged meanwhile")
    (photos / "06.png").unlink()
    picture_sheets.write_sheet(tmp_path / "one.png", dataset, [0, 3, 6, 7])
    assert read == [SIDE] * 3
    with Image.open(tmp_path / "one.png") as sheet:
        colors = [middle(sheet, 0, column) for column in range(4)]
    assert colors == [COLORS[0], (225, 225, 225), (225, 225, 225), COLORS[1]]
    picture_sheets.write_sheet(tmp_path / "none.png", dataset, [])
    assert (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 150), (96, 48)), ((10, 20), (40, 80)), ((64, 32), (96, 48))]
)
def test_pictures_are_about_as_large_as_a_tile(size, expected, tmp_path):
    for place in range(2):
        Image.new("RGB", size, (place, 0, 0)).save(tmp_path / f"{place}.png")
    (tile,) = picture_sheets.read_tiles(jc.load(tmp_path), [1])
    assert tile.image.size == expected
    assert tile.name == "1.png"


def test_long_names_are_cut_in_the_middle_and_strange_ones_are_shown():
    font = picture_sheets._font()
    assert picture_sheets._short("a.png", font) == "a.png"
    short = picture_sheets._short("a very long name of a picture 0123.jpeg", font)
    assert short.startswith("a v")
    assert short.endswith("0123")
    assert font.getlength(short) <= SIDE


def test_few_clusters_show_more_of_each():
    counts = [picture_sheets.count_each(clusters) for clusters in (2, 40, 1000)]
    assert counts == [MOST, 25, LEAST]


def test_a_run_of_a_folder_has_sheets_of_its_files(dataset, tmp_path):
    run = jc.fit("kmeans", dataset, clusters=3, seeds=2, progress=False)
    folder = tmp_path / "figures"
    draw(folder, run, dataset, dataset.images, Bars(disable=True), dataset)
    names = {path.name for path in folder.iterdir()}
    assert names == {"clusters.png", "embedding.png", *(f"cluster-{k}.png" for k in range(3))}
    assert all(any((folder / name).match(one) for one in FOLDERS["figures"]) for name in names)
    labels = run.consensus().labels
    for cluster in range(3):
        color = COLORS[int(np.flatnonzero(labels == cluster)[0]) % 3]
        with Image.open(folder / f"cluster-{cluster}.png") as sheet:
            assert {middle(sheet, 0, column) for column in range(10)} == {color}
