"""Whole runs on images that are read block by block: resumed, killed, damaged, refused."""

import csv
import re
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from jaxclust.cli.main import main
from jaxclust.data import picture_sets, sources
from jaxclust.engine import blocks, driver, phase, stopping
from jaxclust.evaluation import metrics
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import read_rows

FLAGS = "--clusters 4 --batch 12 --reliable 4 --sample 30 --epochs 3 --pretraining.epochs 0 "
FLAGS += "--seeds 2 --over map --filters 3 4 --adaptation 5"  # Quick to compile.


@pytest.fixture(scope="module")
def file(tmp_path_factory, few_digits):
    """200 images in an .npy file."""
    path = tmp_path_factory.mktemp("stream") / "images.npy"
    np.save(path, few_digits[0][:200, ..., 0])
    return path


@pytest.fixture
def folder(tmp_path, few_digits):
    """40 images in four classes, one of them damaged, and the name of that one."""
    images, labels = few_digits
    chosen = np.concatenate([np.flatnonzero(labels == label)[:10] for label in range(4)])
    for index in chosen:
        place = tmp_path / "set" / f"class-{labels[index]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index, ..., 0]).save(place / f"{index:03}.png")
    damaged = sorted((tmp_path / "set" / "class-2").iterdir())[4]
    damaged.write_bytes(damaged.read_bytes()[:60])
    damaged = damaged.rename(damaged.with_stem(f"{damaged.stem}, a"))
    return tmp_path / "set", damaged.relative_to(tmp_path / "set").as_posix()


def test_a_link_to_nothing_is_an_unreadable_image(folder):
    place, damaged = folder
    (place / "class-0" / "zz.png").symlink_to(place / "nowhere.png")
    source = sources.open_source(str(place))
    assert len(source) == 41
    ((_, lost),) = source.in_order(41)
    assert sorted(source.called(index) for index in lost) == sorted(["class-0/zz.png", damaged])


@pytest.mark.slow
def test_seeds_of_a_stream_have_settings_that_know_their_order(file, tmp_path):
    """The blocks come in the first seed's order for all seeds.

    Seed 1 after seed 0 is another run than seed 1 alone.
    """
    hashes = []
    for seeds in ("0,1", "1,", "0,"):
        out = tmp_path / f"out-{len(hashes)}"
        command = f"fit ccnn-ii --data {file} --stream --out {out} {FLAGS} --reliable 12"
        assert main(f"{command} --seeds {seeds}".split()) == 0
        hashes.append(read_rows(out / "results.jsonl")[0].config_hash)
    assert hashes[0] == hashes[2] != hashes[1]


