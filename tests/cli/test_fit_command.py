"""The command as people run it: files, table, resuming, and one line for what cannot be done."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from jaxclust.cli import options
from jaxclust.cli.main import main
from jaxclust.engine import driver, fit
from jaxclust.runs.files import read_rows
from jaxclust.runs.folder import FILES, FOLDERS
from jaxclust.runs.rows import SCORES
from jaxclust.runs.settings import read_settings

# Small enough for a test: a few epochs and windows of the real methods.
SMALL = "--pretraining.epochs 3 --pretraining.batch 64 --batch 64 --update-interval 5 --max-steps 20 --tolerance 0"
FEW = f"{SMALL} --restarts 2 --over shard"


def command(data, out, more=""):
    return f"fit idec --data {data} --out {out} --seeds 0,3 {FEW} {more}".split()


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A finished run of two seeds."""
    out = tmp_path_factory.mktemp("runs") / "idec"
    assert main(command(data, out)) == 0
    return out


def error(capsys, arguments):
    """The one line that a refused command prints."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("jaxclust: ")
    assert out == ""
    return lines[0]


def test_the_folder_holds_what_it_should(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.json", "labels.npy", *FILES, *FOLDERS} - {
        "tensorboard",
        "unreadable.csv",
    }
    labels = np.load(finished / "labels.npy", allow_pickle=False)
    assert (labels.shape, labels.dtype) == ((2, 300), np.int32)
    rows = read_rows(finished / "results.jsonl")
    wanted = "method data seed acc nmi nmi_sqrt nmi_max ari seconds compile_seconds n clusters steps stopped failed"
    wanted += " empty_clusters config_hash versions device"
    assert set(wanted.split()) <= rows[0].keys()
    assert [row["seed"] for row in rows] == [0, 3]
    assert [(row["n"], row["clusters"], row["steps"], row["failed"]) for row in rows] == [
        (300, 10, 20, None)
    ] * 2
    figures = {path.name for path in (finished / "figures").iterdir()}
    assert figures == {"curves.png", "embedding.png", *(f"cluster-{k}.png" for k in range(10))}


def test_scores_are_those_of_the_labels(finished, few_digits):
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    labels = np.load(finished / "labels.npy", allow_pickle=False)
    for row, mine in zip(read_rows(finished / "results.jsonl"), labels, strict=True):
        assert row["nmi"] == pytest.approx(normalized_mutual_info_score(few_digits[1], mine))
        assert row["ari"] == pytest.approx(adjusted_rand_score(few_digits[1], mine))


def test_history_has_every_window(finished):
    lines = [line.split(",") for line in (finished / "history.csv").read_text().splitlines()]
    assert lines[0][:5] == ["seed", "phase", "window", "steps", "loss"]
    assert {"reconstruction", "clustering", "changed", "empty_clusters"} <= set(lines[0])
    counts = {(seed, phase): 0 for seed in "03" for phase in ("pretrain", "cluster")}
    for seed, phase, *_ in lines[1:]:
        counts[seed, phase] += 1
    assert counts == {
        ("0", "pretrain"): 3,
        ("3", "pretrain"): 3,
        ("0", "cluster"): 4,
        ("3", "cluster"): 4,
    }


def test_the_table_stands_beside_k_means(finished, data, capsys):
    assert main(command(data, finished, "--resume")) == 0
    out = capsys.readouterr().out
    assert "finished already" in out
    for word in (
        "idec",
        "kmeans",
        "ACC",
        "NMI",
        "ARI",
        "seconds",
        "compile s",
        "seed 0",
        "seed 3",
        "mean",
        "sd",
        "95 %",
    ):
        assert word in out
    row = read_rows(finished / "results.jsonl")[0]
    assert re.search(rf"seed 0 +{row['acc']:.4f} +{row['nmi']:.4f}", out)


def test_another_config_is_refused_with_the_fields(finished, data, capsys):
    line = error(capsys, command(data, finished, "--resume --gamma 0.5 --pretraining.epochs 9"))
    assert "config.gamma (0.1 -> 0.5)" in line
    assert "pretraining.epochs (3 -> 9)" in line


def test_pretraining_is_shared_by_the_methods_of_one_network(finished, data, tmp_path):
    out = tmp_path / "shared"
    arguments = [*command(data, out, f"--pretrained {finished} --no-figures --no-baseline")]
    assert main(arguments) == 0
    ours, theirs = (np.load(one / "labels.npy", allow_pickle=False) for one in (out, finished))
    np.testing.assert_array_equal(ours, theirs)
    assert not (out / "checkpoint" / "pretrain").exists()


def test_pretraining_of_another_network_is_refused(finished, data, tmp_path, capsys):
    arguments = command(data, tmp_path / "x", f"--pretrained {finished}")
    arguments[1] = "dcec"
    assert "network ('sae' -> 'cae')" in error(capsys, arguments)


def test_max_seconds_stops_and_resume_goes_on_to_the_same_end(finished, data, tmp_path, capsys):
    out = tmp_path / "paused"
    pauses = 0
    while not (out / "results.jsonl").exists():
        flags = "--max-seconds 0.001 --no-figures --no-baseline" + (" --resume" if pauses else "")
        assert main(command(data, out, options)) == 0
        pauses += 1
        assert pauses < 20
    assert pauses >= 3
    assert "--resume" in capsys.readouterr().out
    same(out, finished)


def same(one, other):
    """Two runs ended alike, bit for bit."""
    np.testing.assert_array_equal(
        *(np.load(run / "labels.npy", allow_pickle=False) for run in (one, other))
    )
    assert (one / "history.csv").read_text() == (other / "history.csv").read_text()
    measured = {"seconds", "compile_seconds", "peak_memory_mb"}
    ours, theirs = (
        [
            {name: row[name] for name in row.keys() - measured}
            for row in read_rows(run / "results.jsonl")
        ]
        for run in (one, other)
    )
    assert ours == theirs


# Runs the command with a checkpoint after each window, and kills it just before its nth rename: Orbax writes aside
# and renames into place, so that this is the middle of a write.
KILLED = """
import os, signal, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jaxclust import cli, fit, train
fit.CHECKPOINT_SECONDS, train.CHUNK_SECONDS = 0.0, 0.0
rename, left = os.rename, [int(sys.argv[1])]
def killed(*arguments, **options):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(*arguments, **options)
os.rename = killed
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("renames", [18])
def test_killed_in_the_middle_of_a_write_and_resumed(finished, data, tmp_path, renames):
    out = tmp_path / "killed"
    arguments = command(data, out, "--no-figures --no-baseline")
    end = subprocess.run(
        [sys.executable, "-c", KILLED, str(renames), *arguments], capture_output=True, text=True
    )
    assert end.returncode == -signal.SIGKILL, end.stderr
    aside = [path for path in (out / "checkpoint").rglob("*orbax-checkpoint-tmp*")]
    assert aside, "the kill was to leave a half-written checkpoint"
    assert main([*arguments, "--resume"]) == 0
    same(out, finished)


