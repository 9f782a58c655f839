"""What ``jaxclust group`` is given: changed, damaged, odd or text."""

import threading

import numpy as np
import pytest

import jaxclust as jc
from commands import error
from grouped import table, words
from jaxclust.cli.main import main
from jaxclust.data import pictures
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics


def test_changed_inputs_are_not_finished_already(folder, features, here, capsys):
    known = here / "known.csv"
    known.write_text("file,label\nrings/01.jpg,Rings\n")
    common = [*words(folder, features), "--clusters", "3", "--out", "out"]
    common += ["--labels", str(known)]
    assert main(common) == 0
    known.write_text("file,label\nrings/01.jpg,Kreis\n")
    capsys.readouterr()
    assert main(common) == 0
    assert "Kreis" in capsys.readouterr().out
    (folder / "rings" / "01.jpg").write_bytes(b"x" * (folder / "rings" / "01.jpg").stat().st_size)
    assert main([*common, "--strict"]) == 2
    assert "rings/01.jpg (no image)" in capsys.readouterr().err


def test_merged_pictures_are_as_certain_as_before(folder, features, here):
    values = np.load(features)
    values[0] = values[12:24].mean(axis=0) / 2 + values[24:].mean(axis=0) / 2
    np.save(features, values)
    common = [*words(folder, features), "--clusters", "3", "--out", "out", "--quiet"]
    assert main(common) == 0
    group = table(here / "out")[0]["group"]
    (here / "edits.csv").write_text(f"file,group,name,into\n,{group},,{(int(group) + 1) % 3}\n")
    assert main([*common, "--edits", "edits.csv", "--edits", "edits.csv"]) == 0
    assert table(here / "out")[0]["certain"] == "no"
    assert main([*common, "--edits", "edits.csv"]) == 0
    assert len(list((here / "out").glob("edits-*.csv"))) == 1


def test_names_with_line_ends_and_dots_are_read_back(folder, features, here, capsys):
    (folder / "dots" / "00.jpg").rename(folder / "dots" / "00\r.jpg")
    root = folder.rename(here / "2023.05 Rome")
    for _ in range(2):
        assert main([*words(root, features), "--clusters", "3", "--quiet"]) == 0
    files = [line["file"] for line in table(here / "2023.05 Rome-groups")]
    assert "dots/00\r.jpg" in files


def test_damaged_files_are_named_also_with_features_from_a_file(folder, features, here):
    (folder / "dots" / "05.jpg").write_bytes(b"")
    common = [*words(folder, features), "--clusters", "3", "--out", "out", "--quiet"]
    assert main([*common, "--copy"]) == 0
    assert len(table(here / "out")) == 35
    assert (here / "out" / "unreadable.csv").read_text() == "file,reason\ndots/05.jpg,empty\n"


def test_descriptors_group_pictures_and_name_damaged_ones(folder, here, capsys):
    pytest.importorskip("cv2", reason="dsift-pca needs OpenCV")
    (folder / "dots" / "05.jpg").write_bytes(b"")
    common = [*words(folder, "dsift-pca"), "--clusters", "3", "--out", "out"]
    assert main(common) == 0
    streams = capsys.readouterr()
    assert "-> dsift-pca (crop)" in streams.err
    assert len(table(here / "out")) == 35
    assert (here / "out" / "unreadable.csv").read_text() == "file,reason\ndots/05.jpg,empty\n"
    kinds = [line["file"].partition("/")[0] for line in table(here / "out")]
    groups = [int(line["group"]) for line in table(here / "out")]
    _, numbers = np.unique(kinds, return_inverse=True)
    assert metrics.accuracy(numbers, groups) > 0.9
    assert main(common) == 0
    assert "finished already" in capsys.readouterr().err
    more = error(capsys, [*common, "--add", str(folder)])
    assert "add: must come with the features of a network or a .parquet file" in more


def test_more_damage_than_half_is_refused_in_the_words_of_fit(folder, features, here, capsys):
    for path in folder.rglob("[01][0-9].jpg"):
        if path.parent.name != "rings" or path.stem < "08":
            path.write_bytes(b"")
    line = error(capsys, [*words(folder, features), "--clusters", "3", "--quiet"])
    rule = f"data: half of the pictures in {folder} must be readable, got 32 of 36 that are not"
    assert f"{rule}: dots/00.jpg (empty), dots/01.jpg (empty), " in line
    assert line.endswith("and 22 more")
    assert line in error(capsys, ["fit", "kmeans", "--data", str(folder), "--clusters", "3"])


def test_the_headers_of_files_are_read_by_several_threads(folder, features, here, monkeypatch):
    """Two threads meet, which one thread alone would wait for in vain."""
    meeting = threading.Barrier(2, timeout=20)
    read = pictures.header

    def header(source):
        if meeting.n_waiting or not met:
            met.append(meeting.wait())
        return read(source)

    met = []
    monkeypatch.setattr(pictures, "header", header)
    assert main([*words(folder, features), "--clusters", "3", "--quiet"]) == 0
    assert met


def test_the_face_takes_text_for_paths(folder, features, here):
    (here / "l.csv").write_text("file,label\nrings/01.jpg,Rings\n")
    given = {"features": str(features), "seeds": 2, "progress": False, "labels": "l.csv"}
    groups = jc.group(str(folder), 3, out="out", **given)
    assert "Rings" in groups.names
    with pytest.raises(UsageError, match="placing: must be one of"):
        jc.group(folder, 3, placing="move", **given)
    np.save(features, np.load(features) * np.float64(1e300))
    with pytest.raises(UsageError, match="finite numbers below 1e38"):
        jc.group(folder, 3, **given)


def test_labels_that_are_no_utf_8_are_refused(folder, features, here, capsys):
    (here / "known.csv").write_bytes("file,label\nrings/01.jpg,Käfer\n".encode("latin-1"))
    arguments = [*words(folder, features), "--clusters", "3", "--labels", "known.csv"]
    assert "must have labels of printable text in UTF-8" in error(capsys, arguments)


def test_a_damaged_state_is_left_alone_and_can_be_overwritten(folder, features, here):
    damaged = here / "my pictures-groups"
    damaged.mkdir()
    (damaged / "group.json").write_text("{}")
    common = [*words(folder, features), "--clusters", "3", "--quiet"]
    assert main(common) == 0
    assert len(table(here / "my pictures-groups-2")) == 36
    assert main([*common, "--out", str(damaged), "--overwrite"]) == 0
    assert len(table(damaged)) == 36


def test_results_are_not_put_among_pictures_that_are_added(folder, here, capsys):
    more = here / "more"
    more.mkdir()
    (folder / "dots" / "11.jpg").rename(more / "dots.jpg")
    arguments = ["group", str(folder), "--clusters", "3", "--add", "more", "--out", "more/out"]
    assert "out: must not be in the pictures' folder" in error(capsys, arguments)


def test_damaged_files_of_added_folders_are_named_from_the_first(folder, here):
    for name in ("one", "two"):
        (here / name).mkdir()
        (here / name / "bad.jpg").write_bytes(b"")
        source = folder / "dots" / ("10.jpg" if name == "one" else "11.jpg")
        source.rename(here / name / f"{name}.jpg")
    arguments = ["group", str(folder), "--clusters", "3", "--seeds", "2", "--out", "out"]
    assert main([*arguments, "--add", "one", "--add", "two", "--quiet"]) == 0
    lines = (here / "out" / "unreadable.csv").read_text().splitlines()
    assert lines == ["file,reason", "../one/bad.jpg,empty", "../two/bad.jpg,empty"]
