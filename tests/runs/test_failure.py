"""What is said of a run in which every seed failed."""

import dataclasses

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.runs.failure import total_failure
from run_folders import memory_run

LOST = np.full((2, 5), -1, np.int32)


def failed(*places, config=None, pretraining=None):
    """A run whose seeds failed at these places, each a phase and a step."""
    run = memory_run("dcec", LOST)
    rows = [
        dataclasses.replace(row, failed_phase=phase, failed=step)
        for row, (phase, step) in zip(run.rows, places, strict=True)
    ]
    settings = dataclasses.replace(run.settings, config=config or {}, pretraining=pretraining)
    return dataclasses.replace(run, rows=tuple(rows), settings=settings)


def test_a_run_with_a_result_is_no_total_failure():
    labels = LOST.copy()
    labels[1] = [0, 1, 0, 1, 1]
    assert total_failure(memory_run("dcec", labels)) is None
    assert total_failure(dataclasses.replace(memory_run("dcec", LOST), rows=())) is None


def test_the_earliest_phase_and_step_decide_the_advice():
    run = failed(
        ("cluster", 3),
        ("pretrain", 33),
        config={"learning_rate": 0.01},
        pretraining={"learning_rate": 0.05},
    )
    where = "every seed failed with NaN or inf, the first in pretraining at step 33"
    assert total_failure(run) == f"{where}: try a smaller pretraining.learning_rate than 0.05"
    advice = "try a smaller --pretraining.learning-rate than 0.05"
    assert total_failure(run, options=True) == f"{where}: {advice}"


def test_in_clustering_the_advice_is_the_methods_own_rate():
    run = failed(("cluster", 9), ("cluster", 7), config={"learning_rate": 0.01})
    where = "every seed failed with NaN or inf, the first in clustering at step 7"
    assert total_failure(run, options=True) == f"{where}: try a smaller --learning-rate than 0.01"


def test_clustering_that_fails_at_once_is_the_pretrainings_fault():
    rates = {"config": {"learning_rate": 0.01}, "pretraining": {"learning_rate": 1e9, "epochs": 1}}
    end = "in clustering at step 0: try a smaller pretraining.learning_rate than 1000000000.0"
    assert str(total_failure(failed(("cluster", 0), ("cluster", 4), **rates))).endswith(end)
    rates["pretraining"]["epochs"] = 0
    end = "in clustering at step 0: try a smaller learning_rate than 0.01"
    assert str(total_failure(failed(("cluster", 0), ("cluster", 4), **rates))).endswith(end)


def test_a_phase_without_a_learning_rate():
    run = failed(("cluster", 0), ("cluster", 0))
    advice = "try other settings; clustering has no learning rate"
    assert str(total_failure(run)).endswith(f"in clustering at step 0: {advice}")


def test_fit_warns_and_returns_the_run(few_digits):
    method = jc.method("cae-kmeans", pretraining={"epochs": 1, "learning_rate": 1e30}, restarts=1)
    with pytest.warns(RuntimeWarning, match="every seed failed .* pretraining.learning_rate"):
        run = jc.fit(method, few_digits[0][:50], clusters=3, seeds=2, progress=False)
    assert run.finished
    assert set(run.failed) == {0, 1}