def test_the_last_two_checkpoints_are_kept(data, tmp_path, monkeypatch):
    out = tmp_path / "kept"
    monkeypatch.setattr(fit, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)
    assert main(command(data, out, "--no-figures --no-baseline")) == 0
    for phase, last in (("pretrain", 3), ("cluster", 4)):
        assert sorted(int(path.name) for path in (out / "checkpoint" / phase).iterdir()) == [
            last - 1,
            last,
        ]


def test_a_folder_that_exists_is_left_alone(finished, data, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert "out: must not exist without --resume or --overwrite" in error(
        capsys, command(data, finished)
    )
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


def test_overwrite_deletes_a_runs_files_and_nothing_else(finished, data, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "config.json").write_text(json.dumps(read_settings(finished)))
    theirs = (
        "notes.txt",
        "labels-corrected.npy",
        "figures/notes.md",
        "figures/cluster-notes.png",
        "tensorboard/x",
    )
    ours = (
        "results.jsonl",
        "labels.npy",
        "figures/curves.png",
        "figures/cluster-12.png",
        "checkpoint/cluster/2/old",
    )
    for name in (*theirs, *ours):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("keep")
    flags = "--overwrite --no-figures --no-baseline --max-seconds 0.001"
    assert main(command(data, out, options)) == 0
    assert [(out / name).read_text() for name in theirs] == ["keep"] * len(theirs)
    assert not any((out / name).exists() for name in ours)
    assert json.loads((out / "config.json").read_text())["seeds"] == [0, 3]


def test_overwrite_leaves_a_folder_that_is_no_run(data, tmp_path, capsys):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "thesis.pdf").write_text("keep")
    assert "must hold a run, has no config.json" in error(
        capsys, command(data, tmp_path, "--overwrite")
    )
    assert (tmp_path / "figures" / "thesis.pdf").read_text() == "keep"


