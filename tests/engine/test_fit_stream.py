"""Images read block by block: from files, a folder and tensorflow-datasets; resumed, killed, damaged."""

import csv
import os
import re
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxclust.cli.main import main
from jaxclust.data import sources
from jaxclust.engine import driver, fit_stream
from jaxclust.evaluation import metrics
from jaxclust.methods import ccnn
from jaxclust.methods.registry import METHODS
from jaxclust.runs.files import read_rows
from jaxclust.runs.settings import read_settings

FLAGS = "--clusters 4 --batch 12 --reliable 4 --sample 30 --epochs 3 --pretraining.epochs 0 --seeds 2 --over map"
FLAGS += " --filters 3 4 --adaptation 5"  # Quick to compile.


@pytest.fixture
def file(tmp_path, few_digits):
    np.save(tmp_path / "images.npy", few_digits[0][:200, ..., 0])
    return tmp_path / "images.npy"


def taken(reader, count):
    return [next(reader) for _ in range(count)]


def test_every_epoch_has_every_image_once_in_a_new_order(file, few_digits):
    source = sources.open_source(str(file))
    assert source.shape == (200, 8, 8, 1)
    assert source.dtype == np.uint8
    blocks = taken(source.blocks(50, seed=3), 8)
    assert blocks[0].shape == (50, 8, 8, 1)
    expected = sorted(image.tobytes() for image in few_digits[0][:200])
    epochs = [[image.tobytes() for block in blocks[i : i + 4] for image in block] for i in (0, 4)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == expected
    assert epochs[0] != epochs[1] != expected


def test_blocks_depend_on_the_seed_alone_and_begin_anywhere(file):
    source = sources.open_source(str(file))
    blocks = taken(source.blocks(30, seed=3), 9)  # past the first epoch's end
    np.testing.assert_array_equal(
        blocks, taken(sources.open_source(str(file)).blocks(30, seed=3), 9)
    )
    np.testing.assert_array_equal(blocks[5:], taken(source.blocks(30, seed=3, first=5), 4))
    assert (blocks[0] != next(source.blocks(30, seed=4))).any()


@pytest.fixture
def folder(tmp_path, few_digits):
    """40 images in four classes, one of them damaged."""
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


def test_seeds_of_a_stream_have_settings_that_know_their_order(file, tmp_path):
    """The blocks come in the first seed's order, for all: seed 1 after 0 is another run than seed 1 alone."""
    hashes = []
    for seeds in ("0,1", "1,", "0,"):
        out = tmp_path / f"out-{len(hashes)}"
        assert (
            main(
                f"fit ccnn-ii --data {file} --stream --out {out} {FLAGS} --reliable 12 --seeds {seeds}".split()
            )
            == 0
        )
        hashes.append(read_rows(out / "results.jsonl")[0]["config_hash"])
    assert hashes[0] == hashes[2] != hashes[1]


def test_an_unreadable_image_is_skipped_counted_and_named(folder, tmp_path, capsys):
    place, damaged = folder
    out = tmp_path / "out"
    arguments = f"fit ccnn-ii --data {place} --stream --out {out} {FLAGS} --reliable 12".split()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert f"1 of 40 images could not be read and were skipped: {damaged} (" in captured.err
    with (out / "unreadable.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["name"] == damaged
    assert line["reason"] in captured.err
    rows = read_rows(out / "results.jsonl")
    assert [(row["n"], row["unreadable"], row["failed"]) for row in rows] == [(39, 1, None)] * 2
    labels = np.load(out / "labels.npy", allow_pickle=False)
    assert labels.shape == (2, 40)
    assert (labels == -1).sum() == 2
    names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.png"))
    assert (labels[:, names.index(damaged)] == -1).all()
    classes = np.array([int(name[len("class-")]) for name in names if name != damaged])
    for row, found in zip(rows, labels, strict=True):
        assert row["nmi"] == metrics.scores(classes, found[found >= 0])["nmi"]


def test_a_stream_of_one_block_trains_as_the_driver_does(file):
    """The same steps on the same images: an epoch at a time is what the driver does with them in memory."""
    method = METHODS["ccnn-ii"]
    config = ccnn.Config(
        clusters=4, batch=20, reliable=20, epochs=2, trainable="nothing", sample=200
    )
    source = sources.open_source(str(file))
    done, lost = fit_stream.fitted(
        method,
        config,
        None,
        source,
        (0,),
        file.parent / "labels.npy",
        file.parent / "c",
        over="map",
    )
    assert lost == {}
    assert fit_stream.block_size(config, method, source) == 200
    network = method.network((8, 8, 1), 4)
    keys = jax.vmap(jax.random.split)(jnp.stack([jax.random.key(0)]))[:, 1]
    order = fit_stream.order_of(0, 0)
    first, blocks = jnp.asarray(next(source.blocks(200, order))), source.blocks(200, order)
    expected = driver.train(ccnn, config, network, keys, first, over="map", blocks=blocks)
    state = done.phases["cluster"].runs.state
    np.testing.assert_array_equal(state.centroids, expected.runs.state.centroids)
    images = jnp.asarray(np.load(file)[..., None])
    predicted = driver.apply(ccnn, config, network, "map", state, images, "predict").cluster
    np.testing.assert_array_equal(done.labels, predicted)


COMMAND = """
import sys, time
from jaxclust import cli, fit, streaming, train
fit.CHECKPOINT_SECONDS, streaming.BLOCK_BYTES = 0.0, 36 * 64
slow = train.chunk
def chunk(*arguments):
    time.sleep(0.2)
    print("a block", file=sys.stderr, flush=True)
    return slow(*arguments)
train.chunk = chunk
sys.exit(cli.main(sys.argv[1:]))
"""


def begin(file, out, cache):
    arguments = (
        f"fit ccnn --data {file} --stream --out {out} {FLAGS} --select balanced --resume".split()
    )
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_within_an_epoch_and_resumed_it_ends_with_the_same_centroids(file, tmp_path):
    """An epoch is 5.6 blocks here; the kill comes about five blocks after the first checkpoint, of the run's 17."""
    whole, killed, cache = tmp_path / "whole", tmp_path / "killed", tmp_path / "cache"
    process = begin(file, whole, cache)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors.count("a block") == 17
    process = begin(file, killed, cache)
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
    assert 1 <= before < 17
    process = begin(file, killed, cache)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    # The block that the kill met, and at most the one before it, are trained on again, and no other.
    assert 17 - before <= errors.count("a block") <= 17 - before + 2
    for name in ("labels.npy", "history.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    ends = [centroids(folder) for folder in (whole, killed)]
    np.testing.assert_array_equal(*ends)


def centroids(out):
    from jaxclust.runs.predict import configuration

    settings = read_settings(out)
    method, config, pretraining = configuration(settings, out)
    from jaxclust.engine import fit

    shape, seeds = tuple(settings["data"]["shape"]), tuple(settings["seeds"])
    runs = fit.restored(method, config, pretraining, shape, seeds, out / "checkpoint")
    return np.asarray(runs.state.centroids)


def test_stopped_in_time_it_goes_on(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fit_stream, "BLOCK_BYTES", 60 * 64)
    flags = f"fit ccnn-ii --data {file} --stream {FLAGS} --reliable 12".split()
    once, parts = tmp_path / "once", tmp_path / "parts"
    assert main([*flags, "--out", str(once)]) == 0
    assert main([*flags, "--out", str(parts), "--max-seconds", "1e-3"]) == 0
    assert "go on with --resume" in capsys.readouterr().out
    for _ in range(30):
        if (parts / "results.jsonl").exists():
            break
        assert main([*flags, "--out", str(parts), "--resume", "--max-seconds", "1e-3"]) == 0
    assert (parts / "labels.npy").read_bytes() == (once / "labels.npy").read_bytes()
    assert (parts / "history.csv").read_text() == (once / "history.csv").read_text()
    assert main(["predict", str(once), "--data", str(file), "--out", str(tmp_path / "p.csv")]) == 0
    predicted = [
        int(line.split(",")[1]) for line in (tmp_path / "p.csv").read_text().splitlines()[1:]
    ]
    np.testing.assert_array_equal(predicted, np.load(once / "labels.npy", allow_pickle=False)[0])


def test_pretraining_is_streamed_too_stopped_and_over_devices(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fit_stream, "BLOCK_BYTES", 60 * 64)
    flags = f"fit ccnn --data {file} --stream {FLAGS} --epochs 1 --pretraining.epochs 2 --pretraining.batch 30"
    once, parts, spread = (tmp_path / name for name in ("once", "parts", "spread"))
    assert main([*flags.split(), "--out", str(once)]) == 0
    for _ in range(30):
        if (parts / "results.jsonl").exists():
            break
        resume = ["--resume"] if parts.exists() else []
        assert main([*flags.split(), "--out", str(parts), "--max-seconds", "1e-3", *resume]) == 0
    assert "go on with --resume" in capsys.readouterr().out
    assert (parts / "labels.npy").read_bytes() == (once / "labels.npy").read_bytes()
    with (once / "history.csv").open() as opened:
        phases = [line["phase"] for line in csv.DictReader(opened) if line["seed"] == "0"]
    # Two passes over 200 images in blocks of 36, and one.
    assert (phases.count("pretrain"), phases.count("cluster")) == (12, 6)
    assert main(["predict", str(once), "--data", str(file), "--out", str(tmp_path / "p.csv")]) == 0
    assert main([*flags.split(), "--out", str(spread), "--over", "data"]) == 0
    np.testing.assert_allclose(centroids(spread), centroids(once), rtol=1e-3, atol=1e-4)


def test_a_block_holds_the_images_that_the_first_centroids_are_chosen_from(monkeypatch):
    class Large:
        shape, dtype = (5000, 224, 224, 3), np.dtype(np.uint8)

        def __len__(self):
            return 5000

    config = ccnn.Config(clusters=365)
    assert fit_stream.block_size(config, METHODS["ccnn"], Large()) == 1000
    assert (
        fit_stream.block_size(ccnn.Config(clusters=365, sample=1001), METHODS["ccnn"], Large())
        == 1250
    )
    assert (
        fit_stream.block_size(ccnn.Config(clusters=10, sample=9000), METHODS["ccnn"], Large())
        == 5000
    )


def test_phases_and_seeds_have_orders_of_their_own():
    orders = [fit_stream.order_of(seed, phase) for seed in range(50) for phase in range(2)]
    apart = np.diff(np.sort(orders))
    assert apart.min() > 100  # Epochs, by which Grain counts on.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "ccnn --data digits",
            "data: must be an .npy file, a folder of images or tfds:NAME to be streamed",
        ),
        ("dcec --data {file}", "stream: must be with one of ccnn, "),
        ("ccnn --data {file}", "clusters: must be given, since images has no labels"),
        (
            "ccnn --data {file} --clusters 201 --sample 300",
            "clusters: must be at most the number of images, 200",
        ),
        ("ccnn-iii --data {file} --clusters 3", "start: must be seeds to be streamed"),
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
    np.save(tmp_path / "x.npy", images)
    command = f"fit ccnn-ii --data {tmp_path / 'x.npy'} --stream --out {tmp_path / 'out'} {FLAGS} --reliable 12"
    assert main(command.split()) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
