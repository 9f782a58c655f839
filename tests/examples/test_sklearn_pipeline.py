"""The example with scikit-learn's parts runs, and what it saves is the same in another process."""

import re

import pytest

from examples import sklearn_pipeline


@pytest.mark.slow
def test_the_example_runs(monkeypatch, capsys):
    monkeypatch.setattr(sklearn_pipeline, "EPOCHS", (1, 2))
    monkeypatch.setattr(sklearn_pipeline, "STEPS", 2)
    sklearn_pipeline.main()
    out = capsys.readouterr().out
    assert re.search(r"1 epochs of pretraining: silhouette -?\d.\d\d\n2 epochs", out)
    assert re.search(r"dec0 +dec1 +dec2 +cluster\n0 ", out)
    assert out.endswith("another process gives the same clusters\n")
