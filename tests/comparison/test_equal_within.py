"""``--equal-within``: when two methods are said to be equal."""

import numpy as np
import pytest

from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.evaluation import stats
from jaxclust.runs.cells import Cell
from jaxclust.runs.rows import Row
from run_folders import BAD, GOOD, compare, error, make, rows

NEAR = [0.801, 0.809, 0.792, 0.818, 0.802, 0.829, 0.811, 0.779]
A_LITTLE_LESS = [score - 0.004 for score in NEAR]


def verdicts(methods, **options):
    """{(a, b): verdict} of methods on one data set; {name: scores}."""
    cells = []
    for name, scores in methods.items():
        made = [Row.from_json(row) for row in rows(name, "usps", dict(enumerate(scores)))]
        cells.append(Cell("usps", name, {row.seed: row for row in made}))
    result = comparison(cells, Options(**options))
    return {(pair.a, pair.b): pair.verdict for pair in result.data[0].pairs}


def test_each_verdict():
    methods = {"good": GOOD, "near": NEAR, "less": A_LITTLE_LESS, "bad": BAD}
    assert verdicts(methods, equal_within=0.01) == {
        ("good", "near"): "equal within 0.01",
        ("good", "less"): "good beats less by less than 0.01",
        ("good", "bad"): "good beats bad",
        ("near", "less"): "near beats less by less than 0.01",
        ("near", "bad"): "near beats bad",
        ("less", "bad"): "less beats bad",
    }
    assert verdicts(methods, equal_within=0.0003)["good", "near"] == "not shown"
    assert verdicts(methods)["good", "near"] == "not shown"


def test_few_seeds_can_show_equality_where_they_cannot_show_a_difference():
    few = {"good": GOOD[:4], "near": NEAR[:4], "bad": BAD[:4]}
    result = verdicts(few, equal_within=0.05)
    assert result["good", "near"] == "equal within 0.05"
    assert result["good", "bad"] == "cannot be shown"


def test_equality_that_hangs_on_failed_seeds_is_not_claimed():
    lost = [*NEAR[:6], None, None]
    rule = "not claimed: equality within 0.01 hangs on failed or missing seeds"
    assert verdicts({"good": GOOD, "near": lost}, equal_within=0.01)["good", "near"] == rule


def test_the_command_has_it_in_every_format(tmp_path, capsys):
    runs = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", NEAR)
    result = compare(capsys, *runs, "--equal-within", "0.01")
    (pair,) = result["data"][0]["pairs"]
    p = stats.equal_within(GOOD, NEAR, 0.01, True)
    # The null hypotheses of one pair exclude each other: one pair needs no correction.
    assert (pair["p_equal"], pair["p_equal_holm"]) == pytest.approx((p, p))
    assert result["equal_within"] == 0.01
    text = compare(capsys, *runs, "--equal-within", "0.01", form="text")
    assert "family of 1 with tests of equality (Shaffer)" in text
    assert "p equal within 0.01" in text
    assert "p_equal" not in compare(capsys, *runs)["data"][0]["pairs"][0]
    ranked = compare(capsys, *runs, "--equal-within", "0.01", "--test", "wilcoxon")
    expected = stats.ranks_equal_within(GOOD, NEAR, 0.01)
    assert ranked["data"][0]["pairs"][0]["p_equal"] == pytest.approx(expected)
    line = error(capsys, *runs, "--equal-within", "0")
    assert "equal_within: must be in (0, 1), got 0.0" in line


def test_planned_comparisons_count():
    methods = {"good": GOOD, "near": NEAR}
    p = stats.equal_within(GOOD, NEAR, 0.002, True)
    planned = int(np.floor(0.05 / p))
    both = ("good", "near")
    assert verdicts(methods, equal_within=0.002, planned=planned)[both] == "equal within 0.002"
    assert verdicts(methods, equal_within=0.002, planned=planned + 1)[both] != "equal within 0.002"


def test_equality_of_shared_seeds_is_not_claimed_where_all_seeds_lie_apart():
    """Ten seeds of both are alike, but the first method has ten more that score far less."""
    same = [0.80, 0.81, 0.79, 0.82, 0.80, 0.81, 0.79, 0.82, 0.80, 0.81]
    result = verdicts({"good": [*same, *[0.5] * 10], "near": same}, equal_within=0.01)
    rule = "not claimed: equality within 0.01 hangs on failed or missing seeds"
    assert result["good", "near"] == rule
