"""A comparison as tables: every format says the same, and no name breaks a table."""

import csv
import io

from jaxclust.comparison import table_cells, tables
from jaxclust.evaluation.stats import power
from run_folders import BAD, GOOD, compare, make


def test_every_format_says_the_same(tmp_path, capsys):
    runs = make(tmp_path / "a", "dcec", [*GOOD[:7], None]), make(tmp_path / "b", "my_method%", BAD)
    result = compare(capsys, *runs)
    mean = f"{result['data'][0]['methods'][0]['mean']:.4f}"
    for form in ("text", "markdown", "latex"):
        out = compare(capsys, *runs, form=form)
        assert mean in out
        assert "failed seed 7" in out
    assert r"my\_method\%" in compare(capsys, *runs, form="latex")
    lines = list(csv.DictReader(io.StringIO(compare(capsys, *runs, form="csv"))))
    values = {(line["table"], line["method"], line["quantity"]): line["value"] for line in lines}
    assert float(values["methods", "dcec", "mean"]) == result["data"][0]["methods"][0]["mean"]
    assert float(values["pairs", "dcec", "p_holm"]) == result["data"][0]["pairs"][0]["p_holm"]
    assert values["methods", "dcec", "seeds.7"] == ""
    assert values["settings", "", "metric"] == "acc"
    assert values["settings", "", "family"] == "all"
    assert values["data", "", "family"] == str(result["data"][0]["family"])
    # A column of p with failed or missing as chance stands where seeds failed.
    worst = f"{result['data'][0]['pairs'][0]['p_worst_holm']:.2g}"
    (line,) = [
        line for line in compare(capsys, *runs, form="text").splitlines() if "my_method%  +" in line
    ]
    assert worst in line.split()
    whole = compare(capsys, make(tmp_path / "c", "idec", GOOD), runs[1], form="text")
    assert "failed or missing as chance" not in whole


def test_names_and_reasons_stay_in_their_line():
    row = {"a": "x<script>", "b": "y", "verdict": "x|\ny"}
    result = table_cells.Table("a\ntitle", ["A"], [[row["a"]], [row["verdict"]]])
    assert tables._escaped("a note\n\\input{x}") == r"a note \textbackslash{}input\{x\}"
    assert [tables._plain(cell) for (cell,) in result.rows] == ["x&lt;script>", "x\\| y"]
    assert tables._range([4, 9, power.MOST_SEEDS]) == "4 to 100000 or more"


def test_latex_escapes_each_special_once():
    assert tables._escaped(r"a\b_{x}^2~$5&#%<>") == (
        r"a\textbackslash{}b\_\{x\}\textasciicircum{}2\textasciitilde{}\$5\&\#\%$<$$>$"
    )
