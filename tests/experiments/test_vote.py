"""The experiment of ``vote``: rows are made once, and the table has them."""

import numpy as np
import pytest

from experiments import rows, vote
from experiments.experiment import Request
from jaxclust.data.datasets import Dataset
from jaxclust.methods import pupil

QUICK = pupil.Config(epochs=1, least_steps=2, batch=32)


@pytest.mark.slow
def test_rows_are_made_once_and_stand_in_the_table(tmp_path, monkeypatch, few_digits):
    monkeypatch.setattr(vote, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(pupil, "Config", lambda: QUICK)
    images, labels = few_digits
    monkeypatch.setattr(vote.datasets, "load", lambda name: Dataset(name, images, labels))
    monkeypatch.setattr(vote, "MATERIALS", {"few": (vote.Material("k-means", "kmeans"),)})
    assert not vote.run(Request(data=("few",), deadline=0.0))
    assert vote.run(Request(data=("few",), over="map", folder=tmp_path))
    (line,) = lines = rows.read_lines(vote.RESULTS)
    assert (line["data"], line["material"], len(line["acc"])) == ("few", "k-means", 4)
    assert line["changed"] == 0 or line["pupils"] > line["seeds"]
    assert line["why_not"] == "" or line["vote_acc"] == line["taught_acc"]
    assert vote.run(Request(data=("few",)))
    assert rows.read_lines(vote.RESULTS) == lines
    head, row = vote.text().splitlines()
    assert head.startswith("data")
    assert f"{line['vote_acc']:.4f} ({line['vote_nmi']:.4f})" in row


def test_what_pupils_would_have_done_alone_is_measured_too(monkeypatch):
    labels = np.arange(60) % 3
    found = np.tile(labels, (4, 1))
    found[0, :6] = (labels[:6] + 1) % 3
    # The pupils are wrong about the images that seed 0 has wrong, and the seeds do not back them.
    wrong = np.tile((labels + 2) % 3, (2, 1)).astype(np.int32)
    monkeypatch.setattr(vote.vote, "train", lambda *_: wrong)
    dataset = Dataset("x", np.zeros((60, 4, 4, 1), np.uint8), labels.astype(np.int32))
    monkeypatch.setattr(vote, "SEEDS", (0, 1, 2, 3))
    line = vote.measured(found, dataset)
    assert (line["vote_acc"], line["taught_acc"], line["always_acc"]) == (1, 1, 0.9)
    assert (line["disputed"], line["undisputed_acc"], line["changed"]) == (0.1, 1, 0)
    assert line["pupils"] == 0
    assert "sides with the other seeds" in str(line["why_not"])