def test_pretraining_must_be_another_runs_own(finished, data, tmp_path, capsys):
    assert "pretrained: must be another folder than out" in error(
        capsys, command(data, finished, f"--overwrite --pretrained {finished}")
    )
    (tmp_path / "config.json").write_text(json.dumps(read_settings(finished)))
    (tmp_path / "results.jsonl").write_text("")
    for _ in range(2):
        line = error(capsys, command(data, tmp_path / "x", f"--pretrained {tmp_path}"))
        assert "pretrained: must be a finished run with a pretraining of its own" in line
        (tmp_path / "checkpoint" / "pretrain").mkdir(
            parents=True, exist_ok=True
        )  # Without anything in it.


def test_k_means_takes_no_steps(data, tmp_path, capsys):
    line = error(capsys, f"fit kmeans --data {data} --out {tmp_path / 'x'} --max-steps 10".split())
    assert "max-steps: must be 0 for kmeans, which only runs k-means, got 10" in line


def test_unlabelled_images_have_null_scores(few_digits, tmp_path):
    path, out = tmp_path / "plain.npz", tmp_path / "run"
    np.savez(path, images=few_digits[0])
    assert (
        main(f"fit kmeans --data {path} --clusters 4 --seeds 1, --out {out} --no-figures".split())
        == 0
    )
    (row,) = read_rows(out / "results.jsonl")
    assert [row[name] for name in SCORES] == [None] * 5
    assert (row["seed"], row["clusters"], row["empty_clusters"]) == (1, 4, 0)


def test_a_seed_that_fails_is_a_row(data, tmp_path, capsys):
    out = tmp_path / "failed"
    # A step size at which SGD on the summed error overflows at once.
    flags = "--pretraining.learning-rate 1e9 --no-figures --no-baseline"
    assert main(command(data, out, options)) == 0
    rows = read_rows(out / "results.jsonl")
    assert [(row["acc"], row["failed_phase"]) for row in rows] == [(None, "pretrain")] * 2
    assert all(row["failed"] >= 0 for row in rows)
    assert (np.load(out / "labels.npy", allow_pickle=False) == -1).all()
    assert "failed with NaN or inf" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5", (0, 1, 2, 3, 4)), ("0,3,7", (0, 3, 7)), ("3,", (3,)), ("1", (0,)), ("2, 9", (2, 9))],
)
def test_seeds(text, seeds):
    assert options.seeds(text) == seeds


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--seeds 0",
            "seeds: must be a count from 1 or a list such as 0,3,7 of distinct numbers from 0, got '0'",
        ),
        ("--seeds 1,1", "got '1,1'"),
        ("--seeds 20240501", "20240501, with a comma is that one seed"),
        ("--seeds=-3", "got '-3'"),
        ("--clusters 1", "clusters: must be at least 2, got 1"),
        ("--clusters 301", "clusters: must be at most the number of images, 300, got 301"),
        ("--gama 1", "Unrecognized options: --gama"),
        ("--gamma high", "Error parsing --gamma: could not convert string to float: 'high'"),
        ("--preset best", "preset: must be one of paper, quick, got 'best'"),
        ("--max-seconds 0", "max-seconds: must be above 0, got 0.0"),
        ("--resume --overwrite", "resume: must not be given together with overwrite"),
        ("--data nope", "data: must be one of digits"),
        ("--pretrained /nowhere", "run: /nowhere must hold a run, has no config.json"),
    ],
)
def test_flags_that_cannot_work_are_refused(data, tmp_path, capsys, flags, message):
    out = tmp_path / "never"
    assert message in error(capsys, command(data, out, options))
    assert not out.exists()


def test_a_run_among_the_images_is_refused(tmp_path, capsys):
    for out in (tmp_path, tmp_path / "runs" / "x"):
        line = error(capsys, f"fit dcec --data {tmp_path} --out {out} --clusters 2".split())
        assert f"out: must not be in the images' folder, {tmp_path}, got {out}" in line
    many = f"fit --methods kmeans --data {tmp_path} --out {tmp_path / 'runs'} --clusters 2".split()
    for line in (
        many,
        f"fit dcec --data {tmp_path} --out {tmp_path / 'runs'} --clusters auto".split(),
    ):
        assert "out: must not be in the images' folder" in error(capsys, line)
    assert list(tmp_path.iterdir()) == []


