"""``jaxclust fit`` as tests call it, small enough to take moments."""

import dataclasses
from pathlib import Path

import numpy as np

from jaxclust.cli.main import main
from jaxclust.runs.rows import Row, read_rows

# A few epochs and windows of the real methods.
SMALL = (
    "--pretraining.epochs 3 --pretraining.batch 64 --batch 64 --update-interval 5 --max-steps 20 "
    "--tolerance 0"
)
FEW = f"{SMALL} --restarts 2 --over shard"


def command(data, out, more=""):
    """IDEC for seeds 0 and 3; without ``out`` the command chooses its folder."""
    folder = "" if out is None else f"--out {out}"
    return f"fit idec --data {data} {folder} --seeds 0,3 {FEW} {more}".split()


def run(words):
    """Runs the command, given as one text, and returns its exit status."""
    return main(words.split())


def error(capsys, arguments):
    """The one line that a refused command prints."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("jaxclust: ")
    assert out == ""
    return lines[0]


def same(one, other):
    """Asserts that two runs ended alike, bit for bit."""
    np.testing.assert_array_equal(
        *(np.load(run / "labels.npy", allow_pickle=False) for run in (one, other))
    )
    assert (one / "history.csv").read_text() == (other / "history.csv").read_text()
    first, second = ([without_times(row) for row in results(run)] for run in (one, other))
    assert first == second


def results(run) -> list[Row]:
    """The rows of a run's folder."""
    return read_rows(run / "results.jsonl")


def without_times(row: Row) -> Row:
    """A row without what is measured."""
    return dataclasses.replace(row, seconds=None, compile_seconds=None, peak_memory_mb=None)


def fake_run(arguments):
    """Writes a finished cell with a pretraining, in place of a cell's process."""
    folder = Path(arguments[arguments.index("--out") + 1])
    (folder / "checkpoint" / "pretrain").mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_text("")
    return 0, ""