def test_an_unreadable_image_is_skipped_counted_and_named(folder, tmp_path, capsys, monkeypatch):
    place, damaged = folder
    out = tmp_path / "out"
    arguments = f"fit ccnn-ii --data {place} --stream --out {out} {FLAGS} --reliable 12".split()
    monkeypatch.setattr(picture_sets, "_odd_sizes", lambda *_: ("A note.",))
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert f"1 of 40 images could not be read and were skipped: {damaged} (" in captured.err
    with (out / "unreadable.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["name"] == damaged
    assert line["reason"] in captured.err
    rows = read_rows(out / "results.jsonl")
    assert [(row.n, row.unreadable, row.failed) for row in rows] == [(39, 1, None)] * 2
    labels = np.load(out / "labels.npy", allow_pickle=False)
    assert labels.shape == (2, 40)
    assert (labels == -1).sum() == 2
    names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.png"))
    assert (labels[:, names.index(damaged)] == -1).all()
    classes = np.array([int(name[len("class-")]) for name in names])
    known = np.array([name != damaged for name in names])
    for row, clusters in zip(rows, labels, strict=True):
        assert row.nmi == metrics.scores(classes[known], clusters[known])["nmi"]
    # In Python the same run, whose scores and votes leave the unreadable image out.
    run = open_run(out)
    assert "A note." in run.notes
    assert run.scores(classes).nmi.tolist() == [row.nmi for row in rows]
    votes = run.consensus()
    assert np.flatnonzero(votes.labels < 0).tolist() == [names.index(damaged)]
    acc = f"{metrics.scores(classes[known], votes.labels[known])['acc']:.4f}"
    assert re.search(rf"^consensus +{acc} ", captured.out, re.MULTILINE)
    with (out / "clusters.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == names
    assert [line["cluster"] for line in lines] == [
        str(cluster) if cluster >= 0 else "" for cluster in votes.labels
    ]
    assert list(lines[names.index(damaged)].values()) == [damaged, "", "", "", ""]


# Runs the command with a checkpoint after each window, slowly enough to be killed between two.
COMMAND = """
import sys, time
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jaxclust.cli.main import main
from jaxclust.engine import blocks, driver, phase
phase.CHECKPOINT_SECONDS, blocks.BLOCK_BYTES = 0.0, 36 * 64
chunk = driver.chunk
def slow(*arguments):
    time.sleep(0.2)
    print("a block", file=sys.stderr, flush=True)
    return chunk(*arguments)
driver.chunk = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def trained(monkeypatch):
    """The same command in this process, as a function that returns how many blocks it ran."""
    monkeypatch.setattr(phase, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 36 * 64)
    chunk = mock.Mock(side_effect=driver.chunk)
    monkeypatch.setattr(driver, "chunk", chunk)

    def run(arguments):
        chunk.reset_mock()
        assert main(arguments) == 0
        return chunk.call_count

    return run


def test_killed_within_an_epoch_and_resumed_it_ends_with_the_same_centroids(
    file, tmp_path, trained
):
    """An epoch is 5.6 blocks here, and the whole run of two epochs 12.

    The kill comes about five blocks after the first checkpoint.
    """
    whole = tmp_path / "whole"
    killed = tmp_path / "killed"

    def words(out):
        flags = f"--stream --out {out} {FLAGS} --epochs 2 --select balanced --resume"
        return f"fit ccnn --data {file} {flags}".split()

    assert trained(words(whole)) == 12
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words(killed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    kept = killed / "checkpoint" / "cluster"
    while process.poll() is None and not (
        kept.is_dir() and any(path.name.isdigit() for path in kept.iterdir())
    ):
        time.sleep(0.05)
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    before = process.communicate()[1].count("a block")
    assert not (killed / "results.jsonl").exists()
    assert 1 <= before < 12
    # The block that the kill met, and at most the one before it, are trained on again.
    assert 12 - before <= trained(words(killed)) <= 12 - before + 2
    for name in ("labels.npy", "history.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    np.testing.assert_array_equal(centroids(killed), centroids(whole))


def centroids(out):
    return np.asarray(open_run(out).states([0, 1]).centroids)


def finish(flags, out):
    """Runs a command that stops after each of five windows, and then to the run's end."""
    command = [*flags, "--out", str(out)]
    for start in range(30):
        if (out / "results.jsonl").exists():
            break
        limit = ["--max-seconds", "1e-3"] if start < 5 else []
        assert main([*command, *limit, *(["--resume"] if out.exists() else [])]) == 0
    assert start >= 5


def test_stopped_in_time_it_goes_on(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 60 * 64)
    flags = f"fit ccnn-ii --data {file} --stream {FLAGS} --reliable 12".split()
    once = tmp_path / "once"
    parts = tmp_path / "parts"
    assert main([*flags, "--out", str(once)]) == 0
    assert main([*flags, "--out", str(parts), "--max-seconds", "1e-3"]) == 0
    assert "go on with --resume" in capsys.readouterr().out
    finish(flags, parts)
    assert (parts / "labels.npy").read_bytes() == (once / "labels.npy").read_bytes()
    assert (parts / "history.csv").read_text() == (once / "history.csv").read_text()
    assert main(["predict", str(once), "--data", str(file), "--out", str(tmp_path / "p.csv")]) == 0
    lines = (tmp_path / "p.csv").read_text().splitlines()[1:]
    predicted = [int(line.split(",")[1]) for line in lines]
    np.testing.assert_array_equal(predicted, open_run(once).consensus().labels)


@pytest.mark.parametrize("by", ["signal", "time"])
def test_stopped_while_images_are_labeled_it_goes_on(by, file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 60 * 64)
    out = tmp_path / "out"
    words = f"fit ccnn-ii --data {file} --stream --out {out} {FLAGS} --reliable 12".split()
    labeled = []
    apply = driver.apply

    def stop(*arguments):
        labeled.append(None)
        if by == "signal":
            stopping.ask(signal.SIGINT)
        else:
            monkeypatch.setattr(stopping, "time_is_up", lambda: True)
        return apply(*arguments)

    monkeypatch.setattr(driver, "apply", stop)
    assert main([*words, "--max-seconds", "600"]) == (130 if by == "signal" else 0)
    assert len(labeled) == 1
    why = "by Ctrl-C" if by == "signal" else "after 600 s"
    assert f"stopped {why} with a checkpoint in {out}" in capsys.readouterr().out
    assert not (out / "labels.npy").exists()
    assert not list(out.glob(".*.part"))
    monkeypatch.undo()
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 60 * 64)
    assert main([*words, "--resume"]) == 0
    assert np.load(out / "labels.npy").min() >= 0


@pytest.mark.slow
def test_pretraining_is_streamed_too_stopped_and_over_devices(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 60 * 64)
    flags = f"fit ccnn --data {file} --stream {FLAGS} --epochs 1 --pretraining.epochs 2 "
    flags += "--pretraining.batch 30"
    once, parts, spread = (tmp_path / name for name in ("once", "parts", "spread"))
    assert main([*flags.split(), "--out", str(once)]) == 0
    finish(flags.split(), parts)
    assert "go on with --resume" in capsys.readouterr().out
    assert (parts / "labels.npy").read_bytes() == (once / "labels.npy").read_bytes()
    with (once / "history.csv").open() as opened:
        phases = [line["phase"] for line in csv.DictReader(opened) if line["seed"] == "0"]
    # Two passes over 200 images in blocks of 36, and one.
    assert (phases.count("pretrain"), phases.count("cluster")) == (12, 6)
    assert main(["predict", str(once), "--data", str(file), "--out", str(tmp_path / "p.csv")]) == 0
    assert main([*flags.split(), "--out", str(spread), "--over", "data"]) == 0
    np.testing.assert_allclose(centroids(spread), centroids(once), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "ccnn --data digits",
            "an .npy file, a folder, archive or table of pictures, or tfds:NAME to be streamed",
        ),
        ("dcec --data {file}", "stream: must be with one of ccnn, "),
        ("ccnn --data {file}", "clusters: must be given, since images has no labels"),
        (
            "ccnn --data {file} --clusters 201 --sample 300",
            "clusters: must be at most the number of images, 200",
        ),
        ("ccnn-iii --data {file} --clusters 3", "start: must be seeds or sample to be streamed"),
        ("ccnn --data {file} --clusters 3 --size 9", r"size: must be \(8, 8\) as in"),
        ("ccnn --data {file}x.npy --clusters 3", "must be a file, and is not there"),
        ("ccnn --data {file} --clusters 3 --figures", "figures: must not be asked for with stream"),
        (
            "ccnn --data {file} --clusters 3 --baseline",
            "baseline: must not be asked for with stream",
        ),
        (
            "ccnn --data {file} --clusters 3 --tolerance 0.1",
            "tolerance: must be 0 to be streamed, .* got 0.1",
        ),
    ],
)
def test_what_cannot_be_streamed_is_refused(flags, message, file, tmp_path, capsys):
    arguments = flags.format(file=file).split()
    assert main(["fit", *arguments, "--stream", "--out", str(tmp_path / "out")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((12, 8, 8), np.uint8), "distinct images in the first block, 1, got 4"),
        (
            np.repeat([[[0.1]], [[0.9]], [[np.nan]]], 4, axis=0).repeat(8, 1).repeat(8, 2),
            "the first block, 2, got 4",
        ),
        (np.zeros((3, 8, 8), np.uint8), "the number of images, 3, got 4"),
        (np.full((12, 8, 8), np.nan), "data: must have a readable image, x has none"),
    ],
)
def test_streams_of_too_few_images_are_refused_before_there_is_a_folder(
    tmp_path, capsys, images, message
):
    data = tmp_path / "x.npy"
    out = tmp_path / "out"
    np.save(data, images)
    command = f"fit ccnn-ii --data {data} --stream --out {out} {FLAGS} --reliable 12"
    assert main(command.split()) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
