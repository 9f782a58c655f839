"""Several methods on several data sets: shared pretraining, crashes, time, resuming."""

import contextlib
import io
import json
import signal
import sys
import time

import numpy as np
import pytest

from commands import fake_run
from jaxclust.cli import cells
from jaxclust.cli.main import main
from jaxclust.runs.files import json_lines, read_json_lines
from jaxclust.runs.settings import read_settings
from jaxclust.runs.sweeps import SWEEP, SweepCell

# Without steps the methods are their k-means on the features, and little is compiled.
SMALL = (
    "--pretraining.epochs 1 --pretraining.batch 64 --restarts 1 --seeds 0,3 --over map "
    "--no-figures --no-baseline"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory, few_digits):
    """Two files of images; the second has no labels, so that methods need --clusters."""
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "few.npz", images=few_digits[0], labels=few_digits[1])
    np.savez(folder / "plain.npz", images=few_digits[0][:100])
    return folder


def command(data, out, methods, sets, more=""):
    paths = ",".join(str(data / f"{name}.npz") for name in sets.split(","))
    return f"fit --methods {methods} --data {paths} --out {out} {SMALL} {more}".split()


def rows(out):
    return {(row["data"], row["method"]): row for row in read_json_lines(out / SWEEP)}


def error(capsys, arguments):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1), err
    return err


@pytest.fixture
def in_this_process(monkeypatch):
    """Cells run in the tests' process, where programs are compiled once."""
    monkeypatch.setattr(cells, "watched", here)


def here(words):
    """Runs a cell in this process, as ``cells.watched`` does in one of its own."""
    with contextlib.redirect_stderr(io.StringIO()) as told:
        return main(["fit", *words]), told.getvalue()


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    """Two cells of four cannot run; those of IDEC, one of each kind, have their own process."""
    out = tmp_path_factory.mktemp("runs") / "all"
    own = cells.watched
    started = []

    def watched(words):
        if words[0] != "idec":
            return here(words)
        started.append(words[0])
        return own(words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "watched", watched)
        assert main(command(data, out, "sae-kmeans,idec", "few,plain", "--max-steps 0")) == 1
    assert started == ["idec", "idec"]
    return out


def test_a_crash_leaves_the_others_and_its_row_says_why(swept):
    found = rows(swept)
    for method in ("sae-kmeans", "idec"):
        assert found["few", method]["status"] == "finished"
        row = found["plain", method]
        assert row["status"] == "failed"
        assert row["reason"] == "clusters: must be given, since plain has no labels"


def test_the_seeds_are_the_same_and_the_pretraining_is_shared(swept):
    for method in ("sae-kmeans", "idec"):
        assert read_settings(swept / "few" / method).seeds == (0, 3)
    assert (swept / "few" / "sae-kmeans" / "checkpoint" / "pretrain").is_dir()
    assert not (swept / "few" / "idec" / "checkpoint" / "pretrain").exists()


