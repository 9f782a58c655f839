"""The page for users of 0.1 names what there is, and the changes of a version can be read."""

import importlib
import re

import pytest

import doc_words
from jaxclust.methods import registry

PAGE = (doc_words.ROOT / "docs" / "changes.md").read_text()
CHANGES = (doc_words.ROOT / "CHANGELOG.md").read_text()
NAME = re.compile(r"`(j(?:axclust|c)(?:\.\w+)+)(?=[`(])")
MOST_LINES = 40
"""Lines of the changes of one version, with those of headings and between groups."""


def section(title):
    """The part of a page below a heading of the second level."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def new(title):
    """The cells on the right of a table: what stands in the place of the old names."""
    rows = [line for line in section(title).splitlines() if line.startswith("| ")][1:]
    return [row.split(" | ")[1].strip("| ") for row in rows]


def found(dotted):
    """Whether a dotted name is a module, or something in one."""
    parts = dotted.replace("jc.", "jaxclust.", 1).split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


@pytest.mark.parametrize("title", ["Python", "Modules"])
def test_the_new_names_are_there(title):
    names = [name for text in new(title) for name in NAME.findall(text)]
    assert len(names) > 5
    assert [name for name in names if not found(name)] == []
    assert not found("jaxclust.algorithms.METHODS")
    assert not found("jc.methods.METHODS")


def test_the_new_presets_are_there():
    names = re.findall(r"`--preset (\w+)`", "".join(new("Presets")))
    assert {"paper", "printed", "torch"} == set(names)
    assert set(names) <= set(registry.get("jule").presets)


def test_the_new_settings_are_there():
    assert "center_features" in registry.get("jule").settings()
    assert "normalization" in registry.get("dbc").settings()
    for option in ("--center-features", "--normalization"):
        assert option in section("The command")


def test_a_version_has_changes_that_a_person_reads():
    first = CHANGES.partition("\n## ")[2].partition("\n## ")[0]
    assert "docs/changes.md" in first
    assert len(first.splitlines()) <= MOST_LINES
    for text in (first, PAGE):
        assert doc_words.long_sentences(text) == []
