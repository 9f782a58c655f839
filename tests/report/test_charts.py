"""What the page is drawn with: intervals, curves, matrices, tables, pictures."""

import base64
import io
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxclust.cli.main import main
from jaxclust.comparison import table_cells
from jaxclust.comparison.types import MethodSummary
from jaxclust.report import charts, elements, image_grid, svg
from jaxclust.runs.files import write_labels
from pages import Page
from run_folders import make


def test_large_matrices_are_pictures(many):
    page = Page(many.read_text())
    (picture,) = [
        one for one in page.all("img") if one["alt"].startswith("Agreement between seeds (ARI)")
    ]
    assert "31 rows, 31 columns" in picture["alt"]
    assert picture["width"] == picture["height"] == str(31 * 15)
    # As many cells as rows by columns, the darker the more.
    shade = np.zeros((40, 20))
    shade[3, 5] = 1
    names = [list(map(str, range(size))) for size in shade.shape]
    (drawn,) = Page(elements.matrix("Many", *names, [[""] * 20] * 40, shade)).all("img")
    assert (drawn["width"], drawn["height"]) == (str(20 * 12), str(40 * 12))
    pixels = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(drawn["src"].partition(",")[2]))).convert("L")
    )
    assert np.argwhere(pixels == 0).min(axis=0).tolist() == [3 * 12, 5 * 12]
    assert (pixels == 0).sum() == 12 * 12


def test_the_chart_has_the_best_first_and_the_baseline_across(tmp_path):
    scores = {"kmeans": [0.4, 0.4, 0.4], "dec": [None] * 3, "dcec": [0.6, 0.6, 0.6]}
    runs = [str(make(tmp_path / name, name, values)) for name, values in scores.items()]
    for name in scores:
        write_labels(tmp_path / name / "labels.npy", np.tile(np.arange(100) % 10, (3, 1)))
    out = ["--out", str(tmp_path / "page.html"), "--overwrite"]
    assert main(["report", *runs, "--baseline", "kmeans", *out]) == 0
    page = Page((tmp_path / "page.html").read_text())
    (chart,) = [
        one for one in page.all("svg") if one["aria-label"].startswith("ACC of each seed on usps")
    ]
    names = [part.split()[0] for part in chart["aria-label"].partition(": ")[2].split("; ")]
    assert names == ["dcec", "kmeans", "dec"]
    assert page.text.count("no seed has a score") == 1
    (mark,) = [one for one in page.all("path") if one["class"] == "mark"]
    (mean,) = [
        one
        for one in page.all("path")
        if one["class"] == "mean" and f"M{mark['d'][1:6]}" in one["d"]
    ]
    assert mean["d"] != mark["d"]
    assert "the dashed line kmeans's mean" in page.text
    assert main(["report", *runs, *out]) == 0
    page = Page((tmp_path / "page.html").read_text())
    assert not [one for one in page.all("path") if one["class"] == "mark"]
    assert "dashed" not in page.text


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_read_back(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    pixels = np.broadcast_to(pixels, (5, 7, 3))
    content = image_grid.png(pixels)
    assert zlib.crc32(content[12:29]) == int.from_bytes(content[29:33], "big")
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), pixels
    )


def test_the_band_lies_between_the_lowest_and_the_highest_seed():
    values = [np.array([3.0, 2.0, 1.0]), np.array([4.0, 1.0, 2.0]), np.array([3.5, 1.5, 0.5])]
    chart = charts.curves([np.arange(1.0, 4.0)] * 3, values, False, "x", "t")

    def heights(kind):
        (points,) = re.findall(rf'class="{kind}" points="([^"]*)"', chart)
        return [float(point.split(",")[1]) for point in points.split()]

    lines = re.findall(r'class="seed" points="([^"]*)"', chart)
    seeds = np.array([[float(point.split(",")[1]) for point in line.split()] for line in lines])
    # Heights count downward.
    assert heights("band") == [*seeds.min(axis=0), *seeds.max(axis=0)[::-1]]
    assert heights("median") == np.median(seeds, axis=0).tolist()


