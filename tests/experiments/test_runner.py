"""What all experiments do with cells: rows that stay, cells that are skipped or refused, time that
runs out."""

import json
import types

import pytest

from experiments import rows, runner
from experiments.experiment import Request
from experiments.papers.dbc import cells as dbc
from experiments.papers.dbc import tables as dbc_tables
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.methods import registry

SEEDS = {"digits": range(2)}


@pytest.fixture
def request_(tmp_path):
    """k-means on digits."""
    folder = tmp_path / "runs"
    return Request(data=("digits",), methods=("kmeans",), over="map", folder=folder)


def test_methods_that_pretrain_otherwise_do_not_share_it():
    names = [runner.pretraining_name(registry.get(name)) for name in ("dec", "idec", "dcn")]
    assert names == ["sae", "sae", "tied_sae-layerwise"]


def test_a_cell_runs_once_and_is_refused_with_other_settings(request_, tmp_path, monkeypatch):
    results = tmp_path / "rows.jsonl"
    assert runner.run_plain(results, SEEDS)(request_)
    made = rows.read(results)
    cells = [(row.method, row.data, row.seed) for row in made]
    assert cells == [("kmeans", "digits", 0), ("kmeans", "digits", 1)]
    monkeypatch.setattr(runner.engine, "fit", lambda *arguments: pytest.fail("ran again"))
    assert runner.run_plain(results, SEEDS)(request_)
    assert rows.read(results) == made
    lines = [row.to_json() | {"config_hash": "old"} for row in made]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rule = "rows: .* has digits, kmeans with other settings; remove them to run it again"
    with pytest.raises(UsageError, match=rule):
        runner.run_plain(results, SEEDS)(request_)


def test_cells_run_once_and_print_their_table(request_, tmp_path, monkeypatch, digits, few_digits):
    few = digits._replace(images=few_digits[0], labels=few_digits[1])
    monkeypatch.setattr(datasets, "load", lambda name: few)
    monkeypatch.setattr(dbc, "RESULTS", tmp_path / "rows.jsonl")
    for _ in range(2):
        assert runner.run_plain(dbc.RESULTS, SEEDS)(request_)
    cells = [(row.method, row.seed, row.n) for row in rows.read(dbc.RESULTS)]
    assert cells == [("kmeans", 0, 300), ("kmeans", 1, 300)]
    assert dbc_tables.text().splitlines()[1].startswith("digits  kmeans  2 ")
    with pytest.raises(UsageError, match="rows: .* has digits, kmeans with other seeds"):
        runner.run_plain(dbc.RESULTS, {"digits": range(3)})(request_)


def test_a_cell_that_time_runs_out_on_has_no_rows(request_, tmp_path, monkeypatch):
    seconds = []

    def stopped(method, images, seeds, options):
        seconds.append(options.max_seconds)
        return types.SimpleNamespace(finished=False)

    monkeypatch.setattr(runner.engine, "fit", stopped)
    deadline = runner.time.monotonic() + 5.0
    asked = request_._replace(methods=("kmeans", "dcec"), deadline=deadline)
    assert not runner.run_plain(tmp_path / "rows.jsonl", SEEDS)(asked)
    assert not (tmp_path / "rows.jsonl").exists()
    (given,) = seconds  # The next cell did not begin.
    assert 0 < given <= 5
