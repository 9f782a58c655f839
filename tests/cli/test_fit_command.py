"""``jaxclust fit`` as people run it: its files, its table, and how it goes on."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from commands import command, error, results, same
from jaxclust.cli.main import main
from jaxclust.engine import driver, phase
from jaxclust.runs.folder import FILES, FOLDERS
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import SCORES


def test_the_folder_holds_what_it_should(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.json", "labels.npy", *FILES, *FOLDERS} - {
        "tensorboard",
        "unreadable.csv",
        "vote.csv",
    }
    labels = np.load(finished / "labels.npy", allow_pickle=False)
    assert (labels.shape, labels.dtype) == ((2, 300), np.int32)
    lines = (finished / "results.jsonl").read_text().splitlines()
    wanted = (
        "method data seed acc nmi nmi_sqrt nmi_max ari seconds compile_seconds n clusters steps "
        "stopped failed empty_clusters config_hash versions device"
    )
    assert set(wanted.split()) <= json.loads(lines[0]).keys()
    rows = results(finished)
    assert [row.seed for row in rows] == [0, 3]
    expected = [(300, 10, 20, None)] * 2
    assert [(row.n, row.clusters, row.steps, row.failed) for row in rows] == expected
    figures = {path.name for path in (finished / "figures").iterdir()}
    assert figures == {"curves.png", "embedding.png", *(f"cluster-{k}.png" for k in range(10))}


def test_the_consensus_of_the_seeds_is_a_table(finished):
    votes = open_run(finished).consensus()
    head, *lines = (finished / "clusters.csv").read_text().splitlines()
    assert head == "image,cluster,share,probability,distance,seed_0,seed_3"
    columns = np.array([line.split(",") for line in lines], float).T
    np.testing.assert_array_equal(columns[0], np.arange(300))
    np.testing.assert_array_equal(columns[1], votes.labels)
    np.testing.assert_array_equal(columns[2], votes.share)
    assert (columns[3] > 0).all()
    assert (columns[3] <= 1).all()
    assert (columns[4] > 0).all()
    np.testing.assert_array_equal(columns[5:], votes.seed_labels)


def test_scores_are_those_of_the_labels(finished, few_digits):
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    labels = np.load(finished / "labels.npy", allow_pickle=False)
    for row, seed_labels in zip(results(finished), labels, strict=True):
        nmi = normalized_mutual_info_score(few_digits[1], seed_labels)
        assert row.nmi == pytest.approx(nmi)
        assert row.ari == pytest.approx(adjusted_rand_score(few_digits[1], seed_labels))


def test_history_has_every_window(finished):
    lines = [line.split(",") for line in (finished / "history.csv").read_text().splitlines()]
    assert lines[0][:5] == ["seed", "phase", "window", "steps", "loss"]
    assert {"reconstruction", "clustering", "changed", "empty_clusters"} <= set(lines[0])
    counts = {(seed, name): 0 for seed in "03" for name in ("pretrain", "cluster")}
    for seed, name, *_ in lines[1:]:
        counts[seed, name] += 1
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
    words = ["idec", "kmeans", "ACC", "NMI", "ARI", "seconds", "mean", "sd"]
    for word in (*words, "compile s", "seed 0", "seed 3", "95 %"):
        assert word in out
    row = results(finished)[0]
    assert re.search(rf"seed 0 +{row.acc:.4f} +{row.nmi:.4f}", out)
    scores = open_run(finished).consensus().scores(np.load(data)["labels"])
    acc, nmi, ari = (f"{scores[name]:.4f}" for name in ("acc", "nmi", "ari"))
    assert re.search(rf"^consensus +{acc} +{nmi} +{ari} ", out, re.MULTILINE)


@pytest.mark.slow  # A renamed copy of the data shares it in test_fit_folders.py.
def test_pretraining_is_shared_by_the_methods_of_one_network(finished, data, tmp_path):
    out = tmp_path / "shared"
    arguments = command(data, out, f"--pretrained {finished} --no-figures --no-baseline")
    assert main(arguments) == 0
    shared, own = (np.load(run / "labels.npy", allow_pickle=False) for run in (out, finished))
    np.testing.assert_array_equal(shared, own)
    assert not (out / "checkpoint" / "pretrain").exists()


def test_max_seconds_stops_and_resume_goes_on_to_the_same_end(finished, data, tmp_path, capsys):
    out = tmp_path / "paused"
    pauses = 0
    while not (out / "results.jsonl").exists():
        flags = "--no-figures --no-baseline" + (" --resume" if pauses else "")
        # It is stopped after each window of pretraining and one of clustering, then goes on.
        clusters = (out / "checkpoint" / "cluster").is_dir()
        flags += "" if clusters else " --max-seconds 0.001"
        assert main(command(data, out, flags)) == 0
        pauses += 1
        assert pauses < 60  # A slow machine takes more than one start for a window.
    assert pauses >= 3
    assert "--resume" in capsys.readouterr().out
    same(out, finished)


# Runs the command with a checkpoint after each window, and kills it just before its nth rename:
# Orbax writes aside and renames into place, so that this is the middle of a write.
KILLED = """
import os, signal, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jaxclust.cli.main import main
from jaxclust.engine import driver, phase
phase.CHECKPOINT_SECONDS, driver.CHUNK_SECONDS = 0.0, 0.0
rename, left = os.rename, [int(sys.argv[1])]
def killed(*arguments, **options):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(*arguments, **options)
os.rename = killed
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("renames", [18])
def test_killed_in_the_middle_of_a_write_and_resumed(finished, data, tmp_path, renames):
    out = tmp_path / "killed"
    arguments = command(data, out, "--no-figures --no-baseline")
    end = subprocess.run(
        [sys.executable, "-c", KILLED, str(renames), *arguments], capture_output=True, text=True
    )
    assert end.returncode == -signal.SIGKILL, end.stderr
    aside = list((out / "checkpoint").rglob("*orbax-checkpoint-tmp*"))
    assert aside, "the kill was to leave a half-written checkpoint"
    assert main([*arguments, "--resume"]) == 0
    same(out, finished)


