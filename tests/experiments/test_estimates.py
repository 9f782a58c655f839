"""What each criterion takes: rows are made once, and the table has them beside the classes."""

import numpy as np

from experiments import estimates, rows
from experiments.experiment import Request
from jaxclust.data.datasets import Dataset

KINDS = np.random.default_rng(0).random((4, 6, 6)) > 0.5
LABELS = np.arange(200) % 4
IMAGES = KINDS[LABELS] * 0.7 + np.random.default_rng(1).random((200, 6, 6)) * 0.3


def test_rows_are_made_once_and_stand_in_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(estimates, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(estimates, "STABILITIES", tmp_path / "clusters.jsonl")
    monkeypatch.setattr(estimates, "RANGES", ("2,6",))
    monkeypatch.setattr(estimates, "UMAP_PACKAGE", "no_such_package")
    monkeypatch.setattr(estimates, "CRITERIA", {"spectrum": None, "silhouette": None})
    images = IMAGES.astype(np.float32)[..., None]
    monkeypatch.setattr(estimates, "load", lambda data: Dataset(data, images, LABELS))
    assert not estimates.run(Request(data=("digits",), deadline=0.0))
    assert estimates.run(Request(data=("digits",)))
    lines = rows.read_lines(estimates.RESULTS)
    assert [(line["criterion"], line["chosen"]) for line in lines] == [
        ("spectrum", 4),
        ("silhouette", 4),
    ]
    assert {(line["data"], line["classes"], line["range"]) for line in lines} == {
        ("digits", 4, "2,6")
    }
    assert estimates.run(Request(data=("digits",)))
    assert rows.read_lines(estimates.RESULTS) == lines
    head, line = estimates.text().splitlines()
    assert head.split()[:4] == ["data", "range", "classes", "spectrum"]
    assert line.split() == ["digits", "2,6", "4", "4", "4", "-", "-"]


def test_the_agreement_of_seeds_finds_two_far_kinds():
    images = IMAGES[LABELS < 2].astype(np.float32)
    # Seeds agree wholly on two kinds, and on no way to cut them into three.
    assert estimates.stable(images, range(2, 4)) == 2
