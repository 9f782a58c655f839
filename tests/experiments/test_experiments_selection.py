"""What picks a seed without labels, on labelled sets."""

import re

import numpy as np
import pytest

from experiments import clusters, common, compare, readme, selection
from jaxclust.report.look import Look
from jaxclust.runs.collect import Cell


def test_selection_says_what_each_measure_would_have_picked(monkeypatch):
    assert selection.selection.LEAST_SEEDS == 5
    monkeypatch.setattr(selection.selection, "LEAST_SEEDS", 3)
    rows = {seed: {"acc": acc} for seed, acc in enumerate((0.5, 0.9, 0.7))}
    cell, labels = Cell("digits", "dcec", rows, (), (), None), np.zeros((3, 4), np.int32)
    look = Look(cell, [], [0, 1, 2], labels, np.arange(4), {}, [])
    agreement = np.array([[1.0, 0.2, 0.1], [0.2, 1.0, 0.8], [0.1, 0.8, 1.0]])
    look = look._replace(
        agreement=agreement, losses=[1.0, 2.0, 3.0], consensus=(None, None, {"acc": 0.8})
    )
    row = selection.measure(look)
    assert (row["mean"], row["best"], row["consensus"]) == (0.7, 0.9, 0.8)
    assert (row["agreement: pick"], row["lower loss: pick"], row["lower loss: correlation"]) == (
        0.9,
        0.5,
        -0.5,
    )
    assert row["silhouette: pick"] is row["silhouette: correlation"] is None
    _, _, line, *choices = selection.table([row]).splitlines()
    assert choices == [
        "vote: above the mean of the seeds in 1 of 1 runs, by +0.1000 on average over data sets (1)",
        "agreement: above the mean of the seeds in 1 of 1 runs, by +0.2000 on average over data sets (1)",
        "lower loss: above the mean of the seeds in 0 of 1 runs, by -0.2000 on average over data sets (1)",
    ]
    # Three runs of one data set are one value beside another's: (.1 + .4) / 2, not .2.
    others = [row | {"consensus": 0.7 + gain} for gain in (0.0, 0.1, 0.2)] + [
        row | {"data": "usps", "consensus": 1.1}
    ]
    (vote,) = [line for line in selection.table(others).splitlines() if line.startswith("vote")]
    assert vote.startswith("vote: above the mean of the seeds in 3 of 4 runs, by +0.2500 [")
    alike = look.cell._replace(rows={seed: {"acc": 0.5} for seed in rows})
    assert selection.measure(look._replace(cell=alike)) is None
    assert (
        " ".join(line.split())
        == "digits dcec 3 0.7000 0.9000 0.8000 0.9000 (+1.00) - (-) 0.5000 (-0.50)"
    )
    assert selection.measure(look._replace(seeds=[0, 1])) is None


def test_kept_rows_take_the_place_of_those_of_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "RESULTS", tmp_path / "rows.jsonl")
    first = [
        {"data": data, "method": method, "mean": 0.5}
        for data in ("a", "b")
        for method in ("x", "y")
    ]
    selection.keep(first)
    selection.keep([first[2] | {"mean": 0.6}, {"data": "c", "method": "x", "mean": 0.7}])
    found = common.rows(selection.RESULTS)
    assert [(row["data"], row["method"], row["mean"]) for row in found] == [
        ("a", "x", 0.5),
        ("a", "y", 0.5),
        ("b", "x", 0.6),
        ("b", "y", 0.5),
        ("c", "x", 0.7),
    ]


def test_the_statistics_page_says_what_the_rows_do():
    text = " ".join((readme.ROOT / "docs" / "statistics.md").read_text().split())
    rows = common.rows(selection.RESULTS)
    assert f"On the {len(rows)} runs of the comparison" in text
    assert f"{sum(row['data'] == 'digits' for row in rows)} are of digits" in text
    found = re.findall(
        r"in (\d+) of (\d+) runs, by (.*) on average over data sets \(4\)", selection.table(rows)
    )
    assert len(found) == 4
    for above, runs, gain in found:
        count = above if runs == str(len(rows)) else f"{above} of {runs}"
        (said,) = re.findall(rf"in {count}, by (\S+) \[(\S+), (\S+)\]", text)
        numbers = [float(number) for number in re.findall(r"[-+\d.]+", gain)]
        np.testing.assert_allclose([float(number) for number in said], numbers, atol=6e-4)
    stability = [
        row["stability"] for row in common.rows(clusters.RESULTS) if row["method"] == "kmeans"
    ]
    least = min(one["2"] for one in stability)
    (said,) = re.findall(r"Seeds agree by (\.\d{4}) or more at 2 on each", text)
    assert 0 <= least - float(said) < 2e-4


def test_the_kept_rows_are_of_the_comparisons_runs():
    present = compare.present()
    for row in common.rows(selection.RESULTS):
        scores = [one["acc"] for one in common.cell(present, row["data"], row["method"])]
        assert len(scores) == row["seeds"]
        assert round(float(np.mean(scores)), 4) == pytest.approx(row["mean"], abs=1e-4)
