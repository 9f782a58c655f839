"""A network's features in the images' place, and new pictures for such a run, by the command."""

import json

import numpy as np
import pytest
from PIL import Image

import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.report import run_images
from jaxclust.runs import feature_inputs, features
from jaxclust.runs.embedders import Embedder
from jaxclust.runs.reading import open_run

NAME = "squeezenet"


@pytest.fixture(autouse=True)
def network(monkeypatch, tmp_path):
    """A network that gives the colors of a picture's 8 x 8 parts."""

    def embed(images):
        return images.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(-1, 192) / 7

    embedder = Embedder(NAME, (32, 32, 3), 192, 4, "identity", lambda x: embed(x).astype("f4"))
    monkeypatch.setattr(features, "open_embedder", lambda name: embedder)
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path):
    """A folder of 24 pictures of three colors in two sizes."""
    rng = np.random.default_rng(0)
    for number in range(24):
        color = np.zeros(3)
        color[number % 3] = 180
        pixels = color + rng.integers(0, 60, (40 + number % 2, 50, 3))
        folder = tmp_path / "pictures" / "rgb"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02d}.png")
    return tmp_path / "pictures"


@pytest.fixture
def run(pictures, tmp_path):
    out = tmp_path / "run"
    words = f"fit kmeans --data {pictures} --features {NAME} --seeds 2 --restarts 2 --over map"
    assert main([*words.split(), "--no-baseline", "--out", str(out), "--quiet"]) == 0
    return out


def test_the_files_of_a_folder_are_clustered_in_the_networks_size(run, pictures):
    settings = json.loads((run / "config.json").read_text())
    assert settings["features"] == NAME
    assert settings["data"]["name"] == f"pictures+{NAME}"
    assert settings["data"]["shape"] == [24, 12, 16, 1]
    assert settings["origin"]["images"]["shape"] == [24, 64, 64, 3]
    opened = open_run(run)
    assert opened.scores(datasets.load(pictures).labels).rows[0].acc == 1
    # Features of the files differ from those of the 64 x 64 images.
    dataset = datasets.load(pictures)
    of_files, scale = feature_inputs.replaced(dataset, NAME)
    assert list(scale) == settings["origin"]["features_scale"]
    assert np.mean(of_files.images**2) == pytest.approx(1)
    of_images, _ = feature_inputs.replaced(dataset._replace(root=None), NAME)
    assert not np.array_equal(of_files.images, of_images.images)


def test_pictures_of_the_run_again(run, pictures, tmp_path):
    out = tmp_path / "again.csv"
    assert main(f"predict {run} --data {pictures} --out {out}".split()) == 0
    assert out.read_text() == (run / "clusters.csv").read_text()


def test_new_pictures_of_any_size(run, pictures, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    Image.new("RGB", (77, 33), (0, 210, 30)).save(folder / "green.png")
    out = tmp_path / "new.csv"
    assert main(f"predict {run} --data {folder} --out {out}".split()) == 0
    _, line = out.read_text().splitlines()
    opened = open_run(run)
    green = opened.consensus().labels[datasets.load(pictures).files.index("g/01.png")]
    assert line.split(",")[:2] == ["green.png", str(green)]
    # The same from an array, whatever else is beside it.
    array = np.zeros((2, 33, 77, 3), np.uint8)
    array[0] = (0, 210, 30)
    array[1] = (210, 0, 30)
    predicted = opened.predict(array)
    assert predicted.cluster[0] == green
    assert predicted.cluster[1] != green
    alone = feature_inputs.of_new_images(opened.settings, array[:1])
    both = feature_inputs.of_new_images(opened.settings, array)
    np.testing.assert_array_equal(alone, both[:1])
    assert opened.embed(array).shape == (2, 192)


def test_a_run_in_memory_takes_new_images_too(pictures):
    dataset = jc.load(pictures)
    fitted = jc.fit("kmeans", dataset, seeds=1, features=NAME, progress=False)
    np.testing.assert_array_equal(fitted.predict(dataset).cluster, fitted.consensus().labels)


def test_the_page_shows_the_embedding_of_these_features(run, pictures):
    settings = open_run(run).settings
    shown = run_images.find(settings, [str(pictures)], [])
    inputs = run_images.inputs(settings, shown)
    expected, _ = feature_inputs.replaced(datasets.load(pictures), NAME)
    np.testing.assert_array_equal(inputs.images, expected.images)


def test_a_run_that_lost_its_scale_is_refused(run, pictures, tmp_path, capsys):
    path = run / "config.json"
    settings = json.loads(path.read_text())
    del settings["origin"]["features_scale"]
    path.write_text(json.dumps(settings))
    assert main(f"predict {run} --data {pictures} --out {tmp_path / 'x.csv'}".split()) == 2
    line = "run: origin must hold the two numbers that its features were divided by, got None"
    assert line in capsys.readouterr().err


def test_a_file_that_can_no_longer_be_read_is_named(pictures):
    dataset = datasets.load(pictures)
    (pictures / "g" / "04.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"every image must be readable, got g/04.png \(no image"):
        feature_inputs.replaced(dataset, NAME)


def test_part_of_a_folder_is_refused(pictures):
    dataset = datasets.load(pictures)
    part = dataset._replace(images=dataset.images[:5])
    with pytest.raises(UsageError, match="must have a row for each of the 5 images, got 24"):
        feature_inputs.replaced(part, NAME)


@pytest.mark.parametrize(
    ("which", "name"),
    [
        ("squeezenet", "squeezenet"),
        ("a/b/mine.npy", "mine.npy"),
        ("onnx:a/b/model.onnx?size=64", "onnx:model.onnx?size=64"),
    ],
)
def test_short_names(which, name):
    assert feature_inputs.short_name(which) == name
