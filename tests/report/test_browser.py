"""The page in a real Chromium: widths, dark mode, keys, pointer, and that it complains of nothing and asks nobody."""

import html
import json
import re
import shutil
import subprocess

import pytest

from jaxclust.cli.main import main
from pages import Page, chosen, idec, large

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")

WIDTHS = (360, 768, 1280)
# What a page of its own says of itself to the one around it: Chromium's own window is no narrower than 500.
PROBE = """<script>addEventListener("load", () => {
  const root = document.documentElement, stage = document.querySelector(".stage"), keys = [];
  const seen = () => [document.querySelector(".readout").textContent,
    Number(document.querySelector(".here").getAttribute("cx")), document.querySelector(".thumb").style.display,
    document.querySelector(".thumb").style.backgroundPosition];
  for (const key of stage ? ["ArrowRight", "ArrowRight", "ArrowLeft", "Escape"] : []) {
    stage.focus();
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, cancelable: true}));
    keys.push(seen());
  }
  const pointer = [], colours = [];
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
      colours.push(dots.map(dot => dot.getAttribute("class")));
    }
  }
  const {color, backgroundColor} = getComputedStyle(document.body);
  const requests = performance.getEntriesByType("resource").map(one => one.name);
  parent.postMessage({width: innerWidth, over: root.scrollWidth - root.clientWidth, color, backgroundColor, requests,
    keys, pointer, colours}, "*");
})</script>"""
FRAMES = """<!doctype html><meta name="color-scheme" content="light dark"><pre></pre><script>
addEventListener("message", event => document.querySelector("pre").append(JSON.stringify(event.data) + "\\n"));
</script>"""


@pytest.fixture(scope="module")
def path(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    run = idec(folder / "run", data)
    assert (
        main(["report", str(run), "--data", str(data), "--out", str(folder / "report.html")]) == 0
    )
    return folder / "report.html"


@pytest.fixture(scope="module")
def auto(tmp_path_factory):
    return chosen(tmp_path_factory.mktemp("auto"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return large(tmp_path_factory.mktemp("large"))


def opened(folder, paths, dark=False):
    """What Chromium logged, and what each page said of itself at each width."""
    for one in paths:
        (folder / one.name).write_text(one.read_text().replace("</body>", f"{PROBE}</body>"))
    frames = [
        f'<iframe src="{one.name}" width="{width}" height="900"></iframe>'
        for one in paths
        for width in WIDTHS
    ]
    (folder / "frames.html").write_text(FRAMES + "".join(frames))
    end = subprocess.run(
        [
            *(
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--dump-dom",
                "--enable-logging=stderr",
            ),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000"),
            *(
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                (folder / "frames.html").as_uri(),
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = [
        json.loads(html.unescape(line))
        for line in re.findall(r"\{.*\}", end.stdout.partition("</pre>")[0])
    ]
    return end.stderr, told


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
        for name, colours in zip(("classes", "clusters"), one["colours"], strict=True):
            assert colours == [f"c{value % points['colours']}" for value in points[name]]


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