def test_what_the_first_step_refuses_leaves_no_folder(data, tmp_path, capsys):
    out = tmp_path / "never"
    line = error(capsys, f"fit dbc --data {data} --out {out} --pretraining.batch 1".split())
    assert "batch: must be at least 2 images for batch normalisation, got 1" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 8), np.uint8), "images: must be of rank 3"),
        (np.zeros((0, 8, 8), np.uint8), "images: must not be empty"),
        (np.zeros((1, 8, 8), np.uint8), "images: must be at least 2, got 1"),
        (np.full((5, 8, 8), np.nan), "images: must be finite"),
        (np.full((5, 8, 8), np.inf), "images: must be finite"),
        (
            np.zeros((5, 8, 8), np.uint8),
            "clusters: must be at most the number of distinct images, 1, got 2",
        ),
    ],
)
def test_images_that_cannot_be_clustered_are_refused(images, message, tmp_path, capsys):
    path, out = tmp_path / "bad.npz", tmp_path / "never"
    np.savez(path, images=images)
    assert message in error(capsys, f"fit dcec --data {path} --out {out} --clusters 2".split())
    assert not out.exists()


def test_other_words_are_refused(capsys):
    message = (
        "command: must be fit, methods, datasets, predict, weights, compare or report, got 'train'"
    )
    assert message in error(capsys, ["train"])
    assert "method: must be one of kmeans" in error(capsys, ["fit", "foo"])
    assert "--out" in error(capsys, ["fit", "dcec", "--data", "digits"])


def test_a_folder_that_cannot_be_written_to(data, capsys):
    assert "out: must be a folder that can be written to, got /proc/" in error(
        capsys, command(data, "/proc/jaxclust")
    )


# What Orbax leaves behind where an array fails can reach a later test: these have a process of their own.
FULL = """
import resource, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jaxclust import cli
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(cli.main(sys.argv[2:]))
"""


def test_a_full_disk_loses_nothing(finished, data, tmp_path):
    out, arguments = (
        tmp_path / "full",
        command(data, tmp_path / "full", "--no-figures --no-baseline"),
    )
    end = subprocess.run(
        [sys.executable, "-c", FULL, "1000000", *arguments], capture_output=True, text=True
    )
    assert end.returncode == 2, end.stderr
    assert "must be writable, got ValueError: " in end.stderr.splitlines()[-1]
    assert "Traceback" not in end.stderr
    assert main([*arguments, "--resume"]) == 0
    same(out, finished)


def test_a_settings_file_that_is_damaged(data, tmp_path, capsys):
    (tmp_path / "config.json").write_text("{")
    assert "config.json must be a run's settings, is damaged" in error(
        capsys, command(data, tmp_path, "--resume")
    )
    (tmp_path / "config.json").write_text("[]")
    assert "config.json must be a run's settings, got something" in error(
        capsys, command(data, tmp_path, "--resume")
    )


def test_a_checkpoint_that_is_damaged(finished, data, tmp_path):
    out = tmp_path / "damaged"
    shutil.copytree(finished, out)
    (out / "results.jsonl").unlink()
    for path in (out / "checkpoint" / "cluster").rglob("*"):
        if path.is_file() and path.parent.name == "d":
            path.write_bytes(b"")
    arguments = command(data, out, "--resume --no-figures")
    end = subprocess.run(
        [sys.executable, "-c", FULL, "-1", *arguments], capture_output=True, text=True
    )
    assert end.returncode == 2, end.stderr
    assert re.search("checkpoint: .* cannot be read", end.stderr.splitlines()[-1])
    assert "Traceback" not in end.stderr


def test_a_method_with_two_labelings_has_a_row_for_each(data, tmp_path, capsys):
    out = tmp_path / "jule"
    flags = "--epochs 1 --batch 64 --clusters 6 --seeds 2, --no-figures --over map"
    assert main(f"fit jule --data {data} --out {out} {options}".split()) == 0
    assert [row["method"] for row in read_rows(out / "results.jsonl")] == ["jule-rc", "jule-sf"]
    rc, sf = (np.load(out / name, allow_pickle=False) for name in ("labels.npy", "labels-sf.npy"))
    assert rc.shape == sf.shape == (1, 300)
    assert set(rc[0]) == set(sf[0]) == set(range(6))
    table = capsys.readouterr().out
    assert re.search("jule-rc +jule-sf +kmeans", table)
    assert main(f"predict {out} --data {data} --out {tmp_path / 'predicted.csv'}".split()) == 0
    predicted = [
        int(line.split(",")[1])
        for line in (tmp_path / "predicted.csv").read_text().splitlines()[1:]
    ]
    assert np.mean(predicted == rc[0]) > 0.5  # The nearest mean need not be an image's own.
    # Writing over it takes both away.
    assert (
        main(f"fit kmeans --data {data} --out {out} --overwrite --seeds 1 --no-figures".split())
        == 0
    )
    assert not (out / "labels-sf.npy").exists()
