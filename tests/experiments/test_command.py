"""The command of all experiments: what it refuses, and in how many words."""

import subprocess
import sys

import pytest

from experiments import __main__ as command
from experiments import clusters
from experiments.experiment import EXPERIMENTS, read
from jaxclust.data import datasets
from jaxclust.engine import fit as engine


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run dcec --data digits,none", "data: must be of digits, .*, got 'none'"),
        ("run dcec --methods kmeans,best", "methods: must be of kmeans, .*, got 'best'"),
        ("run jule --variants paper,best", "variants: must be of paper, .*, got 'best'"),
        ("run jule --data cifar", "data: must be of digits, .*, got 'cifar'"),
        (
            "run jule-features --methods jule",
            "methods: must be of kmeans, .*, got 'jule'",
        ),
        ("run compare --data mnist", "data: must be of digits, .*, got 'mnist'"),
        ("run dbc-curves --data letters", "data: must be of digits, .* got 'letters'"),
        # Flags that would be ignored.
        ("run dbc --variants random", "variants: must not be given here, got 'random'"),
        ("run dbc-fresh --data usps-11000", "data: must not be given here, got 'usps-11000'"),
        ("table dbc --data digits", "data: must not be given here, got 'digits'"),
        ("table dbc-curves", "PAPER: must be one of dcec, .*, got 'dbc-curves'"),
        ("figure compare", "PAPER: must be one of dcec, .*, got 'compare'"),
        ("results all", "results: must stand alone, got more"),
        ("run", "PAPER: must be one of dcec, .*, got ''"),
    ],
)
def test_what_cannot_be_done_is_one_line_before_anything_runs(words, message, monkeypatch, capsys):
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail("something was read"))
    monkeypatch.setattr(engine, "fit", lambda *arguments: pytest.fail("something ran"))
    assert command.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("experiments: ")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(line)


def test_work_that_time_runs_out_on_says_so_and_prints_the_tables(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(clusters, "RESULTS", tmp_path / "rows.jsonl")
    words = ["run", "clusters", "--max-seconds", "0", "--folder", str(tmp_path)]
    assert command.main(words) == 0
    out, err = capsys.readouterr()
    assert err == "out of time; the same command goes on\n"
    assert out.startswith("data  method  classes  picked")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_parts_and_prints_its_tables(name, capsys):
    experiment = read(name)
    assert "" in experiment.run
    for part in (*experiment.run.values(), experiment.figure):
        for flag, names in () if part is None else part.usual.items():
            assert set(names) <= set(part.names[flag])
    assert command.main(["table", name]) == 0
    assert capsys.readouterr().out.strip() == experiment.tables().strip()


def test_a_reader_that_has_enough_of_a_table_is_no_error():
    source = (
        "import sys; from experiments import __main__ as command; from experiments.papers.dcec "
        "import experiment; from experiments.experiment import Part; "
        "experiment.EXPERIMENT = experiment.EXPERIMENT._replace(tables=lambda: 'row ' * 100_000); "
        "sys.exit(command.main(['table', 'dcec']))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout is not None
    assert run.stderr is not None
    assert run.stdout.read(4) == b"row "
    run.stdout.close()
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait() == 141
