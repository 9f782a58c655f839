"""The experiment on images that a method has not seen."""

import numpy as np

from experiments import halves, rows
from experiments.experiment import Request
from jaxclust.data.datasets import Dataset


def test_halves_share_no_image_and_miss_none(digits):
    numbered = digits._replace(labels=np.arange(len(digits.images), dtype=np.int32))
    seen, unseen = halves.halves(numbered)
    assert abs(len(seen.images) - len(unseen.images)) <= 1
    together = np.concatenate([seen.labels, unseen.labels])
    np.testing.assert_array_equal(np.sort(together), numbered.labels)
    np.testing.assert_array_equal(digits.images[seen.labels], seen.images)


def test_rows_have_the_scores_of_both_halves(tmp_path, monkeypatch):
    """Two kinds of images that k-means tells apart, of which the second half has one more kind."""
    kinds = np.zeros((80, 4, 4, 1), np.uint8)
    kinds[40:] = 255
    labels = np.repeat(np.int32([0, 1]), 40)
    seen, unseen = (
        Dataset("seen", kinds, labels),
        Dataset("unseen", kinds, np.r_[labels[:60], labels[:20]]),
    )
    monkeypatch.setattr(halves, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(halves, "halves", lambda dataset: (seen, unseen))
    request = Request(("digits",), ("kmeans",), folder=tmp_path / "runs")
    assert not halves.run(request._replace(deadline=0.0))
    assert halves.run(request)
    lines = rows.read_lines(halves.RESULTS)
    assert [line["seed"] for line in lines] == [0, 1, 2]
    assert {line["acc"] for line in lines} == {1.0}
    assert {line["new_acc"] for line in lines} == {0.75}
    assert halves.run(request)
    assert rows.read_lines(halves.RESULTS) == lines
    row = halves.text().splitlines()[1].split()
    assert row[:2] == ["digits", "kmeans"]
    assert row[-1] == "lower"
