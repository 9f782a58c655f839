"""The README and docs/results.md hold what the rows say: ``python -m experiments.readme`` writes them."""

import json

import pytest

from experiments import dbc, readme
from jaxclust.runs.rows import SCORES


def test_the_readme_and_the_results_page_are_those_of_the_rows():
    text = (readme.ROOT / "README.md").read_text()
    assert readme.with_tables(text) == text
    assert (readme.ROOT / "docs" / "results.md").read_text() == readme.page()


def test_a_headline_is_a_line_a_data_set_and_score(monkeypatch):
    rows = [
        {
            "data": "usps-11000",
            "method": name,
            "seed": seed,
            "acc": 0.7 + 0.1 * seed,
            "nmi_max": 0.6,
        }
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


def marks(name):
    return f"<!-- {name} -->\n<!-- /{name} -->\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "results"),
        ("<!-- results -->\n", "results"),
        (marks("results") * 2, "results"),
        (marks("results"), "comparison"),
        (marks("results") + marks("comparison"), "stream"),
        (marks("results") + marks("comparison") + marks("stream"), "peers"),
    ],
)
def test_a_readme_without_its_marks_is_refused(text, name):
    with pytest.raises(
        ValueError, match=f"README.md: must hold <!-- {name} --> and <!-- /{name} --> once"
    ):
        readme.with_tables(text)


def test_the_comparison_is_a_line_a_method_and_a_column_a_set(monkeypatch, tmp_path):
    path = tmp_path / "rows.jsonl"
    score = {"kmeans": 0.5, "dcec": 0.8, "dbc": 0.2, "idec": 0.5}  # The table has its own order.
    with path.open("w") as file:
        for data, method in [("digits", name) for name in score] + [
            ("usps", "kmeans"),
            ("usps", "dcec"),
        ]:
            for seed in range(9 if (data, method) == ("usps", "dcec") else 10):
                lost = (method, seed) == ("dbc", 3)
                # idec swings around k-means: neither beats the other.
                acc = score[method] + (0.01 * (-1) ** seed if method == "idec" else 0.002 * seed)
                row = {
                    "method": method,
                    "data": data,
                    "seed": seed,
                    "failed": 7 if lost else None,
                    "n": 100,
                }
                row["failed_phase"] = "cluster" if lost else None
                row |= dict.fromkeys(SCORES, None if lost else acc) | {
                    "clusters": 10,
                    "config_hash": method,
                }
                file.write(json.dumps(row) + "\n")
    monkeypatch.setattr(readme.compare, "RESULTS", path)
    monkeypatch.setattr(readme.compare, "OTHERS", ())
    planned = readme.compare.PLANNED
    monkeypatch.setattr(readme.compare, "PLANNED", 3)
    assert [line.strip("| ").split(" | ") for line in readme.comparison().splitlines()] == [
        ["method", "digits, 10 seeds", "usps, 10 seeds"],
        ["---"] * 3,
        ["`kmeans`", "0.509 [0.505, 0.513]", "0.509 [0.505, 0.513]"],
        ["`idec`", "0.500 [0.492, 0.508]"],
        ["`dcec`", "0.809 [0.805, 0.813] ▲", "0.808 [0.804, 0.812] ▲ (9 seeds)"],
        ["`dbc`", "0.209 [0.204, 0.214] ▼ (1 failed)"],
    ]
    # Nine seeds can show nothing among all that is planned, ten can.
    monkeypatch.setattr(readme.compare, "PLANNED", planned)
    marks = [line for line in readme.comparison().splitlines() if "▲" in line or "▼" in line]
    assert [line.count("▲") + line.count("▼") for line in marks] == [1]
    assert "`dcec`" in marks[0]


def test_every_headline_names_a_cell_of_its_experiment():
    for _, experiment, wanted, name, scores in readme.HEADLINES:
        assert set(scores) <= set(readme.SCORES)
        published = [cells[name] for cells in experiment.PAPER.values() if name in cells]
        assert published, wanted
        assert {len(values) for values in published} == {len(scores)}
