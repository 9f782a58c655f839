"""Data of real use, through the command: folders, and images with hardly anything to cluster."""

import csv
import functools
import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxclust.cli import options
from jaxclust.cli.main import main
from jaxclust.data import datasets
from jaxclust.methods.registry import METHODS
from jaxclust.runs.rows import read_rows

N = 64
UNPADDED = (
    "ccnn-alexnet",
    "ccnn-alexnet-plain",
    "ccnn-lite0",
    "ccnn-resnet18",
    "ccnn-squeezenet",
    "dctl",
    "jule",
)
"""Methods whose networks refuse images that are too small."""
PRETRAINING = "--pretraining.epochs 2 --pretraining.batch 64"
SMALL = {
    "kmeans": "",
    "dcec": f"{PRETRAINING} --batch 64 --update-interval 2 --max-steps 6 --tolerance 0",
    "dbc": f"{PRETRAINING} --batch 64 --max-epochs 3",
    "dctl": "--kernel 3 --rounds 4",
}
FLAGS = "--seeds 1 --no-figures --no-baseline --restarts 2"


def run(method, data, out, more=""):
    """The words of a command that fits a method."""
    return f"fit {method} --data {data} --out {out} {FLAGS} {SMALL[method]} {more}".split()


def refused(capsys, arguments):
    """The one line that a refused command prints."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1), err
    return err


def near_black():
    """Images of values from 0 to 3."""
    return np.random.default_rng(0).integers(0, 4, (N, 8, 8), dtype=np.uint8)


def flat():
    """Each image has one gray value, and no two have the same."""
    return np.broadcast_to(np.arange(N, dtype=np.uint8)[:, None, None] * 4, (N, 8, 8))


def equal_but_one():
    """All images are equal but one, which differs by 1 in one pixel."""
    images = np.full((N, 8, 8), 100, np.uint8)
    images[7, 3, 3] = 101
    return images


def outlier():
    """One white image among near-black ones."""
    images = near_black()
    images[5] = 255
    return images


HARD = {"flat": flat, "equal_but_one": equal_but_one, "outlier": outlier}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("method", SMALL)
def test_hard_images_end_with_labels_and_health(name, method, tmp_path, capsys):
    np.save(tmp_path / "x.npy", HARD[name]())
    assert main(run(method, tmp_path / "x.npy", tmp_path / "run", "--clusters 2")) == 0
    err = capsys.readouterr().err
    labels = np.load(tmp_path / "run" / "labels.npy", allow_pickle=False)
    assert labels.shape == (1, N)
    assert set(np.unique(labels)) <= {0, 1}
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    for row, of_seed in zip(rows, labels, strict=True):
        sizes = np.bincount(of_seed, minlength=2)
        assert row.failed is None
        assert row.empty_clusters == (sizes == 0).sum()
        assert row.largest_cluster == round(sizes.max() / N, 4)
        warned = f"seed {row.seed} collapsed, one cluster holds " in err
        assert warned == (sizes.max() / N > 0.9)
    assert main(run(method, tmp_path / "x.npy", tmp_path / "run", "--clusters 2 --resume")) == 0
    warnings = [line for line in err.splitlines() if "collapsed" in line]
    again = capsys.readouterr().err.splitlines()
    assert [line for line in again if "collapsed" in line] == warnings
    with (tmp_path / "run" / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert all(np.isfinite(float(row["loss"])) for row in history if row["loss"])
    if name == "equal_but_one":
        assert all(row.largest_cluster > 0.9 for row in rows)
    if (name, method) == ("outlier", "kmeans"):
        assert all(sorted(np.bincount(of_seed)) == [1, N - 1] for of_seed in labels)


def test_a_stream_that_collapses_says_so(tmp_path, capsys):
    np.save(tmp_path / "x.npy", equal_but_one())
    flags = "--stream --clusters 2 --seeds 1 --preset random --epochs 1"
    words = f"fit ccnn-ii --data {tmp_path / 'x.npy'} --out {tmp_path / 'run'} {flags}"
    assert main(words.split()) == 0
    (row,) = read_rows(tmp_path / "run" / "results.jsonl")
    assert row.largest_cluster > 0.9
    assert "jaxclust: note: seed 0 collapsed, one cluster holds " in capsys.readouterr().err


def test_equal_images_are_refused(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.full((N, 8, 8), 7, np.uint8))
    line = refused(capsys, run("dcec", tmp_path / "x.npy", tmp_path / "run", "--clusters 2"))
    assert "clusters: must be at most the number of distinct images, 1, got 2" in line
    assert not (tmp_path / "run").exists()


@functools.cache
def of_one_pixel(network):
    """The features of three images of one pixel each, and their reconstruction or None."""
    images = datasets.checked("x", flat()[:3, :1, :1]).images

    @jax.jit
    def encoded(images):
        variables = network.init(jax.random.key(0))
        features, _ = network.encode(variables, images, False)
        if network.reconstruct is None:
            return features, None
        return features, network.reconstruct(variables, images, False)[0]

    return jax.device_get(encoded(images))


@pytest.mark.parametrize("method", [name for name in METHODS if name not in UNPADDED])
def test_no_image_is_too_small_for_a_network_that_pads(method):
    """One pixel is encoded and reconstructed."""
    network = METHODS[method].build((1, 1, 1))
    features, reconstruction = of_one_pixel(network)
    assert np.isfinite(features).all()
    if network.reconstruct is not None:
        assert reconstruction.shape == (3, 1, 1, 1)
        assert np.isfinite(reconstruction).all()


def test_an_image_too_small_for_a_network(tmp_path, capsys):
    np.save(tmp_path / "x.npy", flat()[:, :4, :4])
    words = f"fit jule --data {tmp_path / 'x.npy'} --out {tmp_path / 'run'} --clusters 2"
    line = refused(capsys, words.split())
    assert "shape: must be at least 5 x 5 pixels, got 4 on the shorter side" in line
    assert not (tmp_path / "run").exists()


@pytest.fixture
def folder(tmp_path):
    """20 images of 16x12 in two classes."""
    for number in range(20):
        path = tmp_path / "images" / ("dark" if number < 10 else "light") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        value = number + (200 if number >= 10 else 0)
        Image.fromarray(np.full((16, 12), value, np.uint8)).save(path)
    return tmp_path / "images"


def test_a_folder_is_clustered_and_scored_by_its_sub_folders(folder, tmp_path):
    assert main(run("kmeans", folder, tmp_path / "run", "--size 6,8")) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["shape"] == [20, 6, 8, 1]
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    assert [(row.data, row.clusters, row.acc) for row in rows] == [("images", 2, 1.0)]
    # Predicting the folder, with one image of another size and in color: it is scaled to the run's
    # shape, and the table has the files' names.
    Image.new("RGB", (50, 60), (3, 3, 3)).save(folder / "dark" / "3.png")
    table = tmp_path / "labels.csv"
    words = f"predict {tmp_path / 'run'} --data {folder} --out {table}"
    assert main(words.split()) == 0
    with table.open() as file:
        predicted = {row["image"]: int(row["cluster"]) for row in csv.DictReader(file)}
    assert predicted.keys() == set(datasets.load(folder).files)
    labels = np.load(tmp_path / "run" / "labels.npy", allow_pickle=False)[0]
    assert list(predicted.values()) == labels.tolist()


@pytest.mark.parametrize(
    ("text", "size"), [(None, None), ("64", (64, 64)), ("48,42", (48, 42)), ("6, 8", (6, 8))]
)
def test_sizes(text, size):
    assert options.size(text) == size


def test_folders_that_cannot_be_read_are_refused_in_one_line(folder, tmp_path, capsys):
    def line(more=""):
        return refused(capsys, run("kmeans", folder, tmp_path / "run", more))

    for size in ("0", "a", "1,2,3", "8,", "-4", "8.5"):
        assert "size: must be" in line(f"--size={size}")
    (folder / "dark" / "3.png").write_bytes((folder / "dark" / "4.png").read_bytes()[:-30])
    (folder / "light" / "11.png").write_bytes(b"")
    text = line("--strict")
    assert "dark/3.png (" in text
    assert "light/11.png (empty)" in text
    for path in folder.rglob("*.png"):
        path.unlink()
    assert "must hold pictures such as .jpg" in line()
    assert not (tmp_path / "run").exists()


def test_files_of_arrays_that_cannot_be_read_are_refused_in_one_line(tmp_path, capsys):
    def line(path, more=""):
        return refused(capsys, run("kmeans", path, tmp_path / "run", more))

    images = near_black()
    file = tmp_path / "x.npz"
    np.savez(file, images=images, labels=np.zeros(N - 1, int))
    assert f"labels: must have shape ({N},) like the images, got ({N - 1},)" in line(file)
    np.savez(file, images=images, labels=np.zeros(N))
    assert "labels: must be integers or words, got dtype float64" in line(file)
    np.savez(file, images=images.astype(np.int32))
    rule = "images: must be uint8 in 0..255 or float in [0, 1]"
    assert f"{rule}, got dtype int32" in line(file)
    np.savez(file, images=images, labels=np.zeros(N, object))
    assert "must be a readable .npz file of plain arrays" in line(file)
    file.write_bytes(file.read_bytes()[:-50])
    assert "must be a readable .npz file of plain arrays" in line(file)
    file = tmp_path / "x.npy"
    np.save(file, images)
    assert "clusters: must be given, since x has no labels" in line(file)
    rule = f"images: must be of shape (n, 9, 9, 1), got ({N}, 8, 8, 1)"
    assert f"{rule}; only a folder's images are scaled" in line(file, "--size 9")
    assert not (tmp_path / "run").exists()


def test_the_named_sets_are_listed(capsys):
    assert main(["datasets"]) == 0
    assert capsys.readouterr().out == datasets.table() + "\n"
