"""Links of the README, of CONTRIBUTING.md and of the pages lead to files and headings.

``make docs`` checks the links within the site, too. These tests need no tool, and read the pages as
a forge shows them: a link is relative to its file, and a heading's anchor is the forge's.
"""

import re
import unicodedata

import pytest

import doc_blocks
from website import tables

NOTEBOOKS = sorted((doc_blocks.ROOT / "docs" / "notebooks").glob("*.md"))
PAGES = {
    page.relative_to(doc_blocks.ROOT).as_posix(): page for page in [*doc_blocks.PAGES, *NOTEBOOKS]
}
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
TABLE = re.compile(r"<!-- (?:settings|state|results): .* -->")


def headings(page):
    """The headings of a page, without code blocks."""
    text = doc_blocks.FENCE.sub("", page.read_text())
    return [re.sub(r"[`*]", "", line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]


def forge(heading):
    """The anchor that a forge gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def site(heading):
    """The anchor that mkdocs gives a heading."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = PAGES[name]
    for target, anchor in LINK.findall(doc_blocks.FENCE.sub("", page.read_text())):
        if ":" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name} links to {target}"
        if anchor:
            for anchor_of in (forge, site):
                anchors = {anchor_of(heading) for heading in headings(path)}
                assert anchor in anchors, f"{name} links to {target}#{anchor}"


def test_an_anchor_is_the_words_of_its_heading():
    assert forge("2. Rooms") == site("2. Rooms") == "2-rooms"
    assert site("Strauß 2024") == "strau-2024"


def test_no_page_names_a_page_that_is_gone():
    for name, page in PAGES.items():
        assert "deviations.md" not in page.read_text(), name


def test_every_table_of_code_is_made():
    found = [line for page in PAGES.values() for line in TABLE.findall(page.read_text())]
    assert found
    for line in found:
        text = tables.with_tables(line)
        assert text.startswith("| "), line
