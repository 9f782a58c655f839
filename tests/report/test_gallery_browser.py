"""The gallery in Chromium: what it shows, keys, the panel, the search, corrections and back."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import chromium
from galleries import AWKWARD, TARGET, copied, gallery, written
from jaxclust.groups.edits import apply_edits, read_edits

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")

WIDTHS = (390, 1280)
PROBE = (Path(__file__).parent / "gallery_probe.html").read_text()
SMALL = gallery(40, 4)
LARGE = gallery(400, 4)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Chromium's log, and what the small and the large gallery told, by size and width."""
    folder = tmp_path_factory.mktemp("opened")
    pages = []
    for name, given in (("small", SMALL), ("large", LARGE)):
        page = written(tmp_path_factory.mktemp(name), given)
        pages.append(page.rename(page.with_name(f"{name}.html")))
        copied(pages[-1], folder)
    log, told = chromium.opened(folder, pages, PROBE, WIDTHS, dark=True)
    sizes = {len(SMALL.names): "small", len(LARGE.names): "large"}
    return log, {(sizes[len(one["groups"])], one["width"]): one for one in told}


@pytest.fixture(
    params=[(name, width) for name in ("small", "large") for width in WIDTHS],
    ids=lambda case: f"{case[0]}-{case[1]}",
)
def case(request, opened):
    """A gallery, and what its page told at a width."""
    return SMALL if request.param[0] == "small" else LARGE, opened[1][request.param]


def test_no_complaint_no_request_and_no_overflow(opened):
    log, told = opened
    assert "CONSOLE" not in log
    assert len(told) == 4
    for (name, width), one in told.items():
        assert max(one["over"]) <= 0, (name, width)
        assert all(address.startswith(("file:///", "data:")) for address in one["requests"])
        used, pixels = one["sheets"]
        # The large set has five sheets, and what closed groups show stands on the first.
        assert used == (1 if name == "small" else 4)
        assert pixels == 1600


def test_strips_show_the_most_and_the_least_typical(case):
    given, told = case
    sizes = [np.sum(given.groups == group) for group in range(4)]
    titles = ["Group 0", "Cats & <dogs>", "Group 2", "Group 3", "Fits no group"]
    assert [head[1] for head in told["heads"]] == titles
    assert [head[2] for head in told["heads"]] == [
        *(f"{size} pictures" for size in sizes),
        "1 picture",
    ]
    order = list(given.order[0])
    if told["width"] == 390 and len(order) <= 12:
        expected = order
    else:
        typical, odd = (8, 4) if told["width"] == 390 else (7, 3)
        expected = order if len(order) <= 10 else order[:typical] + order[-odd:]
    assert told["strip"] == expected
    kind = 'url("data:image/jpeg' if given is SMALL else 'url("file:///'
    assert told["image"].startswith(kind)
    # Every picture of group 0 is twice as wide as high.
    assert told["shape"] == pytest.approx(2, rel=0.02)
    mean = given.sure[given.groups == 0].mean()
    assert told["sure"].endswith(f": {round(100 * mean)} %")
    assert all(name == given.names[i] for i, name in told["names"])


def test_a_whole_group_by_keyboard(case):
    given, told = case
    order = list(given.order[0])
    assert told["open"][: len(order)] == order[: len(told["open"])]
    assert len(told["open"]) == len(order) or len(told["open"]) >= 48
    assert told["columns"] == (4 if told["width"] == 390 else 10)
    assert told["focused"] == order[-1]
    assert told["second"] == order[1]
    assert told["again"][0] is False


def test_the_panel(case):
    given, told = case
    order = list(given.order[0])
    opened, file, where = told["panel"]
    assert opened
    assert file == given.names[order[1]]
    assert told["breaks"] == [*file.replace("/", "/ ").replace(".", ". ").split(), ""]
    assert where.startswith(f"Group 0, picture 2 of {len(order)} · ")
    assert where.endswith(f": {min(99, round(100 * given.sure[order[1]]))} %")
    assert told["original"] == told["link"] == TARGET
    assert told["similar"] == list(given.neighbors[order[1], :8])
    assert told["next"][1] == given.names[order[2]]
    assert told["gone"][1] == given.names[given.neighbors[order[2], 0]]
    assert told["closed"] is False


def test_levels_and_search(case):
    given, told = case
    text, room = told["hint"]  # The search's own button stands at its end.
    assert 0 < text < room
    n = len(given.names)
    assert [head[1:] for head in told["coarse"]] == [
        ["Coarse group 0", f"{n - 1} pictures"],
        ["Fits no group", "1 picture"],
    ]
    assert told["found"] == [
        "1 picture with “lines” in the file name",
        [given.names.index(AWKWARD[3])],
        True,
    ]
    assert told["cleared"] == [True, False]


def test_corrections_come_back_as_they_were_seen(case, tmp_path):
    given, told = case
    order = [list(places) for places in given.order]
    assert told["chosen"] == told["fresh"] == order[0][:3]
    assert told["keyed"] == order[2][:2]
    assert told["download"] == "group-corrections.csv"
    assert told["leaves"] == [False, True, False]
    path = tmp_path / told["download"]
    path.write_bytes(bytes(told["csv"]))
    assert "'=New" in path.read_text(errors="replace")  # No formula for a spreadsheet.
    groups, names = apply_edits(read_edits(path), given.names, given.groups, given.group_names)
    expected = given.groups.copy()
    expected[order[0][:3]] = 4
    expected[order[2]] = 0
    expected[order[2][:2]] = -1
    expected[order[3]] = 1
    np.testing.assert_array_equal(groups, expected)
    np.testing.assert_array_equal([told["groups"][str(i)] for i in range(len(groups))], expected)
    assert names == ['Dogs, "good" ones', "Cats & <dogs>", "", "", "=New"]
    seen = {head[0]: head[1] for head in told["after"]}
    assert seen == {"group-0": names[0], "group-1": names[1], "group-2": "", "group-4": "=New"} | {
        "none": "Fits no group"
    }
    rows = path.read_bytes().count(b"\n") - 1 - (b'"two\nlines.png"' in path.read_bytes())
    assert told["unsaved"] == f"{rows} unsaved changes"
