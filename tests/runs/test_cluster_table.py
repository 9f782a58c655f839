"""Names of images that a run has read from its folder, and its clusters as columns."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import jaxclust as jc
from jaxclust.errors import UsageError
from jaxclust.runs.cluster_table import read_cluster_table
from jaxclust.runs.consensus import write_clusters
from jaxclust.runs.reading import open_run
from run_folders import memory_run

LABELS = np.array([0, 2, -1, 1], np.int32)
OLD = "image,cluster,share,seed_0\na.png,0,1,0\nb c.png,2,1,2\nbad.png,,,\nd.png,1,1,1\n"
NEW = (
    "image,cluster,share,probability,distance,seed_0\n"
    "a.png,0,1,0.5,1.5,0\nb c.png,2,1,0.25,2,2\nbad.png,,,,,\nd.png,1,1,1,0,1\n"
)


def test_a_table_with_and_without_the_new_columns(tmp_path):
    path = tmp_path / "clusters.csv"
    names = ("a.png", "b c.png", "bad.png", "d.png")
    path.write_text(OLD)
    assert read_cluster_table(path, LABELS) == (names, {})
    path.write_text("\ufeff" + NEW)  # As a spreadsheet saves it.
    table = read_cluster_table(path, LABELS)
    assert table.names == names
    np.testing.assert_array_equal(table.sure["probability"], [0.5, 0.25, np.nan, 1])
    np.testing.assert_array_equal(table.sure["distance"], [1.5, 2, np.nan, 0])
    path.write_text("image,cluster,share,seed_0\n0,0,1,0\n1,2,1,2\n2,,,\n3,1,1,1\n")
    assert read_cluster_table(path, LABELS).names is None


def test_names_that_a_spreadsheet_would_run_come_back_as_they_were(tmp_path):
    path = tmp_path / "clusters.csv"
    names = ("=1+1.png", "-a.png", "'=b.png", "@c.png")
    write_clusters(path, names.__getitem__, {"cluster": LABELS})
    assert path.read_text().splitlines()[1] == "'=1+1.png,0"
    assert read_cluster_table(path, LABELS).names == names


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "got other columns"),
        ("file,group\na,0\n", "got other columns"),
        (OLD + "e.png,1\n", "got other columns"),
        (OLD.replace("a.png,0", "a.png,1"), "got other clusters; has somebody changed or sorted"),
        (OLD + "e.png,1,1,1\n", "got other clusters"),
        (NEW.replace("0.25", "much"), "is damaged"),
    ],
)
def test_a_table_that_is_not_the_runs_is_refused(tmp_path, content, reason):
    path = tmp_path / "clusters.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match="must list the run's images in their order, .*" + reason):
        read_cluster_table(path, LABELS)


@pytest.fixture
def photos(tmp_path):
    """Two folders of three pictures, gray and dark, and a damaged file."""
    for place in range(6):
        path = tmp_path / "photos" / "ab"[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (200 * (place % 2), 10 * place, 30)).save(path)
    (tmp_path / "photos" / "a" / "bad.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_a_run_of_a_folder_keeps_names_reading_and_damaged_files(photos, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,label\n" + "".join(f"{'ab'[n % 2]}/{n}.png,{n % 2}\n" for n in range(6))
    )
    data = jc.load(photos, size=(8, 4), labels=labels, resize="pad")
    run = jc.fit("kmeans", data, clusters=2, seeds=2, progress=False)
    assert run.settings.origin == {
        "data": str(photos),
        "resize": "pad",
        "size": "8,4",
        "labels": str(labels),
    }
    names = ("a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png", "b/5.png")
    assert run.files == names
    run.save(tmp_path / "run")
    unreadable = (tmp_path / "run" / "unreadable.csv").read_text()
    assert unreadable == "file,reason\na/bad.png,no image\n"
    origin = json.loads((tmp_path / "run" / "config.json").read_text())["origin"]
    assert origin == run.settings.origin
    opened = open_run(tmp_path / "run")
    assert opened.files == names
    table, again = run.table(), opened.table()
    assert list(table) == list(again) == ["image", "cluster", "share", "probability", "distance"]
    assert table["image"].tolist() == again["image"].tolist() == list(names)
    np.testing.assert_array_equal(table["cluster"], run.consensus().labels)
    assert len(set(table["cluster"][:3])) == 1
    for name in ("cluster", "share", "probability", "distance"):
        np.testing.assert_allclose(table[name], again[name], rtol=1e-5)


def test_strict_and_no_labels_are_kept_too(photos):
    (photos / "a" / "bad.png").unlink()
    data = jc.load(photos, labels="none", strict=True)
    run = jc.fit("kmeans", data, clusters=2, seeds=1, progress=False)
    assert run.settings.origin == {"data": str(photos), "no_labels": True, "strict": True}
    assert run.files == data.files


def test_images_without_names_have_places(tmp_path):
    run = memory_run("dcec", np.array([[0, 0, 1, 1]] * 2, np.int32))
    run.save(tmp_path / "run")
    for one in (run, open_run(tmp_path / "run")):
        assert one.files is None
        assert list(one.table()) == ["image", "cluster", "share"]
        assert one.table()["image"].tolist() == [0, 1, 2, 3]


def test_a_sorted_table_gives_no_wrong_names(tmp_path):
    run = memory_run("dcec", np.array([[0, 1, 0, 1]] * 2, np.int32))
    dataclasses.replace(run, names=("a", "b", "c", "d")).save(tmp_path / "run")
    path = tmp_path / "run" / "clusters.csv"
    head, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(head + "".join(sorted(lines, key=lambda line: line.split(",")[1])))
    opened = open_run(tmp_path / "run")
    assert opened.consensus().labels.tolist() == [0, 1, 0, 1]
    with pytest.raises(UsageError, match="has somebody changed or sorted it"):
        _ = opened.files
