"""The README and docs/results.md hold what the rows say: ``python -m experiments.readme`` writes them."""

import pytest

from experiments import dbc, readme


def test_the_readme_and_the_results_page_are_those_of_the_rows():
    text = (readme.ROOT / "README.md").read_text()
    assert readme.with_headlines(text) == text
    assert (readme.ROOT / "docs" / "results.md").read_text() == readme.page()


def test_a_headline_is_a_line_a_data_set_and_score(monkeypatch):
    rows = [
        {"data": "usps-11000", "method": name, "seed": seed, "acc": 0.7 + 0.1 * seed, "nmi_max": 0.6}
        for name in ("dbc", "fcae-kmeans")
        for seed in range(2)
    ]
    monkeypatch.setattr(readme.common, "rows", lambda path: rows if path == dbc.RESULTS else [])
    lines = readme.headlines().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [line[:4] + line[5:] for line in cells] == [
        ["DBC", "usps-11000", "2", "ACC", "0.743"],
        ["DBC", "usps-11000", "2", "NMI(max)", "0.724"],
    ]
    assert cells[0][4].startswith("0.7500 sd 0.0707 [")


@pytest.mark.parametrize("text", ["", "<!-- results -->\n", "<!-- results -->\n<!-- /results -->" * 2])
def test_a_readme_without_its_marks_is_refused(text):
    with pytest.raises(ValueError, match="README.md: must hold <!-- results --> and <!-- /results --> once"):
        readme.with_headlines(text)


def test_every_headline_names_a_cell_of_its_experiment():
    for _, experiment, wanted, name, scores in readme.HEADLINES:
        assert set(scores) <= set(readme.SCORES)
        published = [cells[name] for cells in experiment.PAPER.values() if name in cells]
        assert published, wanted
        assert {len(values) for values in published} == {len(scores)}
