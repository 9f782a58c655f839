"""Ranks over data sets."""

import numpy as np
import pytest

from run_folders import BAD, GOOD, compare, make


def test_ranks_over_data_sets_pool_the_seeds(tmp_path, capsys):
    runs = []
    for number in range(8):
        for method, scores in (("a", GOOD), ("b", BAD), ("c", GOOD[::-1])):
            shifted = [acc - 0.01 * number - (0.001 if method == "c" else 0) for acc in scores]
            runs.append(make(tmp_path / f"{method}{number}", method, shifted, data=f"d{number}"))
    few = compare(capsys, *runs[:9])["ranks"]
    assert few["ranks"] == [1.0, 3.0, 2.0]
    assert few["critical_difference"] is None
    assert few["smallest_p"] == 0.75
    assert [pair["p"] for pair in few["pairs"]] == [0.75] * 3
    assert compare(capsys, *runs[:9], "--baseline", "b")["ranks"]["smallest_p"] == 0.5
    against = compare(capsys, *runs, "--baseline", "b")["ranks"]["pairs"]
    assert [(pair["a"], pair["b"]) for pair in against] == [("a", "b"), ("b", "c")]
    assert "(asymptotic)" in compare(capsys, *runs[:9], form="text")
    many = compare(capsys, *runs)["ranks"]
    assert many["critical_difference"] == pytest.approx(
        2.343 * np.sqrt(3 * 4 / (6 * 8)), rel=1e-3
    )  # Demsar's table 5.
    assert many["friedman"] == pytest.approx([16.0, np.exp(-8)])
    plain = compare(capsys, *runs, form="csv").splitlines()
    assert f"ranks,,,,critical_difference,{many['critical_difference']}" in plain
    assert f"ranks,,,,friedman.0,{many['friedman'][0]}" in plain


def test_ranks_with_failed_seeds_show_the_worst_case(tmp_path, capsys):
    runs = []
    for number in range(8):
        for method, scores in (("a", [*GOOD[:1], *[None] * 7]), ("b", BAD)):
            shifted = [None if acc is None else acc - 0.01 * number for acc in scores]
            runs.append(make(tmp_path / f"{method}{number}", method, shifted, data=f"d{number}"))
    result = compare(capsys, *runs)["ranks"]
    assert (result["ranks"], result["ranks_worst"]) == ([1.0, 2.0], [2.0, 1.0])
    assert compare(capsys, *runs[:6])["ranks"]["pairs"][0].keys() == {"a", "b", "p", "p_worst"}
    lines = [line.split() for line in compare(capsys, *runs, form="text").splitlines()]
    place = lines.index(["method", "mean", "rank", "failed", "or", "missing", "as", "chance"])
    assert lines[place + 1 : place + 3] == [["a", "1.00", "2.00"], ["b", "2.00", "1.00"]]
    assert ["A", "B", "corrected", "p", "failed", "or", "missing", "as", "chance"] in lines


def test_ranks_without_the_baseline_have_no_pairs(tmp_path, capsys):
    runs = [
        make(tmp_path / f"{name}-{data}", name, scores, data=data)
        for name, scores in (("dcec", GOOD), ("idec", BAD), ("kmeans", BAD))
        for data in ("usps", "digits")
    ]
    assert compare(capsys, *runs, "--baseline", "kmeans")["ranks"]["smallest_p"] is not None
    result = compare(capsys, *runs[:5], "--baseline", "kmeans")
    assert (result["ranks"]["pairs"], result["ranks"]["smallest_p"]) == ([], None)
    assert "pairs of ranks" not in compare(capsys, *runs[:5], "--baseline", "kmeans", form="text")


def test_ranks_name_a_method_that_failed_throughout(tmp_path, capsys):
    runs = [
        make(
            tmp_path / f"{method}{number}",
            method,
            scores if number or method != "c" else [None] * 8,
            data=f"d{number}",
        )
        for number in range(3)
        for method, scores in (("a", GOOD), ("b", BAD), ("c", GOOD))
    ]
    result = compare(capsys, *runs)
    assert result["ranks"]["methods"] == ["a", "b"]
    assert "ranks leave out, as without a score on some data set: c" in result["notes"]
