"""What all experiments do with their cells: rows that stay, cells that are skipped or refused, time that runs out."""

import argparse
import json
import subprocess
import sys
import types

import pytest

from experiments import common


@pytest.fixture
def options(tmp_path):
    return argparse.Namespace(
        data="digits",
        methods="kmeans",
        over="map",
        folder=tmp_path / "runs",
        max_seconds=float("inf"),
    )


def test_a_cell_runs_once_and_is_refused_with_other_settings(
    options, tmp_path, monkeypatch, capsys
):
    results, seeds = tmp_path / "rows.jsonl", {"digits": range(2)}
    common.run_cells(results, seeds, options)
    rows = common.rows(results)
    assert [(row["method"], row["data"], row["seed"]) for row in rows] == [
        ("kmeans", "digits", 0),
        ("kmeans", "digits", 1),
    ]
    monkeypatch.setattr(common.fit, "fit", lambda *arguments, **named: pytest.fail("ran again"))
    common.run_cells(results, seeds, options)
    assert common.rows(results) == rows
    results.write_text("".join(json.dumps(row | {"config_hash": "old"}) + "\n" for row in rows))
    with pytest.raises(
        ValueError,
        match="rows: .* has digits, kmeans with other settings; remove them to run it again",
    ):
        common.run_cells(results, seeds, options)


def test_a_cell_that_time_runs_out_on_has_no_rows(options, tmp_path, monkeypatch, capsys):
    seconds = []

    def stopped(*arguments, max_seconds, **named):
        seconds.append(max_seconds)
        return types.SimpleNamespace(finished=False)

    monkeypatch.setattr(common.fit, "fit", stopped)
    options.methods, options.max_seconds = "kmeans,dcec", 5.0
    common.run_cells(tmp_path / "rows.jsonl", {"digits": range(2)}, options)
    assert not (tmp_path / "rows.jsonl").exists()
    (given,) = seconds  # The next cell did not begin.
    assert 0 < given <= 5
    assert "out of time; the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data", "digits,none", "data: must be of digits, got 'none'"),
        ("methods", "kmeans,best", "methods: must be of kmeans, .*, got 'best'"),
    ],
)
def test_an_unknown_name_is_refused_before_any_cell(
    options, tmp_path, monkeypatch, name, value, message
):
    monkeypatch.setattr(common.fit, "fit", lambda *arguments, **named: pytest.fail("ran"))
    setattr(options, name, value)
    with pytest.raises(ValueError, match=message):
        common.run_cells(tmp_path / "rows.jsonl", {"digits": range(2)}, options)


def test_a_reader_that_has_enough_of_a_table_is_no_error():
    source = "from experiments import common; common.command(lambda: print('row ' * 100_000))"
    run = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout.read(4) == b"row "
    run.stdout.close()
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait() == 141
