"""Which number of clusters is picked: what a cell that crashed, or that time was too short for, leaves."""

import json

import pytest

from experiments import clusters, common
from jaxclust.cli import choose_clusters


@pytest.mark.parametrize(
    ("reason", "said", "begun"),
    [
        (
            "killed by SIGKILL",
            "kmeans on digits has no row: it crashed at 3 (killed by SIGKILL)",
            ["digits", "usps"],
        ),
        ("stopped", "out of time; the same command goes on", ["digits"]),
    ],
)
def test_a_crash_leaves_the_cells_after_it(monkeypatch, tmp_path, capsys, reason, said, begun):
    began = []

    def command(method, arguments):
        data, out = arguments[1], tmp_path / "runs" / arguments[1] / method
        began.append(data)
        out.mkdir(parents=True)
        rows = [
            {"clusters": k, "stability": 0.9, "reason": None, "left_out": None} for k in (2, 10)
        ]
        if data == "digits":
            rows.append({"clusters": 3, "stability": None, "reason": reason, "left_out": None})
        (out / "clusters.json").write_text(json.dumps({"chosen": 10, "rows": rows}))

    monkeypatch.setattr(choose_clusters, "command", command)
    monkeypatch.setattr(clusters, "CELLS", (("kmeans", "digits"), ("kmeans", "usps")))
    monkeypatch.setattr(clusters, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(
        "experiments.clusters.datasets.load", lambda name: clusters.datasets.SETS[name]
    )
    monkeypatch.setattr("sys.argv", ["clusters", "--folder", str(tmp_path / "runs")])
    clusters.main()
    assert said in capsys.readouterr().err
    assert began == begun
    assert [row["data"] for row in common.rows(clusters.RESULTS)] == begun[1:]
