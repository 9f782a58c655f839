"""docs/results.md holds what the rows say: ``python -m experiments results`` writes it."""

import json

import pytest

from experiments import compare, headlines, results, rows
from experiments.papers.dbc import cells as dbc
from jaxclust.errors import UsageError
from jaxclust.runs.rows import SCORES, Row


@pytest.fixture(scope="module")
def blocks():
    """The blocks of the page."""
    return results.blocks()


def test_the_page_is_that_of_the_rows(blocks):
    text = results.PAGE.read_text()
    assert results.with_blocks(text, blocks) == text
    readme = results.README.read_text()
    assert results.with_blocks(readme, results.readme_blocks()) == readme


def test_what_is_written_by_hand_survives(blocks):
    text = "by hand\n" + "".join(f"<!-- {name} -->\nold\n<!-- /{name} -->\n" for name in blocks)
    made = results.with_blocks(text, blocks)
    assert made.startswith("by hand\n<!-- verdicts -->\n| paper | reproduced? |")
    assert "\nold\n" not in made
    assert results.with_blocks(made, blocks) == made


def test_a_headline_is_a_line_for_each_data_set_and_score(monkeypatch):
    made = [
        Row(name, "usps-11000", seed, 11000, 10, acc=0.7 + 0.1 * seed, nmi_max=0.6)
        for name in ("dbc", "fcae-kmeans")
        for seed in range(2)
    ]
    monkeypatch.setattr(rows, "read", lambda path: made if path == dbc.RESULTS else [])
    lines = results.headlines().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [line[:4] + line[5:] for line in cells] == [
        ["DBC", "usps-11000", "2", "ACC", "0.743"],
        ["DBC", "usps-11000", "2", "NMI(max)", "0.724"],
    ]
    assert cells[0][4].startswith("0.7500 sd 0.0707 [")


def marks(name):
    """The marks of a block, as they stand in the page."""
    return f"<!-- {name} -->\n<!-- /{name} -->\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "verdicts"),
        ("<!-- verdicts -->\n", "verdicts"),
        (marks("verdicts") * 2, "verdicts"),
        (marks("verdicts"), "headlines"),
        (marks("verdicts") + marks("headlines") + marks("comparison"), "consensus"),
    ],
)
def test_a_page_without_its_marks_is_refused(text, name, blocks):
    rule = f"results: the page must hold <!-- {name} --> and <!-- /{name} --> once"
    with pytest.raises(UsageError, match=rule):
        results.with_blocks(text, blocks)


def test_the_comparison_is_a_line_for_each_method_and_a_column_for_each_set(monkeypatch, tmp_path):
    path = tmp_path / "rows.jsonl"
    score = {"kmeans": 0.5, "dcec": 0.8, "dbc": 0.2, "idec": 0.5}  # The table has its own order.
    cells = [("digits", method) for method in score] + [("usps", "kmeans"), ("usps", "dcec")]
    with path.open("w") as file:
        for data, method in cells:
            for seed in range(9 if (data, method) == ("usps", "dcec") else 10):
                lost = (method, seed) == ("dbc", 3)
                # IDEC swings around k-means: neither beats the other.
                acc = score[method] + (0.01 * (-1) ** seed if method == "idec" else 0.002 * seed)
                line = {"method": method, "data": data, "seed": seed, "n": 100, "clusters": 10}
                line |= {"failed": 7 if lost else None, "config_hash": method}
                line["preset"] = "default"
                line["failed_phase"] = "cluster" if lost else None
                line |= dict.fromkeys(SCORES, None if lost else acc)
                file.write(json.dumps(line) + "\n")
    monkeypatch.setattr(compare, "RESULTS", path)
    monkeypatch.setattr(compare, "OTHERS", ())
    planned = compare.PLANNED
    monkeypatch.setattr(compare, "PLANNED", 3)
    assert [line.strip("| ").split(" | ") for line in results.comparison().splitlines()] == [
        ["method", "digits, 10 seeds", "usps, 10 seeds"],
        ["---"] * 3,
        ["`kmeans`", "0.509 [0.505, 0.513]", "0.509 [0.505, 0.513]"],
        ["`idec`", "0.500 [0.492, 0.508]"],
        ["`dcec`", "0.809 [0.805, 0.813] ▲", "0.808 [0.804, 0.812] ▲ (9 seeds)"],
        ["`dbc`", "0.209 [0.204, 0.214] ▼ (1 failed)"],
    ]
    # Nine seeds can show nothing among all that is planned, ten can.
    monkeypatch.setattr(compare, "PLANNED", planned)
    lines = [line for line in results.comparison().splitlines() if "▲" in line or "▼" in line]
    assert [line.count("▲") + line.count("▼") for line in lines] == [1]
    assert "`dcec`" in lines[0]


def test_every_headline_names_a_cell_of_its_experiment():
    for headline in headlines.HEADLINES:
        scores = headline.layout.scores
        assert set(scores) <= set(headlines.SCORES)
        paper = headline.layout.published.values()
        published = [cells[headline.name] for cells in paper if headline.name in cells]
        assert published, headline
        assert {len(values) for values in published} == {len(scores)}