def test_curves_stand_still_where_a_seed_has_ended():
    chart = charts.curves(
        [np.array([1.0, 2.0, 3.0]), np.array([1.0])],
        [np.array([3.0, 2.0, 1.0]), np.array([4.0])],
        True,
        "x",
        "t",
    )
    short = re.findall(r'class="seed" points="([^"]*)"', chart)[1]
    assert len({point.split(",")[1] for point in short.split()}) == 1
    assert charts.curves([np.array([1.0])], [np.array([np.nan])], False, "x", "t") == ""


def test_a_loss_that_falls_below_0_is_drawn_where_it_is():
    losses = [np.array([2.0, 1.0, -1.0]), np.array([2.0, 0.0, -2.0])]
    chart = charts.curves([np.arange(1.0, 4.0)] * 2, losses, True, "x", "t")
    lines = re.findall(r'class="seed" points="([^"]*)"', chart)
    heights = np.array([[float(point.split(",")[1]) for point in line.split()] for line in lines])
    # A linear axis: places are a linear function of the losses.
    slope, offset = np.polyfit(np.ravel(losses), heights.ravel(), 1)
    np.testing.assert_allclose(slope * np.array(losses) + offset, heights, atol=0.1)


@pytest.mark.parametrize(("low", "high", "said"), [
    (0.2, 1.2, ["0.2", "0.5", "1"]),
    (0.012, 0.15, ["0.02", "0.05", "0.1"]),
    (3.1, 4.2, ["3.5", "4"]),
    (1e-3, 2.0, ["0.001", "0.01", "0.1", "1"]),
    (1e-9, 1.0, ["1e-09", "1e-07", "1e-05", "0.001", "0.1"]),
])  # fmt: skip
def test_a_logarithmic_axis_has_round_numbers(low, high, said):
    losses = [np.array([high, low])]
    chart = charts.curves([np.arange(1.0, 3.0)], losses, True, "x", "t")
    levels = re.findall(r'<text class="end" x="[^"]*" y="[^"]*">([^<]*)<', chart)
    assert levels == said


def summary(name="m", **values):
    """A method with one seed or two, and what else the chart shows."""
    shared = {"clusters": 10, "n": 2, "constant": False, "failed": {}, "missing": ()}
    return MethodSummary(method=name, worst_mean=0.5, **shared, **values)


def test_an_interval_with_an_open_end_reaches_the_edge():
    values = {"seeds": {0: 0.5, 1: 0.6}, "mean": 0.55, "run_low": 0.4, "run_high": 0.7}
    for ends, edge in (((0.5, None), "x2"), ((None, 0.6), "x1")):
        chart = charts.intervals([summary(**values, low=ends[0], high=ends[1])], "t")
        (thick,) = re.findall(r'<line class="thick" x1="([\d.]+)" x2="([\d.]+)"', chart)
        places = dict(zip(("x1", "x2"), map(float, thick), strict=True))
        assert places[edge] == (svg.WIDTH - 20 if edge == "x2" else 16 + 9)
        assert places["x1"] < places["x2"]


def test_equal_scores_have_a_chart_and_names_stand_beside_it():
    for name, shown in (("m", "m"), ("kmeans", "kmeans"), (40 * "n", 21 * "n" + "…")):
        chart = charts.intervals([summary(name, seeds={0: 0.5}, mean=0.5)], "t")
        assert "circle" in chart
        (text,) = re.findall(r'<text x="(\d+)" y="\d+" class="strong end">([^<]*)<', chart)
        assert text[1] == shown
        # Nothing of the chart lies where the name does.
        grid = [float(x) for x in re.findall(r'class="grid" x1="([\d.]+)"', chart)]
        assert 9 * len(shown) <= int(text[0]) < min(grid)


def test_a_last_column_of_numbers_stands_right():
    seconds, verdicts = (
        elements.table(table_cells.Table("t", ["method", head], [["dcec", cell], ["dec", "-"]]))
        for head, cell in (("seconds", "3.25"), ("verdict", "dcec beats dec"))
    )
    assert ("<table>" in seconds, '<table class="words">' in verdicts) == (True, True)