def test_the_folder_can_be_compared(swept, capsys):
    assert main(["compare", str(swept), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in found["data"][0]["methods"]] == ["sae-kmeans", "idec"]
    assert (
        "sae-kmeans on plain crashed and has no row: clusters: must be given" in found["notes"][0]
    )


def test_finished_cells_are_skipped_and_others_go_on(swept, data, capsys, monkeypatch):
    began = []

    def watched(arguments):
        began.append((arguments[0], arguments[2], arguments))
        return 0, ""

    monkeypatch.setattr(cells, "watched", watched)
    main([*command(data, swept, "sae-kmeans,idec", "few,plain", "--max-steps 0"), "--resume"])
    plain = str(data / "plain.npz")
    assert [cell[:2] for cell in began] == [("sae-kmeans", plain), ("idec", plain)]
    # A finished cell under another setting is refused, and stays as it is.
    began.clear()
    before = rows(swept)
    capsys.readouterr()
    changed = command(data, swept, "sae-kmeans,idec", "few", "--max-steps 0 --idec.gamma 0.5")
    assert "idec must be finished with the same options" in error(capsys, [*changed, "--resume"])
    assert (began, rows(swept)) == ([], before)


def test_a_folder_goes_on_under_another_name(data, tmp_path, monkeypatch):
    began = []
    monkeypatch.setattr(
        cells, "watched", lambda arguments: began.append(arguments) or fake_run(arguments)
    )
    assert main(command(data, tmp_path / "all", "sae-kmeans,idec", "few")) == 0
    (tmp_path / "all").rename(tmp_path / "moved")
    (tmp_path / "moved/few/idec/results.jsonl").unlink()
    began.clear()
    assert main([*command(data, tmp_path / "moved", "sae-kmeans,idec", "few"), "--resume"]) == 0
    (again,) = began
    assert again[again.index("--out") + 1] == str(tmp_path / "moved/few/idec")


def test_overwriting_some_cells_keeps_the_others(tmp_path, data, monkeypatch):
    out, states = tmp_path / "all", {"sae-kmeans": "finished", "idec": "finished"}
    out.mkdir()
    folders = {method: f"few/{method}" for method in states}
    same = {"data": "few", "status": "finished", "shares": None, "reason": None, "arguments": []}
    old = [same | {"method": method, "folder": folders[method]} for method in states]
    (out / SWEEP).write_text(json_lines(old))
    began = []
    monkeypatch.setattr(cells, "watched", lambda arguments: began.append(arguments[0]) or (1, "no"))
    assert main([*command(data, out, "idec", "few"), "--overwrite"]) == 1
    assert began == ["idec"]
    assert {method: row["status"] for (_, method), row in rows(out).items()} == states | {
        "idec": "failed"
    }


def test_a_cell_that_is_killed(tmp_path, data, monkeypatch, capfd):
    cell = SweepCell(data="few", method="kmeans", folder="few/kmeans", arguments=[])
    kill = (
        "import os, sys; print('last words', file=sys.stderr); "
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})"
    )
    script = tmp_path / "killed"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{kill}"\n')
    script.chmod(0o755)
    monkeypatch.setattr(cells.sys, "executable", str(script))
    cell = cells.run_cell(cell, tmp_path / "cell", cells.Start())
    assert (cell.status, cell.reason, cell.log) == ("failed", "killed by SIGKILL", "last words")
    assert "last words" in capfd.readouterr().err


def test_when_time_is_out_the_rest_waits(data, tmp_path, capsys, monkeypatch):
    out = tmp_path / "short"

    def pause(arguments):  # A command that stopped in time: status 0 and no results.
        assert float(arguments[arguments.index("--max-seconds") + 1]) <= 0.2
        time.sleep(0.3)
        return 0, ""

    monkeypatch.setattr(cells, "watched", pause)
    assert main([*command(data, out, "sae-kmeans,idec", "few"), "--max-seconds", "0.2"]) == 0
    assert "out of time; the same command with --resume goes on" in capsys.readouterr().out
    assert [row["status"] for row in rows(out).values()] == ["stopped", "waiting"]


