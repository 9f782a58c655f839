"""What picks a seed without labels, on labeled sets."""

import re

import numpy as np
import pytest

from experiments import clusters, compare, results, rows, selection
from experiments.papers.ccnn import cells as ccnn
from jaxclust.evaluation import agreement
from jaxclust.report.look import Agreement, Look
from jaxclust.runs.cells import Cell
from jaxclust.runs.consensus import Consensus
from jaxclust.runs.rows import Row


def rows_of(scores):
    """Rows by seed, from ACC of seeds 0, 1, ...."""
    return {seed: Row("dcec", "digits", seed, 4, 10, acc=acc) for seed, acc in enumerate(scores)}


def test_selection_says_what_each_measure_would_have_picked(monkeypatch):
    assert agreement.LEAST_SEEDS == 5
    monkeypatch.setattr(agreement, "LEAST_SEEDS", 3)
    cell = Cell("digits", "dcec", rows_of((0.5, 0.9, 0.7)))
    matrix = np.array([[1.0, 0.2, 0.1], [0.2, 1.0, 0.8], [0.1, 0.8, 1.0]])
    labels = np.zeros((3, 4), np.int32)
    numbering = np.tile(np.arange(10), (3, 1))
    consensus = Consensus(labels[0], np.ones(4), (0, 1, 2), labels, numbering, 1, matrix)
    seen = Agreement(consensus, [1.0, 2.0, 3.0], {"acc": 0.8})
    look = Look(cell, [], [0, 1, 2], labels, np.arange(4), {}, [], agreement=seen)
    row = selection.measure(look)
    assert (row["mean"], row["best"], row["consensus"]) == (0.7, 0.9, 0.8)
    assert (row["agreement: pick"], row["lower loss: pick"]) == (0.9, 0.5)
    assert row["lower loss: correlation"] == -0.5
    assert row["silhouette: pick"] is row["silhouette: correlation"] is None
    _, _, line, *choices = selection.table([row]).splitlines()
    above = "above the mean of the seeds in"
    assert choices == [
        f"vote: {above} 1 of 1 runs, by +0.1000 on average over data sets (1)",
        f"agreement: {above} 1 of 1 runs, by +0.2000 on average over data sets (1)",
        f"lower loss: {above} 0 of 1 runs, by -0.2000 on average over data sets (1)",
    ]
    # Three runs of one data set are one value beside another's: (.1 + .4) / 2, not .2.
    others = [row | {"consensus": 0.7 + gain} for gain in (0.0, 0.1, 0.2)]
    others.append(row | {"data": "usps", "consensus": 1.1})
    (vote,) = [line for line in selection.table(others).splitlines() if line.startswith("vote")]
    assert vote.startswith(f"vote: {above} 3 of 4 runs, by +0.2500 [")
    alike = cell._replace(rows=rows_of((0.5, 0.5, 0.5)))
    assert selection.measure(look._replace(cell=alike)) is None
    text = "digits dcec 3 0.7000 0.9000 0.8000 0.9000 (+1.00) - (-) 0.5000 (-0.50)"
    assert " ".join(line.split()) == text
    assert selection.measure(look._replace(seeds=[0, 1])) is None


def test_kept_rows_take_the_place_of_those_of_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "RESULTS", tmp_path / "rows.jsonl")
    first = [
        {"data": data, "method": method, "mean": 0.5}
        for data in ("a", "b")
        for method in ("x", "y")
    ]
    rows.put(selection.RESULTS, first)
    rows.put(
        selection.RESULTS, [first[2] | {"mean": 0.6}, {"data": "c", "method": "x", "mean": 0.7}]
    )
    found = rows.read_lines(selection.RESULTS)
    assert [(row["data"], row["method"], row["mean"]) for row in found] == [
        ("a", "x", 0.5),
        ("a", "y", 0.5),
        ("b", "x", 0.6),
        ("b", "y", 0.5),
        ("c", "x", 0.7),
    ]


def test_the_page_without_labels_says_what_the_rows_do():
    text = " ".join((results.ROOT / "docs" / "without-labels.md").read_text().split())
    lines = rows.read_lines(selection.RESULTS)
    assert f"It has seen {len(lines)} runs at the papers' settings" in text
    assert f"Since {sum(line['data'] == 'digits' for line in lines)} of them are of digits" in text
    pattern = r"in (\d+) of (\d+) runs, by (.*) on average over data sets \(4\)"
    found = re.findall(pattern, selection.table(lines))
    assert len(found) == 4
    for above, runs, gain in found:
        (said,) = re.findall(rf"{above} of {runs} runs \| (\S+) \[(\S+), (\S+)\]", text)
        numbers = [float(number) for number in re.findall(r"[-+\d.]+", gain)]
        np.testing.assert_allclose([float(number) for number in said], numbers, atol=6e-4)
    gains = re.findall(r"^\| `.*?` \| [\d.]+ \(([-+][\d.]+)\)", results.consensus(), re.MULTILINE)
    above = sum(float(gain) >= 0.005 for gain in gains)
    below = sum(float(gain) <= -0.005 for gain in gains)
    assert f"with {above} of {len(gains)} methods, below with {below}" in text
    kmeans = [line for line in rows.read_lines(clusters.RESULTS) if line["method"] == "kmeans"]
    least = min(line["stability"]["2"] for line in kmeans)
    (said,) = re.findall(r"seeds agree by (\.\d{4}) or more at K = 2 on each", text)
    assert 0 <= least - float(said) < 2e-4


def counts(row):
    """Whether a row is of a method's paper, of which the measured runs are."""
    return row.preset in ("paper", "printed") and row.variant in (None, "printed", *ccnn.TABLE_2)


def test_the_kept_rows_are_of_the_runs_at_the_papers_settings():
    files = (compare.RESULTS, *(path for path, _ in compare.OTHERS))
    scores = {}
    for row in (row for path in files for row in rows.read(path) if counts(row)):
        if row.extra.get("start", "reconstruction") == "reconstruction":
            scores.setdefault((row.data, row.method), {}).setdefault(row.seed, row.acc)
    for line in rows.read_lines(selection.RESULTS):
        cell = scores[line["data"], line["method"]]
        kept = [cell[seed] for seed in range(line["seeds"])]
        assert round(float(np.mean(kept)), 4) == pytest.approx(line["mean"], abs=1e-4)
