"""The page: its parts, its text alternatives, and that it asks nobody for anything."""

import io
import json
import re
import shutil
import subprocess
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxclust import cli, record, sheets
from jaxclust.compare import cells
from jaxclust.report import charts
from runs import make

SMALL = "--pretraining.epochs 2 --pretraining.batch 64 --batch 64 --update-interval 4 --max-steps 8 --restarts 2"


class Page(HTMLParser):
    """Elements, and that each is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open and self.open[-1] not in ("script", "style") else ""

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "idec"
    assert cli.main(f"fit idec --data {data} --out {out} --seeds 0,3 --over map --no-figures {SMALL}".split()) == 0
    return out


@pytest.fixture(scope="module")
def path(run, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert cli.main(["report", str(run), "--data", str(data), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text())


def test_every_part_is_there(page):
    for heading in ("Comparison", "idec on few", "Curves", "Agreement and confusion", "Embedding", "Clusters"):
        assert heading in page.text
    for part in ("Most and least certain images", "To repeat it", "All settings", "jaxlib", "kmeans"):
        assert part in page.text
    assert len([one for one in page.all("img") if "cluster" in one["alt"]]) >= 10


def test_numbers_are_the_runs(page, run):
    for row in record.read_rows(run / "results.jsonl"):
        assert f"{row['acc']:.4f}" in page.text
    points = json.loads(next(one["data-points"] for one in page.all("figure") if "data-points" in one))
    labels = np.load(run / "labels.npy", allow_pickle=False)
    assert points["clusters"] in [labels[lane][points["rows"]].tolist() for lane in (0, 1)]
    assert len([one for one in page.all("circle") if re.fullmatch(r"c\d+", one.get("class", ""))]) == 300


def test_nothing_is_asked_from_anyone(path, page):
    text = path.read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
    asked = [one[name] for _, one in page.found for name in ("src", "href") if name in one]
    assert all(value.startswith(("data:", "#")) for value in asked)
    assert all(value.startswith("data:") for value in re.findall(r"url\((.{5})", text))
    assert not any(tag in ("script", "iframe", "object") and one for tag, one in page.found)


def test_pictures_have_words_and_places_are_reached(page):
    assert all(one["alt"] for one in page.all("img"))
    assert all(one["aria-label"] and one["role"] == "img" for one in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert all(one["href"][1:] in ids for one in page.all("a"))
    assert page.all("html")[0]["lang"] == "en"
    assert all("scope" in one for one in page.all("th"))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("width", [500, 1280])
def test_chromium_has_no_complaint(path, width, tmp_path):
    end = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path}", f"--window-size={width},900", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "CONSOLE" not in end.stderr
    assert "transform: scale(9)" in end.stdout  # The script ran: digits of 8 pixels are enlarged to 72.


def test_the_command_that_repeats_a_run(run, data):
    words = cells.repeat(record.read_settings(run))
    for word in (f"fit idec --data {data} --seeds 0,3", "--max-steps 8", "--pretraining.epochs 2", "--restarts 2"):
        assert word in words
    assert "--gamma" not in words


def error(capsys, *arguments):
    assert cli.main(["report", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    return err


def test_without_the_images_the_rest_is_there(run, tmp_path, capsys):
    out = tmp_path / "bare.html"
    assert cli.main(["report", str(run), "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert "no pictures: --data PATH must say where the images of few are" in page.text
    assert "Agreement between seeds" in page.text
    assert page.all("img") == []


def test_without_the_checkpoint_there_is_no_embedding(run, data, tmp_path):
    copy, out = tmp_path / "copy", tmp_path / "page.html"
    shutil.copytree(run, copy, ignore=lambda folder, names: [name for name in names if name == "checkpoint"])
    assert cli.main(["report", str(copy), "--data", str(data), "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert "no embedding: checkpoint: must be in" in page.text
    assert "Most and least" not in page.text
    assert len(page.all("img")) == 10


def test_a_run_that_failed_throughout(tmp_path):
    folder, out = make(tmp_path / "a", "dcec", [None, None]), tmp_path / "page.html"
    np.save(folder / "labels.npy", np.full((2, 100), -1, np.int32))
    assert cli.main(["report", str(folder), "--out", str(out)]) == 0
    assert "every seed failed" in Page(out.read_text()).text


def test_without_labels_there_is_no_comparison(few_digits, tmp_path):
    np.savez(tmp_path / "plain.npz", images=few_digits[0][:60])
    run, out = tmp_path / "run", tmp_path / "page.html"
    common = f"--data {tmp_path / 'plain.npz'} --out"
    assert cli.main(f"fit kmeans {common} {run} --clusters 3 --seeds 2 --over map --no-figures".split()) == 0
    assert cli.main(f"report {run} {common} {out}".split()) == 0
    page = Page(out.read_text())
    assert "without true labels there are no scores to compare: kmeans on plain" in page.text
    assert "Agreement between seeds" in page.text


def test_names_are_text_and_no_markup(tmp_path):
    folder, out = make(tmp_path / "a", "dcec", [0.5, 0.6]), tmp_path / "page.html"
    np.save(folder / "labels.npy", np.zeros((2, 100), np.int32))
    assert cli.main(["report", f"<b>'&\"={folder}", "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert page.all("b") == []
    assert "<b>'&\" on usps" in page.text


def test_what_cannot_be_reported_is_refused(run, tmp_path, capsys):
    assert "out: must end in .html, got" in error(capsys, run, "--out", tmp_path / "x.htm")
    (tmp_path / "mine.html").write_text("keep")
    assert "out: must not exist without --overwrite" in error(capsys, run, "--out", tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text() == "keep"
    assert "must be in a folder that exists" in error(capsys, run, "--out", tmp_path / "no" / "x.html")
    (tmp_path / "run").mkdir()
    shutil.copy(run / "config.json", tmp_path / "run")
    shutil.copy(run / "results.jsonl", tmp_path / "run")
    assert "labels.npy must hold the run's labels" in error(capsys, tmp_path / "run", "--out", tmp_path / "x.html")


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_read_back(channels):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    pixels = np.broadcast_to(pixels, (5, 7, 3))
    content = sheets.png(pixels)
    assert zlib.crc32(content[12:29]) == int.from_bytes(content[29:33], "big")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), pixels)


def test_curves_stand_still_where_a_seed_has_ended():
    chart = charts.curves(
        [np.array([1.0, 2.0, 3.0]), np.array([1.0])], [np.array([3.0, 2.0, 1.0]), np.array([4.0])], True, ("x", "t")
    )
    short = re.findall(r'class="seed" points="([^"]*)"', chart)[1]
    assert len({point.split(",")[1] for point in short.split()}) == 1
    assert charts.curves([np.array([1.0])], [np.array([np.nan])], False, ("x", "t")) == ""


def test_equal_scores_have_a_chart():
    row = dict.fromkeys(("low", "high", "run_low", "run_high")) | {"method": "m", "seeds": {"0": 0.5}, "mean": 0.5}
    assert "circle" in charts.intervals([row], "t")
