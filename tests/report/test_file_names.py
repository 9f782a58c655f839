"""Names of picture files on the page and in the file of the consensus, and links to them."""

import csv
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.report import elements
from jaxclust.report.elements import Link
from pages import Page


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two folders of pictures, of which one has a name that must be escaped."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for place in range(12):
        name = 'a "b" & <c>.png' if place == 0 else f"{place:02}.png"
        path = folder / ("cat", "dog")[place % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 50, (9, 9, 3)) + 150 * (place % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """The folder of a run on these pictures."""
    out = tmp_path_factory.mktemp("runs") / "run"
    jc.fit("kmeans", jc.load(photos), seeds=2, progress=False).save(out)
    return out


def report(run, out, *more):
    """The page of a run, and the lines of its consensus."""
    votes = out.with_suffix(".csv")
    words = ["report", run, "--out", out, "--consensus", votes, *more]
    assert main(list(map(str, words))) == 0
    with votes.open(newline="") as file:
        return Page(out.read_text()), list(csv.DictReader(file))


def test_each_image_has_its_files_name_and_a_link_to_it(run, photos, tmp_path):
    page, votes = report(run, tmp_path / "page.html")
    names = jc.load(photos).files
    links = {one["title"]: one["href"] for one in page.all("a") if "title" in one}
    assert links == {name: (photos / name).as_uri() for name in names}
    assert 'cat/a "b" & <c>.png' in links
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    assert points["names"] == list(names)
    assert points["addresses"] == [links[name] for name in names]
    assert "follow it to the file" in page.text
    assert [line["image"] for line in votes] == list(names)


def test_pictures_of_an_archive_have_names_alone(photos, tmp_path):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(photos.rglob("*.png")):
            file.write(path, path.relative_to(photos))
    jc.fit("kmeans", jc.load(archive), seeds=2, progress=False).save(tmp_path / "run")
    page, _ = report(tmp_path / "run", tmp_path / "page.html")
    assert not any("title" in one for one in page.all("a"))
    titles = {one["title"] for one in page.all("span") if "title" in one}
    assert titles == set(jc.load(archive).files)
    assert "Point at an image to see its file's name." in page.text


def test_without_the_pictures_their_names_are_those_of_the_table(run, photos, tmp_path):
    jc.open_run(run).save(tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    settings = json.loads(path.read_text())
    settings["origin"]["data"] = str(tmp_path / "gone")
    path.write_text(json.dumps(settings))
    page, votes = report(tmp_path / "copy", tmp_path / "page.html")
    assert f"{tmp_path / 'gone'} is not there any more" in page.text
    assert [line["image"] for line in votes] == list(jc.load(photos).files)
    # A table that somebody has changed names no image wrongly.
    table = tmp_path / "copy" / "clusters.csv"
    head, *lines = table.read_text().splitlines(keepends=True)
    table.write_text(head + "".join(lines[::-1]))
    page, votes = report(tmp_path / "copy", tmp_path / "again.html")
    assert "no names of images: run:" in page.text
    assert [line["image"] for line in votes] == [str(place) for place in range(12)]


def test_links_lie_over_their_images():
    images = np.zeros((5, 8, 8, 1), np.uint8)
    links = [Link(str(place), None) for place in range(5)]
    page = Page(elements.sheet(images, "five", "five", 4, links))
    styles = [one["style"] for one in page.all("span") if "title" in one]
    assert styles[3] == "left:75.000%;top:0.000%;width:25.000%;height:50.000%"
    assert styles[4] == "left:0.000%;top:50.000%;width:25.000%;height:50.000%"
    assert "files" not in elements.sheet(images, "five", "five", 4)
