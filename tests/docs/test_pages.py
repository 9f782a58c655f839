"""Pages have something under each heading, and print no interval that a score cannot have."""

import re

import pytest

import doc_blocks
from website import tables

NOTEBOOKS = sorted((doc_blocks.ROOT / "docs" / "notebooks").glob("*.md"))
PAGES = {
    page.relative_to(doc_blocks.ROOT).as_posix(): page for page in [*doc_blocks.PAGES, *NOTEBOOKS]
}
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
HEADING = re.compile(r"^(#+) +(.*)$")
TABLE = re.compile(r"^.*: ACC, .*interval.*\n(?:.+\n)+", re.MULTILINE)
INTERVAL = re.compile(r"\[([-+]?[\d.]+), ([-+]?[\d.]+)\]")


def empty_headings(markdown):
    """The headings under which a page has neither text nor a heading of a lower level."""
    text = doc_blocks.FENCE.sub("a block\n", tables.with_tables(markdown))
    lines = [line for line in COMMENT.sub("", text).splitlines() if line.strip()]
    found = []
    for line, after in zip(lines, [*lines[1:], "# the end"], strict=True):
        heading = HEADING.match(line)
        under = HEADING.match(after)
        if heading and under and len(under[1]) <= len(heading[1]):
            found.append(heading[2])
    return found


def outside(text):
    """The intervals of ACC, in tables as ``jaxclust compare`` prints them, that leave [0, 1]."""
    return [
        f"[{low}, {high}]"
        for table in TABLE.findall(text)
        for low, high in INTERVAL.findall(table)
        if not 0 <= float(low) <= float(high) <= 1
    ]


@pytest.mark.parametrize("name", PAGES)
def test_each_heading_has_something_under_it(name):
    assert empty_headings(PAGES[name].read_text()) == [], name


def test_an_empty_heading_is_found():
    page = (
        "# Page\n\n## Full\n\ntext\n\n## Comment\n\n<!-- nothing -->\n\n## Block\n\n```\n# a\n```\n"
    )
    assert empty_headings(page + "\n## Table\n\n<!-- settings: sec -->\n") == ["Comment"]
    assert empty_headings(page + "\n### Last\n") == ["Comment", "Last"]


def test_no_page_has_an_accuracy_outside_of_its_range():
    found = [name for name, page in PAGES.items() if TABLE.search(page.read_text())]
    assert {"docs/notebooks/compare.md", "docs/notebooks/new-method.md"} <= set(found)
    for name in found:
        assert outside(PAGES[name].read_text()) == [], f"{name}: make the page anew"


def test_an_interval_outside_is_found():
    table = "digits: ACC, Student's t interval of the mean\n  dcec  [{}, {}]\n\n"
    difference = "digits: differences of ACC, test x\n  dcec  [-0.2, +0.1]\n"
    assert outside(table.format("0.2", "1.0") + difference) == []
    assert outside(table.format("-0.1", "0.5") + difference) == ["[-0.1, 0.5]"]
    assert outside(table.format("0.4", "1.1") + difference) == ["[0.4, 1.1]"]
