"""The site is built without a warning, needs no network, and is searched from the disk."""

import json
import re
import shutil

import pytest

from website import tables

PROBE = """<script>
const ask = () => {
  const box = document.querySelector(".md-search__input");
  document.querySelector("#__search").click();
  box.focus();
  box.value = "silhouette";
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }));
};
const tell = () => {
  const told = document.querySelector(".md-search-result__meta").textContent;
  if (/^\\d/.test(told)) parent.postMessage(told, "*"); else setTimeout(tell, 200);
};
setTimeout(() => { ask(); tell(); }, 1000);
</script>"""
RESOURCE = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?:[^"]+)"')


def test_the_settings_of_a_method_stand_beside_their_sources():
    table = tables.settings_table("dcec")
    assert "| `--update-interval` | `140` | `140` | Steps T between two updates" in table
    assert "| section 4.2 |" in table
    # Another value of the default, and settings of the pretraining.
    assert "| `--update-epochs` | none | `4` |" in table
    assert "| `--pretraining.least-steps` | none | `32` |" in tables.settings_table(
        "dcec/pretraining"
    )
    # `best` is no paper's.
    assert "`paper`" not in tables.settings_table("best")


def test_a_state_without_attributes_is_refused():
    assert "| `counts` |" in tables.state_table("jaxclust.methods.ccnn.State")
    with pytest.raises(ValueError, match="must list its attributes"):
        tables.state_table("jaxclust.methods.dcec.Config")


def test_a_block_of_the_results_is_known():
    assert "| `dcec` |" in tables.results_block("comparison")
    with pytest.raises(ValueError, match="nothing: must be a block"):
        tables.results_block("nothing")


def test_the_report_leads_back_to_the_site():
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    from website import hooks

    report = (tables.RESULTS.parent / "report.html").read_text()
    assert hooks.with_way_back(report).count('<header><p><a href="guide/report.html">') == 1
    with pytest.raises(ValueError, match="report.html: must have <header>"):
        hooks.with_way_back("<body></body>")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # mkdocs reads with warnings of its own.
def test_the_site_is_built_and_searched(tmp_path):
    build = pytest.importorskip("mkdocs.commands.build", reason="needs the extra docs")
    from mkdocs.config import load_config

    folder = tmp_path / "site"
    build.build(load_config(str(tables.RESULTS.parents[1] / "mkdocs.yml"), site_dir=str(folder)))
    pages = list(folder.rglob("*.html"))
    assert len(pages) > 40
    assert 'href="guide/report.html"' in (folder / "report.html").read_text()
    assert (folder / "guide" / "report.html").exists()
    for page in pages:
        if page.name != "report.html":
            assert RESOURCE.findall(page.read_text()) == [], page
    index = json.loads((folder / "search" / "search_index.json").read_text())
    assert any(
        place["location"].startswith("api/index.html#jaxclust.runs.fit.fit")
        for place in index["docs"]
    )
    if shutil.which("chromium") is None:
        pytest.skip("no chromium, which searches the site")
    import chromium

    log, told = chromium.opened(folder, [folder / "index.html"], PROBE, [1280])
    assert told, log
    assert int(told[0].split()[0]) > 0
