"""Comparisons of methods with failed and missing seeds, with one seed, and without randomness."""

import dataclasses

import numpy as np
import pytest

from jaxclust.evaluation.stats import two_methods
from jaxclust.runs.rows import read_rows, write_rows
from run_folders import BAD, GOOD, compare, make


def test_no_beats_that_hangs_on_failed_seeds(tmp_path, capsys):
    failing = [*GOOD[:6], None, None]
    result = compare(
        capsys, make(tmp_path / "a", "dcec", failing), make(tmp_path / "b", "idec", BAD)
    )
    (pair,) = result["data"][0]["pairs"]
    assert pair["n"] == [6, 6]
    assert pair["p"] == 2 / 2**6
    assert pair["p_worst"] == two_methods.paired_permutation([*GOOD[:6], 0.1, 0.1], BAD)
    assert pair["verdict"] == "not claimed: it hangs on failed or missing seeds"
    row = result["data"][0]["methods"][0]
    assert row["worst_mean"] == pytest.approx(np.mean([*GOOD[:6], 0.1, 0.1]))
    assert (
        "dcec on usps: failed seed 6 (cluster step 7), seed 7 (cluster step 7)"
        in result["notes"][0]
    )


def test_no_beats_that_hangs_on_failed_seeds_that_only_one_has(tmp_path, capsys):
    """A is better on the shared seeds; with its failed seeds as chance it is worse."""
    a = dict.fromkeys(range(9), 0.80) | dict.fromkeys(range(9, 16))
    b = dict.fromkeys(range(9), 0.70)
    result = compare(capsys, make(tmp_path / "a", "dcec", a), make(tmp_path / "b", "idec", b))
    (pair,) = result["data"][0]["pairs"]
    assert (pair["test"], pair["p"], pair["p_worst"]) == ("paired permutation", 2 / 2**9, 2 / 2**9)
    assert result["data"][0]["methods"][0]["worst_mean"] < 0.7
    assert pair["verdict"] == "not claimed: it hangs on failed or missing seeds"


def test_no_beats_that_hangs_on_seeds_whose_rows_are_lost(tmp_path, capsys):
    whole = make(tmp_path / "b", "idec", BAD)
    failing = make(tmp_path / "a", "dcec", [*GOOD[:6], None, None])
    before = compare(capsys, failing, whole)
    rows = read_rows(failing / "results.jsonl")
    write_rows(failing / "results.jsonl", rows[:6])
    after = compare(capsys, failing, whole)
    (pair,) = after["data"][0]["pairs"]
    assert pair == before["data"][0]["pairs"][0]
    assert pair["verdict"] == "not claimed: it hangs on failed or missing seeds"
    row = after["data"][0]["methods"][0]
    assert (row["missing"], row["n"]) == ([6, 7], 6)
    assert row["worst_mean"] == pytest.approx(np.mean([*GOOD[:6], 0.1, 0.1]))


def test_a_method_without_randomness_misses_no_seeds(tmp_path, capsys):
    whole, constant = (
        make(tmp_path / "a", "dcec", GOOD),
        make(tmp_path / "b", "ac-gdl", [0.7, 0.7]),
    )
    before = compare(capsys, whole, constant)
    write_rows(constant / "results.jsonl", read_rows(constant / "results.jsonl")[:1])
    after = compare(capsys, whole, constant)
    assert after["data"][0]["pairs"] == before["data"][0]["pairs"]
    row = after["data"][0]["methods"][1]
    assert (row["method"], row["missing"], row["worst_mean"]) == ("ac-gdl", [], 0.7)


def test_a_failed_seed_betters_no_mean(tmp_path, capsys):
    """Half of the clusters' chance would: K is 2, the set has more classes."""
    low = [acc - 0.6 for acc in BAD]
    runs = [make(tmp_path / "a", "dcec", [*low[:7], None]), make(tmp_path / "b", "idec", low)]
    for run in runs:
        lines = read_rows(run / "results.jsonl")
        write_rows(run / "results.jsonl", [dataclasses.replace(row, clusters=2) for row in lines])
    row = compare(capsys, *runs)["data"][0]["methods"][0]
    assert row["worst_mean"] == pytest.approx(np.mean([*low[:7], min(low)]))


def test_the_losers_failed_seeds_leave_the_claim(tmp_path, capsys):
    result = compare(
        capsys,
        make(tmp_path / "a", "dcec", GOOD),
        make(tmp_path / "b", "idec", [*BAD[:7], None]),
        "--metric",
        "ari",
    )
    assert result["data"][0]["pairs"][0]["verdict"] == "dcec beats idec"


def test_a_method_that_failed_throughout(tmp_path, capsys):
    result = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", [None] * 8)
    )
    (pair,) = result["data"][0]["pairs"]
    assert (pair["p"], pair["verdict"], result["data"][0]["family"]) == (None, "not tested", 0)
    assert result["data"][0]["methods"][1]["mean"] is None


def test_one_seed(tmp_path, capsys):
    result = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", [0.7])
    )
    assert result["data"][0]["methods"][1]["low"] is None
    assert result["data"][0]["pairs"][0]["verdict"] == "not tested"
    assert "one seed has no interval" in result["notes"][0]


def test_a_deterministic_method_is_a_constant(tmp_path, capsys):
    result = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "ac-gdl", [0.7, 0.7])
    )
    row = result["data"][0]["methods"][1]
    assert (row["n"], row["constant"], row["low"]) == (1, True, None)
    (pair,) = result["data"][0]["pairs"]
    assert pair["p"] == two_methods.paired_permutation(GOOD, [0.7] * 8)
    assert pair["test"] == "sign flips against a constant"
    assert pair["verdict"] == "dcec beats ac-gdl"
