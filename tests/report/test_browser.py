"""The page in Chromium: widths, dark mode, keys, pointer, no complaint and no request."""

import json
import re
import shutil

import pytest

import chromium
from pages import Page

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")

WIDTHS = (360, 768, 1280)
PROBE = """<script>addEventListener("load", () => {
  const root = document.documentElement, stage = document.querySelector(".stage"), keys = [];
  const find = selector => document.querySelector(selector);
  const seen = () => [find(".readout").textContent, Number(find(".here").getAttribute("cx")),
    find(".thumb").style.display, find(".thumb").style.backgroundPosition];
  for (const key of stage ? ["ArrowRight", "ArrowRight", "ArrowLeft", "Escape"] : []) {
    stage.focus();
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, cancelable: true}));
    keys.push(seen());
  }
  const pointer = [], colors = [];
  if (stage) {
    const svg = stage.querySelector("svg"), dots = [...svg.querySelectorAll("circle:not(.here)")];
    const box = dots[47].getBoundingClientRect();
    const place = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
    for (const kind of ["pointermove", "pointerleave"]) {
      svg.dispatchEvent(new PointerEvent(kind, place));
      pointer.push(seen());
    }
    for (const value of ["classes", "clusters"]) {
      document.querySelector(`.switch input[value=${value}]`).click();
      colors.push(dots.map(dot => dot.getAttribute("class")));
    }
  }
  const {color, backgroundColor} = getComputedStyle(document.body);
  const requests = performance.getEntriesByType("resource").map(one => one.name);
  const over = root.scrollWidth - root.clientWidth;
  parent.postMessage({width: innerWidth, over, color, backgroundColor, requests, keys, pointer,
    colors}, "*");
})</script>"""


def opened(folder, paths, dark=False):
    """What Chromium logged, and what each page said of itself at each width."""
    return chromium.opened(folder, paths, PROBE, WIDTHS, dark)


@pytest.mark.parametrize("dark", [False, True])
def test_chromium_has_no_complaint(path, auto, many, dark, tmp_path):
    log, told = opened(tmp_path, (path, auto, many), dark)
    assert "CONSOLE" not in log
    assert sorted(one["width"] for one in told) == sorted(3 * WIDTHS)
    page = Page(path.read_text())
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    images = zip(points["rows"], points["clusters"], points["classes"], strict=True)
    words = [f"image {row}: cluster {cluster}, class {label}" for row, cluster, label in images]
    for one in told:
        assert one["over"] <= 0
        assert one["requests"] == []
        ink, ground = (
            sum(map(int, re.findall(r"\d+", one[name])[:3]))
            for name in ("color", "backgroundColor")
        )
        assert (ink > 600 and ground < 120) if dark else (ink < 120 and ground > 600)
    with_embedding = [one for one in told if one["keys"]]
    assert len(with_embedding) == len(WIDTHS)
    for one in with_embedding:
        first, right, left, away = one["keys"]
        assert first[0] == words[0]
        assert {right[0], left[0], away[0]} <= set(words)
        assert right[0] != first[0]
        assert right[1] > max(first[1], left[1])
        assert [first[2], right[2], left[2], away[2]] == ["block", "block", "block", "none"]
        over, gone = one["pointer"]
        assert (over[0], over[2], gone[2]) == (words[47], "block", "none")
        # The second row of thumbnails, and the eighth in it.
        width, height = points["size"]
        assert re.findall(r"-?\d+", over[3]) == [str(-7 * width), str(-height)]
        for name, colors in zip(("classes", "clusters"), one["colors"], strict=True):
            assert colors == [f"c{value % points['colors']}" for value in points[name]]


@pytest.mark.parametrize(
    "fault", ["console.error('wrong')", "no.such.thing", "fetch('https://192.0.2.1/')"]
)
def test_what_a_page_complains_of_or_asks_for_would_be_seen(path, fault, tmp_path):
    faulty = tmp_path / "given" / "faulty.html"
    faulty.parent.mkdir()
    faulty.write_text(path.read_text().replace("</body>", f"<script>{fault}</script></body>"))
    log, told = opened(tmp_path, (faulty,))
    assert "CONSOLE" in log
    assert len(told) == len(WIDTHS)
