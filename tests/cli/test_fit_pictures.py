"""``jaxclust fit`` on picture files: what it says, what it leaves out, and how a run keeps that."""

import csv
import json
import shlex
import zipfile

import numpy as np
import pytest
from PIL import Image

from commands import error, results, run
from jaxclust.cli.main import main
from jaxclust.evaluation import metrics
from jaxclust.report import run_images
from jaxclust.runs.reading import open_run
from jaxclust.runs.repeat import repeat
from jaxclust.runs.settings import read_settings

KMEANS = "--seeds 2 --restarts 1 --no-figures --no-baseline --over map"


@pytest.fixture
def photos(tmp_path):
    """12 pictures of 20 x 30 in two folders, one damaged file and a text."""
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    (tmp_path / "photos" / "a" / "bad, very.jpg").write_bytes(b"")
    (tmp_path / "photos" / "notes.txt").write_bytes(b"x")
    return tmp_path / "photos"


def test_it_says_what_it_reads_and_names_what_it_cannot(photos, tmp_path, capsys):
    assert run(f"fit kmeans --data {photos} --out {tmp_path / 'run'} {KMEANS} --quiet") == 0
    quiet = capsys.readouterr().err.splitlines()
    warning = "jaxclust: warning: left out 1 that could not be read: a/bad, very.jpg (empty)"
    assert [line for line in quiet if line.startswith("jaxclust: warning")] == [warning]
    assert run(f"fit kmeans --data {photos} --out {tmp_path / 'loud'} {KMEANS}") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "jaxclust: 12 images of 20 x 30, 2 folders as classes (a, b) -> 20 x 30 x 3 (crop); "
        "left out: 1 .txt; not readable: 1 of 13"
    )
    assert lines[1] == warning
    with (tmp_path / "run" / "unreadable.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["file", "reason"], ["a/bad, very.jpg", "empty"]]
    with (tmp_path / "run" / "clusters.csv").open(newline="") as file:
        names = [row[0] for row in csv.reader(file)][1:]
    assert len(names) == 12
    assert "a/bad, very.jpg" not in names


def test_strict_refuses_and_leaves_no_folder(photos, tmp_path, capsys):
    out = tmp_path / "run"
    words = f"fit kmeans --data {photos} --out {out} {KMEANS} --strict".split()
    line = error(capsys, words)
    assert f"every picture in {photos} must be readable, got a/bad, very.jpg (empty)" in line
    assert not out.exists()


def test_how_pictures_are_read_is_kept_and_finds_them_again(photos, tmp_path, capsys):
    table = tmp_path / "labels.csv"
    table.write_text(
        "file,label\n" + "".join(f"{'ab'[n % 2]}/{n}.png,{n % 3}\n" for n in range(12))
    )
    (photos / "a" / "bad, very.jpg").unlink()
    out = tmp_path / "run"
    flags = f"--data {photos} --size 16,8 --resize pad --labels {table} --strict"
    assert run(f"fit kmeans {flags} --out {out} {KMEANS}") == 0
    assert "3 classes (0, 1, 2) -> 16 x 8 x 3 (pad)" in capsys.readouterr().err
    settings = read_settings(out)
    assert settings.clusters == 3
    origin = json.loads((out / "config.json").read_text())["origin"]
    assert origin == {
        "data": str(photos),
        "size": "16,8",
        "resize": "pad",
        "labels": str(table),
        "strict": True,
    }
    again = shlex.split(repeat(settings))
    assert again[again.index("--resize") + 1] == "pad"
    assert again[again.index("--labels") + 1] == str(table)
    assert "--strict" in again
    notes = []
    found = run_images.find(settings, [str(photos)], notes)
    assert notes == []
    assert found.images.shape == (12, 16, 8, 3)
    # The command that repeats the run is the run: without --overwrite it is finished already.
    again[again.index("DIR")] = str(out)
    assert main([*again[1:], "--resume", "--no-figures", "--no-baseline"]) == 0
    assert "is finished already" in capsys.readouterr().out


def test_a_prediction_reads_pictures_as_the_run_did(photos, tmp_path, capsys):
    out = tmp_path / "run"
    table = tmp_path / "new.csv"
    flags = "--size 16,8 --resize pad --no-labels --clusters 3"
    assert run(f"fit kmeans --data {photos} --out {out} {KMEANS} {flags}") == 0
    assert main(["predict", str(out), "--data", str(photos), "--out", str(table)]) == 0
    assert "no labels -> 16 x 8 x 3 (pad)" in capsys.readouterr().err
    with table.open(newline="") as file, (out / "clusters.csv").open(newline="") as clusters:
        rows = [row[:2] for row in csv.reader(file)]
        assert rows == [row[:2] for row in csv.reader(clusters)]


def test_no_labels_needs_a_number_of_clusters_and_has_no_scores(photos, tmp_path, capsys):
    out = tmp_path / "run"
    words = f"fit kmeans --data {photos} --out {out} {KMEANS} --no-labels --quiet"
    assert main(words.split()) == 2
    assert "clusters: must be given, since photos has no labels" in capsys.readouterr().err
    assert run(f"{words} --clusters 2") == 0
    assert read_settings(out).origin["no_labels"] is True
    assert "--no-labels" in shlex.split(repeat(read_settings(out)))
    assert json.loads((out / "results.jsonl").read_text().splitlines()[0]).get("acc") is None


def test_pictures_without_a_label_are_not_in_the_scores(photos, tmp_path, capsys):
    """The scores are those of the labeled pictures, and a line and the rows count the others."""
    (photos / "a" / "bad, very.jpg").unlink()
    table = tmp_path / "labels.csv"
    known = {f"{'ab'[n % 2]}/{n}.png": n % 2 for n in range(8)}
    table.write_text("file,label\n" + "".join(f"{name},{kind}\n" for name, kind in known.items()))
    out = tmp_path / "run"
    words = f"fit kmeans --data {photos} --labels {table} --out {out} --restarts 1 --over map"
    assert run(f"{words} --seeds 2") == 0
    streams = capsys.readouterr()
    assert "2 classes (0, 1), 4 of 12 without a class ->" in streams.err
    note = "photos: 4 of 12 images have no known class and are not in the scores"
    assert streams.out.count(note) == 1
    opened = open_run(out)
    places = [opened.files.index(name) for name in known]
    for clusters, row in zip(opened.labels, results(out), strict=True):
        expected = metrics.scores(list(known.values()), clusters[places])
        assert {name: row.score(name) for name in expected} == expected
        assert (row.n, row.unscored) == (12, 4)
    assert main(["compare", str(out)]) == 0
    assert note in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert main(["report", str(out), "--out", str(page)]) == 0
    assert note in page.read_text()


def test_an_archive_is_clustered_and_streamed_like_its_folder(photos, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.*")):
            archive.write(path, path.relative_to(photos))
    for data, out in ((photos, "one"), (tmp_path / "photos.zip", "two")):
        assert run(f"fit kmeans --data {data} --out {tmp_path / out} {KMEANS} --quiet") == 0
    one, two = (read_settings(tmp_path / name).data for name in ("one", "two"))
    assert one == two
    labels = [(tmp_path / name / "clusters.csv").read_text() for name in ("one", "two")]
    assert labels[0] == labels[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--resize zoom", "resize: must be one of crop, pad, stretch, got 'zoom'"),
        ("--labels x.csv --no-labels", "labels: must not be given with --no-labels, got x.csv"),
        ("--labels none.csv", "labels: none.csv must be a file, and is not there"),
        ("--size 0", "size: must be height and width, each from 1 to 1024, got (0, 0)"),
    ],
)
def test_options_that_cannot_work_are_refused(flags, message, photos, tmp_path, capsys):
    out = tmp_path / "never"
    line = error(capsys, f"fit kmeans --data {photos} --out {out} {flags}".split())
    assert message in line
    assert not out.exists()


def test_a_table_of_labels_is_refused_for_arrays(data, tmp_path, capsys):
    out = tmp_path / "never"
    line = error(capsys, f"fit kmeans --data {data} --out {out} --labels x.csv".split())
    assert "labels: must not be a table for a set of arrays" in line