@pytest.mark.slow
def test_overwriting_leaves_no_old_run_beside_cells_that_wait(
    in_this_process, data, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "all"
    assert main(command(data, out, "sae-kmeans,idec", "few", "--max-steps 0")) == 0

    def slow(arguments):
        time.sleep(0.3)
        return 0, ""

    monkeypatch.setattr(cells, "watched", slow)
    other = command(data, out, "sae-kmeans,idec", "few", "--max-steps 0 --restarts 2")
    assert main([*other, "--overwrite", "--max-seconds", "0.2"]) == 0
    assert (
        "the same command with --resume in place of --overwrite goes on" in capsys.readouterr().out
    )
    assert not [path for path in out.rglob("*") if path.is_file() and path.name != SWEEP]
    assert main(["compare", str(out)]) == 2
    assert "idec on few has not begun and is left out" in capsys.readouterr().err
    monkeypatch.setattr(cells, "watched", here)
    assert main([*other, "--resume"]) == 0
    assert [row["status"] for row in rows(out).values()] == ["finished", "finished"]


def test_overwriting_keeps_files_that_no_run_wrote(in_this_process, data, tmp_path, capsys):
    out = tmp_path / "all"
    paths = f"{data / 'few.npz'},{data / 'plain.npz'}"
    flags = "--seeds 2 --over map --no-figures --clusters 3"
    words = f"fit --methods kmeans --data {paths} --out {out} {flags}".split()
    assert main(words) == 0
    (out / "few" / "kmeans" / "notes.txt").write_text("mine")
    # Where one folder is no run's, none is deleted.
    settings = out / "plain" / "kmeans" / "config.json"
    kept = settings.read_text()
    settings.unlink()
    capsys.readouterr()
    assert "plain/kmeans must hold a run, has no config.json" in error(
        capsys, [*words, "--overwrite"]
    )
    assert (out / "few" / "kmeans" / "results.jsonl").exists()
    settings.write_text(kept)
    assert main([*words, "--overwrite"]) == 0
    assert [row["status"] for row in rows(out).values()] == ["finished", "finished"]
    assert (out / "few" / "kmeans" / "notes.txt").read_text() == "mine"


def test_pretraining_is_shared_by_cells_of_the_same_seeds_alone(data, tmp_path, monkeypatch):
    began = []
    monkeypatch.setattr(
        cells, "watched", lambda arguments: began.append(arguments) or fake_run(arguments)
    )
    others = ("--idec.seeds 4,", "--idec.over vmap", "--idec.features dsift-pca", "--idec.size 9")
    for more, shared in (("", True), *((other, False) for other in others)):
        began.clear()
        out = tmp_path / f"all{len(more)}"
        main(command(data, out, "sae-kmeans,idec", "few", more))
        assert ("--pretrained" in began[1]) is shared


@pytest.mark.parametrize(("given", "shared"), [("", True), ("--seeds 4,", False)])
def test_pretraining_is_shared_with_a_cell_that_comes_later(
    given, shared, data, tmp_path, monkeypatch
):
    began = []
    monkeypatch.setattr(
        cells, "watched", lambda arguments: began.append(arguments) or fake_run(arguments)
    )
    out = tmp_path / "all"
    main(command(data, out, "sae-kmeans", "few"))
    main(command(data, out, "idec", "few", f"{given} --resume"))
    assert [words[0] for words in began] == ["sae-kmeans", "idec"]
    assert (str(out / "few" / "sae-kmeans") in began[1]) is shared
    # Not with another file of that name.
    other = tmp_path / "other"
    other.mkdir()
    (other / "few.npz").write_bytes((data / "few.npz").read_bytes())
    main(command(other, out, "dec", "few", f"{given} --resume"))
    assert "--pretrained" not in began[2]


@pytest.mark.parametrize("more", ["--stream", "--ccnn.stream"])
def test_a_stream_shares_no_pretraining(more, data, tmp_path, monkeypatch):
    began = []
    monkeypatch.setattr(
        cells, "watched", lambda arguments: began.append(arguments) or fake_run(arguments)
    )
    folder = tmp_path / "all"
    words = f"fit --methods ccnn,ccnn-ii --data {data / 'few.npz'} --out {folder} {more}".split()
    assert main(words) == 0
    (tmp_path / "all" / "few" / "ccnn-ii" / "results.jsonl").unlink()
    assert main([*words, "--resume"]) == 0
    assert [words[0] for words in began] == ["ccnn", "ccnn-ii", "ccnn-ii"]
    assert not any("--pretrained" in words for words in began)


def test_a_named_set_can_be_streamed(tmp_path, monkeypatch, capsys):
    began = []
    monkeypatch.setattr(
        cells, "watched", lambda arguments: began.append(arguments) or fake_run(arguments)
    )
    arguments = (
        f"fit --methods ccnn --data tfds:mnist/train --out {tmp_path / 'all'} --seeds 2".split()
    )
    assert "data: must be one of digits" in error(capsys, arguments)
    assert main([*arguments, "--stream"]) == 0
    assert began[0][began[0].index("--out") + 1] == str(tmp_path / "all" / "mnist-train" / "ccnn")


def test_a_damaged_list_of_cells_is_refused(data, tmp_path, capsys):
    out = tmp_path / "all"
    out.mkdir()
    (out / SWEEP).write_text(json_lines([{"method": "idec", "data": "few"}]))
    line = error(capsys, [*command(data, out, "idec", "few"), "--resume"])
    lacks = "lacks a sound folder, status, arguments, reason, shares"
    assert f"{out / SWEEP} line 1 must be a cell, {lacks}" in line
    whole = {
        "method": "idec",
        "data": "few",
        "status": "waiting",
        "arguments": [],
        "reason": None,
        "shares": None,
    }
    (out / SWEEP).write_text(json_lines([whole | {"folder": ["x"]}]))
    assert "lacks a sound folder" in error(capsys, [*command(data, out, "idec", "few"), "--resume"])
