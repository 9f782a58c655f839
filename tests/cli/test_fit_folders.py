"""The folder of ``jaxclust fit``: the one that is named, and the one that the command chooses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from commands import command, error
from jaxclust.cli.main import main


def test_a_folder_that_exists_is_left_alone(finished, data, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    line = error(capsys, command(data, finished))
    assert "out: must not exist without --resume or --overwrite" in line
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


def test_another_config_is_refused_with_the_fields(finished, data, capsys):
    line = error(capsys, command(data, finished, "--resume --gamma 0.5 --pretraining.epochs 9"))
    assert "config.gamma (0.1 -> 0.5)" in line
    assert "pretraining.epochs (3 -> 9)" in line


def test_overwrite_deletes_a_runs_files_and_nothing_else(finished, data, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "config.json").write_text((finished / "config.json").read_text())
    users = (
        "notes.txt",
        "labels-corrected.npy",
        "figures/notes.md",
        "figures/cluster-notes.png",
        "tensorboard/x",
    )
    runs = (
        "results.jsonl",
        "labels.npy",
        "figures/curves.png",
        "figures/cluster-12.png",
        "checkpoint/cluster/2/old",
    )
    for name in (*users, *runs):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("keep")
    flags = "--overwrite --no-figures --no-baseline --max-seconds 0.001"
    assert main(command(data, out, flags)) == 0
    assert [(out / name).read_text() for name in users] == ["keep"] * len(users)
    assert not any((out / name).exists() for name in runs)
    assert json.loads((out / "config.json").read_text())["seeds"] == [0, 3]


def test_overwrite_leaves_a_folder_that_is_no_run(data, tmp_path, capsys):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "thesis.pdf").write_text("keep")
    line = error(capsys, command(data, tmp_path, "--overwrite"))
    assert "must hold a run, has no config.json" in line
    assert (tmp_path / "figures" / "thesis.pdf").read_text() == "keep"


def test_pretraining_must_be_another_runs_own(finished, data, tmp_path, capsys):
    line = error(capsys, command(data, finished, f"--overwrite --pretrained {finished}"))
    assert "pretrained: must be another folder than out" in line
    (tmp_path / "config.json").write_text((finished / "config.json").read_text())
    (tmp_path / "results.jsonl").write_text("")
    for _ in range(2):
        line = error(capsys, command(data, tmp_path / "x", f"--pretrained {tmp_path}"))
        assert "pretrained: must be a finished run with a pretraining of its own" in line
        # The second time the folder is there, without anything in it.
        (tmp_path / "checkpoint" / "pretrain").mkdir(parents=True, exist_ok=True)


def test_a_run_among_the_images_is_refused(tmp_path, capsys, monkeypatch):
    for out in (tmp_path, tmp_path / "runs" / "x"):
        line = error(capsys, f"fit dcec --data {tmp_path} --out {out} --clusters 2".split())
        assert f"out: must not be in the images' folder, {tmp_path}, got {out}" in line
    folder = f"--data {tmp_path} --out {tmp_path / 'runs'}"
    for words in (
        f"fit --methods kmeans {folder} --clusters 2",
        f"fit dcec {folder} --clusters auto",
    ):
        assert "out: must not be in the images' folder" in error(capsys, words.split())
    # The folder that the command chooses would be among them, too.
    monkeypatch.chdir(tmp_path)
    line = error(capsys, ["fit", "dcec", "--data", ".", "--clusters", "2"])
    assert "out: must not be in the images' folder, ., got runs" in line
    assert list(tmp_path.iterdir()) == []


def test_what_the_first_step_refuses_leaves_no_folder(data, tmp_path, capsys):
    out = tmp_path / "never"
    line = error(capsys, f"fit dbc --data {data} --out {out} --pretraining.batch 1".split())
    assert "batch: must be at least 2 images for batch normalization, got 1" in line
    assert not out.exists()


def test_a_folder_that_cannot_be_written_to(data, capsys):
    line = error(capsys, command(data, "/proc/jaxclust"))
    assert "out: must be a folder that can be written to, got /proc/" in line


def test_a_settings_file_that_is_damaged(data, tmp_path, capsys):
    (tmp_path / "config.json").write_text("{")
    line = error(capsys, command(data, tmp_path, "--resume"))
    assert "config.json must be a run's settings, is damaged" in line
    (tmp_path / "config.json").write_text("[]")
    line = error(capsys, command(data, tmp_path, "--resume"))
    assert "config.json must be a run's settings, lacks a sound" in line


@pytest.fixture
def chosen(data, tmp_path, monkeypatch):
    """Runs k-means without --out, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def fit(more=""):
        words = f"fit kmeans --data {data} --seeds 1 --restarts 1 --no-figures --over map {more}"
        return main(words.split())

    return fit


def test_without_out_the_command_chooses_a_folder_and_names_it(chosen, capsys):
    assert chosen() == 0
    assert f"files: {Path('runs/kmeans-few')}" in capsys.readouterr().out
    assert Path("runs/kmeans-few/results.jsonl").exists()


def test_without_out_the_same_settings_go_on_with_their_run(chosen, capsys):
    assert chosen() == 0
    results = Path("runs/kmeans-few/results.jsonl")
    before = results.stat().st_mtime_ns
    assert chosen() == 0
    assert "runs/kmeans-few is finished already" in capsys.readouterr().out
    assert results.stat().st_mtime_ns == before
    # One that was killed goes on without --resume, and with it.
    for more in ("", "--resume"):
        results.unlink()
        assert chosen(more) == 0
        assert "finished already" not in capsys.readouterr().out
        assert results.exists()
    # And one that is overwritten keeps its folder.
    old = results.stat().st_mtime_ns
    assert chosen("--overwrite") == 0
    assert results.stat().st_mtime_ns > old
    assert [path.name for path in Path("runs").iterdir()] == ["kmeans-few"]


def test_without_out_other_settings_get_another_folder(chosen, capsys):
    assert chosen() == 0
    assert chosen("--clusters 4") == 0
    assert "files: runs/kmeans-few-2" in capsys.readouterr().out
    assert chosen("--clusters 4") == 0
    assert "runs/kmeans-few-2 is finished already" in capsys.readouterr().out
    assert sorted(path.name for path in Path("runs").iterdir()) == ["kmeans-few", "kmeans-few-2"]


def test_a_folder_with_the_lock_of_a_process_that_was_killed_is_taken(chosen):
    folder = Path("runs/kmeans-few")
    folder.mkdir(parents=True)
    (folder / ".lock").write_text("1\n")
    assert chosen() == 0
    assert [path.name for path in Path("runs").iterdir()] == ["kmeans-few"]


def test_a_renamed_copy_of_the_data_shares_a_pretraining(finished, data, tmp_path, capsys):
    copy = tmp_path / "other-name.npz"
    shutil.copy(data, copy)
    flags = f"--pretrained {finished} --no-figures --no-baseline"
    assert main(command(copy, tmp_path / "shared", flags)) == 0
    shared, own = (np.load(run / "labels.npy") for run in (tmp_path / "shared", finished))
    np.testing.assert_array_equal(shared, own)
    assert not (tmp_path / "shared" / "checkpoint" / "pretrain").exists()
