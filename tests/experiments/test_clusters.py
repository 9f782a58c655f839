"""Which number of clusters is picked: what a cell leaves that crashed, or that had too little
time."""

import json

import pytest

from experiments import clusters, rows, runner
from experiments.experiment import Request
from jaxclust.data import datasets
from jaxclust.data.named_sets import SETS


@pytest.mark.parametrize(
    ("reason", "said", "finished", "begun"),
    [
        (
            "killed by SIGKILL",
            "kmeans on digits has no row: it crashed at 3 (killed by SIGKILL)",
            True,
            ["digits", "usps"],
        ),
        ("stopped", "", False, ["digits"]),
    ],
)
def test_a_crash_leaves_the_cells_after_it(
    monkeypatch, tmp_path, capsys, reason, said, finished, begun
):
    began = []

    def command(words):
        data = words[words.index("--data") + 1]
        out = tmp_path / "runs" / data / words[1]
        assert str(out) == words[words.index("--out") + 1]
        began.append(data)
        out.mkdir(parents=True)
        numbers = [
            {"clusters": k, "stability": 0.9, "reason": None, "left_out": None} for k in (2, 10)
        ]
        if data == "digits":
            number = {"clusters": 3, "stability": None, "reason": reason, "left_out": None}
            numbers.append(number)
        (out / "clusters.json").write_text(json.dumps({"chosen": 10, "rows": numbers}))

    monkeypatch.setattr(runner, "jaxclust", command)
    monkeypatch.setattr(clusters, "CELLS", (("kmeans", "digits"), ("kmeans", "usps")))
    monkeypatch.setattr(clusters, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(datasets, "load", lambda name: SETS[name])
    # Where time ran out, the command says that it goes on.
    assert clusters.run(Request(folder=tmp_path / "runs")) == finished
    assert said in capsys.readouterr().err
    assert began == begun
    assert [line["data"] for line in rows.read_lines(clusters.RESULTS)] == begun[1:]
