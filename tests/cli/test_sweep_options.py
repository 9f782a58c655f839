"""What a sweep refuses, to which methods its options go, and which folder it takes."""

from pathlib import Path

import pytest

import run_folders
from commands import error, fake_run, run
from jaxclust.cli import cells, sweep
from jaxclust.runs.files import json_lines
from jaxclust.runs.sweeps import SWEEP, read_sweep


@pytest.mark.parametrize(
    ("methods", "more", "message"),
    [
        ("kmeans,nope", "", "methods: must be of best, "),
        ("kmeans,kmeans", "", "methods: must be distinct, got kmeans,kmeans"),
        ("kmeans", "--gama 1", "Unrecognized options: --gama"),
        (
            "kmeans",
            "--pretraining.epochs 2",
            "--pretraining.epochs: must be an option of a method in --methods",
        ),
        ("kmeans", "--dcec.gamma 2", "--dcec.gamma: must be of a method in --methods, got dcec"),
        ("idec", "--seeds 0", "seeds: must be a count from 1"),
        ("idec", "--max-seconds 0", "max-seconds: must be above 0, got 0.0"),
        ("idec", "--resume --overwrite", "resume: must not be given together with overwrite"),
        ("idec", "--clusters auto", "clusters: must be a number with --methods, got auto"),
        ("idec", "--gama 1", "Unrecognized options: --gama; did you mean --gamma?"),
    ],
)
def test_what_cannot_be_swept_is_refused(tmp_path, capsys, methods, more, message):
    out = tmp_path / "never"
    arguments = f"fit --methods {methods} --data digits --out {out} {more}".split()
    assert message in error(capsys, arguments)
    assert not out.exists()


def test_other_doors(tmp_path, capsys):
    assert "data: must be one of digits" in error(
        capsys, f"fit --methods dcec --data x --out {tmp_path / 'a'}".split()
    )
    line = error(capsys, f"fit --methods dcec --data digits --out {tmp_path}".split())
    assert "out: must not exist without --resume or --overwrite" in line


def test_flags_go_to_the_methods_that_have_them():
    words = [
        "--gamma",
        "0.5",
        "--max-steps",
        "7",
        "--idec.tolerance=0",
        "--preset",
        "quick",
        "--no-figures",
    ]
    assigned = sweep._assign(words, ["kmeans", "idec"])
    assert assigned == [
        (["kmeans", "idec"], ["--gamma", "0.5"]),
        (["idec"], ["--max-steps", "7"]),
        (["idec"], ["--tolerance=0"]),
        (["kmeans", "idec"], ["--preset", "quick"]),
        (["kmeans", "idec"], ["--no-figures"]),
    ]


@pytest.fixture
def began(monkeypatch, tmp_path):
    """The words of each cell that a sweep without --out begins in an empty folder."""
    words = []
    monkeypatch.setattr(
        cells, "watched", lambda arguments: words.append(arguments) or fake_run(arguments)
    )
    monkeypatch.chdir(tmp_path)
    return words


def test_without_out_a_sweep_goes_on_or_takes_another_folder(began, capsys):
    words = "fit --methods kmeans,idec --data digits --seeds 2"
    assert run(words) == 0
    assert "jaxclust compare runs/sweep compares them" in capsys.readouterr().out
    assert [cell[cell.index("--out") + 1] for cell in began] == [
        "runs/sweep/digits/kmeans",
        "runs/sweep/digits/idec",
    ]
    # The same command has nothing left to do; another method joins.
    assert run(words) == 0
    assert len(began) == 2
    assert run("fit --methods dcec --data digits --seeds 2") == 0
    assert began[2][began[2].index("--out") + 1] == "runs/sweep/digits/dcec"
    # Other options of the same cells have a folder of their own.
    assert run("fit --methods kmeans --data digits --seeds 3") == 0
    assert began[3][began[3].index("--out") + 1] == "runs/sweep-2/digits/kmeans"
    capsys.readouterr()


def test_a_quiet_sweep_shows_no_table(began, capsys):
    assert run("fit --methods kmeans --data digits --quiet") == 0
    printed = capsys.readouterr()
    assert printed.out == "jaxclust compare runs/sweep compares them\n"
    assert printed.err == ""
    assert "--quiet" in began[0]
    assert "--quiet" not in read_sweep(Path("runs/sweep") / SWEEP)[0].arguments


def test_cells_of_another_preset_are_refused(began):
    """Version 0.1 began with the preset "paper"; its cells do not stand beside today's default."""
    folder = Path("runs/old/digits/kmeans")
    folder.parent.mkdir(parents=True)
    run_folders.make(folder, "kmeans", [0.5], data="digits")
    row = {"data": "digits", "method": "kmeans", "folder": "digits/kmeans", "status": "finished"}
    row |= {"reason": None, "seconds": 1.0, "log": None, "shares": None}
    row |= {"arguments": ["--data", "digits", "--no-baseline"]}
    Path("runs/old/cells.jsonl").write_text(json_lines([row]))
    assert run("fit --methods kmeans --data digits --out runs/old --resume") == 2
    assert began == []


def test_cells_of_an_old_version_are_skipped(began):
    """The row is a line of version 0.1's cells.jsonl."""
    folder = Path("runs/old/digits/sae-kmeans")
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("")
    options = "--seeds 2 --preset paper --pretraining.epochs 2"
    row = {
        "data": "digits",
        "method": "sae-kmeans",
        "folder": "digits/sae-kmeans",
        "status": "finished",
        "reason": None,
        "seconds": 16.658,
        "log": None,
        "arguments": ["--data", "digits", "--no-baseline", *options.split()],
        "shares": "(('sae', None), ('2', 'auto', 'None', 'None', None), "
        "(2, 256, 'sgd', 0.01, 0.9, 'sum'))",
    }
    Path("runs/old/cells.jsonl").write_text(json_lines([row]))
    (folder / "checkpoint" / "pretrain").mkdir(parents=True)
    words = f"fit --methods sae-kmeans,idec --data digits --out runs/old {options} --resume"
    assert run(words) == 0
    # Its pretraining serves the next cell.
    assert [cell[0] for cell in began] == ["idec"]
    assert began[0][began[0].index("--pretrained") + 1] == str(folder)