@pytest.mark.slow
def test_the_last_two_checkpoints_are_kept(data, tmp_path, monkeypatch):
    out = tmp_path / "kept"
    monkeypatch.setattr(phase, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)
    assert main(command(data, out, "--no-figures --no-baseline")) == 0
    for name, last in (("pretrain", 3), ("cluster", 4)):
        kept = sorted(int(path.name) for path in (out / "checkpoint" / name).iterdir())
        assert kept == [last - 1, last]


# What Orbax leaves behind where an array fails can reach a later test: these have a process of
# their own.
FULL = """
import resource, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jaxclust.cli.main import main
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_full_disk_loses_nothing(finished, data, tmp_path):
    out = tmp_path / "full"
    arguments = command(data, out, "--no-figures --no-baseline")
    end = subprocess.run(
        [sys.executable, "-c", FULL, "1000000", *arguments], capture_output=True, text=True
    )
    assert end.returncode == 2, end.stderr
    assert "must be writable (" in end.stderr.splitlines()[-1]
    assert "Traceback" not in end.stderr
    assert main([*arguments, "--resume"]) == 0
    same(out, finished)


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


def test_unlabeled_images_have_null_scores(few_digits, tmp_path):
    path = tmp_path / "plain.npz"
    out = tmp_path / "run"
    np.savez(path, images=few_digits[0])
    words = f"fit kmeans --data {path} --clusters 4 --seeds 1, --out {out} --no-figures"
    assert main(words.split()) == 0
    (row,) = results(out)
    assert [row.score(name) for name in SCORES] == [None] * 5
    assert (row.seed, row.clusters, row.empty_clusters) == (1, 4, 0)


def test_a_seed_that_fails_is_a_row(data, tmp_path, capsys):
    out = tmp_path / "failed"
    # A step size at which SGD on the summed error overflows at once.
    flags = "--pretraining.learning-rate 1e9 --no-figures --no-baseline"
    assert main(command(data, out, flags)) == 1
    rows = results(out)
    assert [(row.acc, row.failed_phase) for row in rows] == [(None, "pretrain")] * 2
    assert all(row.failed >= 0 for row in rows)
    assert (np.load(out / "labels.npy", allow_pickle=False) == -1).all()
    assert not (out / "clusters.csv").exists()
    printed, err = capsys.readouterr()
    assert "failed with NaN or inf, not in the mean: seed 0" in printed
    step = min(row.failed for row in rows)
    where = f"every seed failed with NaN or inf, the first in pretraining at step {step}"
    advice = "try a smaller --pretraining.learning-rate than 1000000000.0"
    assert err.splitlines()[-1] == f"jaxclust: {where}: {advice}"
    # The run is finished; the same command says the same.
    assert main(command(data, out, f"{flags} --resume")) == 1
    assert capsys.readouterr().err == f"jaxclust: {where}: {advice}\n"


def test_a_method_with_two_labelings_has_a_row_for_each(data, tmp_path, capsys):
    out = tmp_path / "jule"
    flags = "--epochs 1 --batch 64 --clusters 6 --seeds 2, --no-figures --over map"
    assert main(f"fit jule --data {data} --out {out} {flags}".split()) == 0
    assert [row.method for row in results(out)] == ["jule-rc", "jule-sf"]
    rc, sf = (np.load(out / name, allow_pickle=False) for name in ("labels.npy", "labels-sf.npy"))
    assert rc.shape == sf.shape == (1, 300)
    assert set(rc[0]) == set(sf[0]) == set(range(6))
    table = capsys.readouterr().out
    assert re.search("jule-rc +jule-sf +kmeans", table)
    csv = tmp_path / "predicted.csv"
    assert main(f"predict {out} --data {data} --out {csv}".split()) == 0
    predicted = [int(line.split(",")[1]) for line in csv.read_text().splitlines()[1:]]
    assert np.mean(predicted == rc[0]) > 0.5  # The nearest mean need not be an image's own.
    # Writing over it takes both away.
    words = f"fit kmeans --data {data} --out {out} --overwrite --seeds 1 --no-figures"
    assert main(words.split()) == 0
    assert not (out / "labels-sf.npy").exists()


def test_quiet_shows_the_folder_and_warnings_alone(data, tmp_path, capfd):
    out = tmp_path / "quiet"
    words = f"fit kmeans --data {data} --seeds 1 --clusters 2 --out {out} --no-figures --quiet"
    assert main(words.split()) == 0
    printed = capfd.readouterr()
    assert printed.out == f"files: {out}\n"
    assert printed.err == ""
    lines = [row | {"largest_cluster": 0.95} for row in _lines(out)]
    (out / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main([*words.split(), "--resume"]) == 0
    printed = capfd.readouterr()
    assert printed.out.splitlines()[-1] == f"files: {out}"
    assert "ACC" not in printed.out
    note = "jaxclust: note: seed 0 collapsed, one cluster holds 95 % of the images\n"
    assert printed.err == note


def _lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_pretraining_of_another_network_is_refused(finished, data, tmp_path, capsys):
    arguments = command(data, tmp_path / "x", f"--pretrained {finished}")
    arguments[1] = "dcec"
    assert "network ('sae' -> 'cae')" in error(capsys, arguments)
