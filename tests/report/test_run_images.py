"""Where the images of a run are found: files, features, streams; and pages without them."""

import json
import shutil

import numpy as np
from PIL import Image

import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.data.datasets import Fingerprint
from jaxclust.report import run_images
from jaxclust.runs.reading import open_run
from jaxclust.runs.settings import Settings
from pages import Page


def moved(run, copy, data):
    """A copy of a run that read its images from another path, or does not say from where."""
    shutil.copytree(run, copy)
    settings = json.loads((copy / "config.json").read_text())
    settings["origin"].pop("data")
    settings["origin"] |= {"data": str(data)} if data else {}
    (copy / "config.json").write_text(json.dumps(settings))
    return copy


def test_without_the_images_the_rest_is_there(run, tmp_path, capsys):
    out = tmp_path / "bare.html"
    copy = moved(run, tmp_path / "copy", None)
    assert main(["report", str(copy), "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert "no pictures: --data PATH must say where the images of few are" in page.text
    assert "Agreement between seeds" in page.text
    assert page.all("img") == []


def test_the_images_are_found_where_the_run_read_them(run, data, tmp_path, monkeypatch):
    settings = open_run(run).settings
    assert settings.origin["data"] == str(data)
    notes = []
    assert run_images.find(settings, [], notes, folder=run) is not None
    # A relative path, first from a folder above the run, then from the current one.
    shutil.copy(data, tmp_path / "few.npz")
    copy = tmp_path / "results" / "all" / "run"
    relative = open_run(moved(run, copy, "few.npz")).settings
    assert run_images.find(relative, [], notes, folder=copy) is not None
    monkeypatch.chdir(data.parent)
    assert run_images.find(relative, [], notes) is not None
    assert notes == []
    monkeypatch.chdir(copy)
    assert run_images.find(relative, [], notes) is None
    assert notes == [
        f"no pictures: the images of few are not to be had: few.npz is neither in {copy}; "
        "--data PATH can say where they are"
    ]


def test_a_page_says_where_it_looked_for_the_images(run, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gone = tmp_path / "gone.npz"
    for number, (place, said) in enumerate(
        (
            (gone, f"{gone} is not there any more; --data PATH can say where they are"),
            ("gone.npz", f"gone.npz is neither in {tmp_path} nor in a folder above"),
        )
    ):
        copy = moved(run, tmp_path / str(number), place)
        notes = []
        assert run_images.find(open_run(copy).settings, [], notes, folder=copy) is None
        (note,) = notes
        assert said in note
    # Other images under the same name are not taken.
    np.savez(gone, images=np.load(data)["images"][::-1])
    notes = []
    assert run_images.find(open_run(copy).settings, [], notes, folder=copy) is None
    assert notes == [
        f"no pictures: the images of few are not to be had: {gone} has another checksum"
    ]


def test_a_class_is_called_by_its_folder(tmp_path):
    rng = np.random.default_rng(0)
    for place in range(12):
        path = tmp_path / "set" / ("cat" if place % 2 else "a <dog>") / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = rng.integers(0, 60, (9, 9, 3)) + 150 * (place % 2)
        Image.fromarray(shade.astype(np.uint8)).save(path)
    run = jc.fit("kmeans", jc.load(tmp_path / "set"), seeds=2, progress=False)
    run.save(tmp_path / "run")
    out = tmp_path / "page.html"
    assert main(f"report {tmp_path / 'run'} --data {tmp_path / 'set'} --out {out}".split()) == 0
    page = Page(out.read_text())
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    assert points["called"] == ["a <dog>", "cat"]
    assert "% of a <dog>" in page.text
    assert '<th scope="row">a &lt;dog&gt;</th>' in out.read_text()
    assert "class 0" not in page.text


def test_features_are_shown_by_their_images(data, few_digits, tmp_path):
    features, run = tmp_path / "mine.npy", tmp_path / "run"
    np.save(features, few_digits[0].reshape(300, 64)[:, ::2].astype(np.float64))
    common = f"--seeds 2 --over map --no-baseline --no-figures --features {features}"
    assert main(f"fit kmeans --data {data} --out {run} --restarts 2 {common}".split()) == 0

    run = moved(run, tmp_path / "unplaced", None)

    def page(name, *more):
        assert main(["report", str(run), "--out", str(tmp_path / name), *map(str, more)]) == 0
        return Page((tmp_path / name).read_text())

    found = page("with.html", "--data", data)
    assert "no pictures" not in found.text
    assert "no embedding" not in found.text
    for heading in ("Embedding", "Classes by clusters", "Most and least certain images"):
        assert heading in found.text
    assert (
        "no pictures: --data PATH must say where the images of few are" in page("without.html").text
    )
    np.savez(tmp_path / "others.npz", images=few_digits[0][::-1])
    others = page("others.html", "--data", tmp_path / "others.npz")
    assert (
        f"the images of few are not to be had: {tmp_path / 'others.npz'} has another checksum"
        in others.text
    )
    assert others.all("img") == []
    np.save(features, few_digits[0].reshape(300, 64).astype(np.float64))
    found = page("changed.html", "--data", data)
    assert "must be those of the run, has another checksum" in found.text
    assert len(found.all("img")) == 10


def test_a_stream_is_shown_without_the_images_that_cannot_be_read(few_digits, tmp_path):
    images, labels = few_digits[0][:40, ..., 0], few_digits[1][:40] % 3
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = tmp_path / "set" / str(label) / f"{index:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    files = sorted((tmp_path / "set").rglob("*.png"))
    files[5].write_bytes(files[5].read_bytes()[:60])
    run, out = tmp_path / "run", tmp_path / "page.html"
    flags = "--batch 12 --reliable 12 --sample 30 --epochs 1 --pretraining.epochs 0 --seeds 2"
    flags += " --over map --stream"
    assert main(f"fit ccnn-ii --data {tmp_path / 'set'} --out {run} {flags}".split()) == 0
    assert main(f"report {run} --data {tmp_path / 'set'} --out {out}".split()) == 0
    page = Page(out.read_text())
    assert "left out: 1 of 40 images could not be read" in page.text
    for part in (
        "39 images, 3 clusters",
        "The consensus, the cluster with most votes for each image, has",
        "Classes by clusters",
        "Most and least certain images",
    ):
        assert part in page.text
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    assert points["rows"] == [index for index in range(40) if index != 5]
    votes = open_run(run).consensus()
    assert points["clusters"] == votes.labels[points["rows"]].tolist()
    assert points["called"] == ["0", "1", "2"]  # The folders' names, not "class 0".
    assert points["classes"] == [int(path.parent.name) for path in files if path != files[5]]


def test_a_stream_is_shown_by_another_file_of_its_images(few_digits, data, tmp_path):
    plain = tmp_path / "plain.npy"
    np.save(plain, few_digits[0])
    source = run_images.open_set(str(plain), (8, 8), True)
    fingerprint = Fingerprint("plain", (300, 8, 8, 1), "uint8", next(iter(source.checksums)))
    config = {"clusters": 10}
    settings = Settings("ccnn-ii", "paper", fingerprint, (0,), "map", config, None, stream=50)
    notes = []
    pictures = run_images.find(settings, [str(data)], notes)
    np.testing.assert_array_equal(pictures.labels, few_digits[1])
    assert notes == []
    streamed = run_images.find(settings, [str(plain)], notes).part(np.array([4, 7]))
    np.testing.assert_array_equal(streamed.read(np.array([1])), few_digits[0][[7]])


def test_without_the_checkpoint_there_is_no_embedding(run, data, tmp_path):
    copy, out = tmp_path / "copy", tmp_path / "page.html"
    shutil.copytree(
        run, copy, ignore=lambda folder, names: [name for name in names if name == "checkpoint"]
    )
    assert main(["report", str(copy), "--data", str(data), "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert "no embedding: checkpoint: must be in" in page.text
    assert "Most and least" not in page.text
    assert len(page.all("img")) == 10


def test_without_labels_there_is_no_comparison(few_digits, tmp_path):
    np.savez(tmp_path / "plain.npz", images=few_digits[0][:60])
    run, out = tmp_path / "run", tmp_path / "page.html"
    common = f"--data {tmp_path / 'plain.npz'} --out"
    assert (
        main(f"fit kmeans {common} {run} --clusters 3 --seeds 2 --over map --no-figures".split())
        == 0
    )
    assert main(f"report {run} {common} {out}".split()) == 0
    page = Page(out.read_text())
    assert "without true labels there are no scores to compare: kmeans on plain" in page.text
    assert "Agreement between seeds" in page.text
