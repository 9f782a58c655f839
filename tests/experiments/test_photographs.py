"""The experiment with deep methods on features of photographs."""

import numpy as np

from experiments import photographs, rows
from experiments.experiment import Request
from jaxclust.data.datasets import Dataset
from jaxclust.runs import feature_inputs


def test_each_method_gets_the_features(tmp_path, monkeypatch):
    labels = np.repeat(np.int32([0, 1]), 30)
    pictures = Dataset("photos-10", np.zeros((60, 8, 8, 3), np.uint8), labels)
    features = np.random.default_rng(0).random((60, 1, 5, 1), np.float32) * 0.1
    features[:30, 0, 0] += 0.8
    asked = []

    def replaced(dataset, which):
        asked.append((dataset.name, which))
        return Dataset("another name", features, labels), None

    monkeypatch.setattr(photographs, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(photographs, "load", lambda name: pictures._replace(name=name))
    monkeypatch.setattr(feature_inputs, "replaced", replaced)
    request = Request(("photos-10",), ("kmeans", "ac-gdl"), folder=tmp_path / "runs")
    assert photographs.run(request)
    assert asked == [("photos-10", "efficientnet-lite0")]
    made = rows.read(photographs.RESULTS)
    assert [(row.method, row.seed) for row in made] == [
        *(("kmeans", seed) for seed in range(5)),
        ("ac-gdl", 0),
    ]
    assert {row.acc for row in made} == {1.0}
    assert {row.input for row in made} == {"efficientnet-lite0"}
    first, second = photographs.text().splitlines()[1:]
    assert first.split()[2:4] == ["kmeans", "5"]
    assert second.split()[2:4] == ["ac-gdl", "1"]
