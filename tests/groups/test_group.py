"""``jaxclust group`` from a folder to its files."""

import json
import re
import shutil

import numpy as np
import pytest

import jaxclust as jc
from commands import error
from grouped import table, words
from jaxclust.cli.main import main
from jaxclust.errors import UsageError
from jaxclust.groups import gather
from jaxclust.groups.files import safe
from jaxclust.networks.pretrained import FEATURES


@pytest.fixture(autouse=True, scope="module")
def _small_batches():
    """The network takes 4 pictures at a time: a batch of few is filled up with empty ones."""
    with pytest.MonkeyPatch.context() as patch:
        for name, network in FEATURES.items():
            patch.setitem(FEATURES, name, network._replace(batch=4))
        yield


def test_a_folder_in_groups_out(folder, features, here, capsys):
    assert main(words(folder, features)) == 0
    out, err = capsys.readouterr()
    assert "36 pictures in" in err
    assert "3 fit best of 2 to 7" in out
    assert "Compared with 3 known kinds of 36 pictures: ACC 1.000" in out
    results = here / "my pictures-groups"
    lines = table(results)
    assert [line["file"] for line in lines] == sorted(line["file"] for line in lines)
    kinds = {(line["file"].split("/")[0], line["group"]) for line in lines}
    assert len(kinds) == 3
    page = (results / "groups.html").read_text()
    assert "36 pictures" in page or "36" in page
    assert not (results / "unreadable.csv").exists()
    assert json.loads((results / "group.json").read_text())["finished"] is True
    # The same again says so, and leaves every file as it was.
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    assert main(words(folder, features)) == 0
    again, err = capsys.readouterr()
    assert "finished already" in err
    assert again == out
    assert before == {path: path.stat().st_mtime_ns for path in before}
    # Other settings have a folder of their own.
    assert main(words(folder, features, "--clusters", 2, "--quiet")) == 0
    assert {line["group"] for line in table(here / "my pictures-groups-2")} == {"0", "1"}


def test_the_face_gives_the_same(folder, features, here):
    groups = jc.group(folder, 3, features=str(features), seeds=3, progress=False)
    assert groups.finished
    assert groups.labels.shape == groups.sure.shape == (36,)
    assert len(groups.files) == 36
    assert [int(line["group"]) for line in table(groups.directory)] == groups.labels.tolist()
    again = jc.group(folder, 3, features=str(features), seeds=3, progress=False)
    assert repr(again) == repr(groups)
    with pytest.raises(UsageError, match="group: takes .* got cluster"):
        jc.group(folder, cluster=3)


def test_other_levels_do_not_cluster_again(folder, features, here):
    common = words(folder, features, "--clusters", 3, "--out", "out", "--quiet")
    assert main(common) == 0
    (found,) = (here / "out").rglob("results.jsonl")
    before = found.stat().st_mtime_ns
    assert main([*common, "--levels"]) == 0
    assert found.stat().st_mtime_ns == before
    assert not (found.parent / "clusters.csv").exists()


def test_links_and_copies_are_kept_apart_and_made_anew(folder, features, here):
    common = words(folder, features, "--clusters", 2, "--out", "out", "--quiet")
    assert main([*common, "--link"]) == 0
    placed = here / "out" / "groups"
    links = [path for path in placed.rglob("*") if path.is_symlink()]
    assert len(links) == 36
    originals = {path.resolve() for path in links}
    assert originals == {path.resolve() for path in folder.rglob("*.jpg")}
    # Two of three kinds share a group, and with it the names 00.jpg to 11.jpg.
    assert any(path.name == "00 (2).jpg" for path in links)
    own = placed / "group-00" / "mine.txt"
    own.write_text("mine")
    assert main([*common, "--copy"]) == 0
    copies = [path for path in placed.rglob("*.jpg")]
    assert len(copies) == 36
    assert not any(path.is_symlink() for path in copies)
    assert own.read_text() == "mine"
    assert len(list(folder.rglob("*.jpg"))) == 36


def test_names_that_windows_refuses():
    assert safe("con.jpg") == "_con.jpg"
    assert safe('a<b>:"|?*.png') == "a_b______.png"
    assert safe("dots. .") == "dots"
    assert safe("\udcff.jpg") == "_.jpg"
    assert safe("...") == "_"


def test_labels_of_some_files_name_the_groups(folder, features, here):
    known = here / "known.csv"
    known.write_text("file,label\nrings/01.jpg,Rings\ndots/00.jpg,Dots\ndots/01.jpg,\n")
    arguments = words(folder, features, "--clusters", 3, "--labels", known, "--quiet")
    assert main([*arguments, "--out", "out"]) == 0
    names = {line["file"].split("/")[0]: line["name"] for line in table(here / "out")}
    assert names == {"dots": "Dots", "rings": "Rings", "stripes": ""}


def test_names_that_a_spreadsheet_would_run_come_back_as_they_were(folder, features, here):
    """Through groups.csv, as a table of paths, of labels and of corrections."""
    odd = ["=1+1.jpg", "-a.jpg", "@b.jpg", "'=c.jpg"]
    for number, name in enumerate(odd):
        (folder / "dots" / f"{number:02d}.jpg").unlink()
        shutil.copy(folder / "rings" / f"{number:02d}.jpg", folder / name)
    common = [*words(folder, features), "--clusters", "3", "--out", "out", "--quiet"]
    assert main(common) == 0
    written = [line["file"] for line in table(here / "out")]
    assert written[:4] == ["''=c.jpg", "'-a.jpg", "'=1+1.jpg", "'@b.jpg"]
    again = jc.group(folder, 3, features=str(features), seeds=3, out="out", progress=False)
    assert sorted(again.files[:4]) == sorted(odd)
    shutil.copy(here / "out" / "groups.csv", folder / "table.csv")
    assert sorted(jc.load(folder / "table.csv").files) == sorted(again.files)
    (here / "known.csv").write_text("file,label\n'=1+1.jpg,'=Sums\n")
    (here / "edits.csv").write_text("file,group,name,into\n'-a.jpg,3,,\n,3,'+New,\n")
    more = ["--labels", "known.csv", "--edits", "edits.csv"]
    assert main([*common, *more]) == 0
    lines = {line["file"]: line["name"] for line in table(here / "out")}
    assert (lines["'=1+1.jpg"], lines["'-a.jpg"]) == ("'=Sums", "'+New")
    given = {"features": str(features), "seeds": 3, "labels": "known.csv"}
    again = jc.group(folder, 3, out="out", progress=False, **given)
    assert set(again.names) >= {"=Sums", "+New"}


def test_corrections_are_taken_back_and_kept(folder, features, here):
    common = words(folder, features, "--clusters", 3, "--out", "out", "--quiet")
    assert main(common) == 0
    first = {line["file"]: line["group"] for line in table(here / "out")}
    group = first["dots/00.jpg"]
    edits = here / "edits.csv"
    edits.write_text(f"file,group,name,into\n,{group},Points,\nrings/03.jpg,{group},,\n")
    assert main([*common, "--edits", "edits.csv"]) == 0
    edits.unlink()
    for more in ([], ["--levels"]):
        assert main([*common, *more]) == 0
        lines = {line["file"]: line for line in table(here / "out")}
        assert lines["rings/03.jpg"]["group"] == group
        assert lines["rings/03.jpg"]["certain"] == "yes"
        assert lines["dots/05.jpg"]["name"] == "Points"
    assert len({line["fine"] for line in lines.values()}) > len({*first.values()})


def test_doubtful_pictures_are_set_apart(folder, features, here):
    values = np.load(features)
    values[0] = values[12:24].mean(axis=0) / 2 + values[24:].mean(axis=0) / 2
    np.save(features, values)
    common = words(folder, features, "--clusters", 3, "--out", "out", "--quiet")
    assert main([*common, "--outliers"]) == 0
    lines = table(here / "out")
    assert lines[0]["certain"] == "no"
    assert lines[0]["group"] == ""
    assert all((line["group"] == "") == (line["certain"] == "no") for line in lines)


def test_a_map_for_other_programs(folder, features, here):
    from pyarrow import parquet

    arguments = words(folder, features, "--clusters", 3, "--out", "out", "--quiet")
    assert main([*arguments, "--export", "map.parquet"]) == 0
    columns = parquet.read_table(here / "map.parquet").to_pydict()
    assert list(columns) == ["path", "x", "y", "cluster", "name", "votes"]
    groups = [int(line["group"]) for line in table(here / "out")]
    assert columns["cluster"] == groups
    assert len(set(zip(columns["x"], columns["y"], strict=True))) == 36


@pytest.mark.parametrize(
    ("more", "words_of_the_line"),
    [
        ("--clusters 1", "clusters: must be at least 2, got 1"),
        ("--clusters 37", "clusters: must be at most the number of different pictures, 36"),
        ("--seeds 1", "seeds: must be at least 2"),
        ("--link --copy", "link: must not be given together with copy"),
        ("--edits none.csv", "edits: must be a .csv file that exists, got none.csv"),
        ("--export map.csv", "export: must be a .parquet file in a folder that exists"),
        ("--features lite", "features: must be efficientnet-lite0"),
        ("--export no/map.parquet", "export: must be a .parquet file in a folder that exists"),
        ("--add .", "add: must come with the features of a network"),
        ("--add nowhere", "add: must be a folder of pictures"),
        ("--max-seconds 0", "max-seconds: must be above 0"),
    ],
)
def test_one_line_for_what_cannot_be_done(folder, features, here, capsys, more, words_of_the_line):
    arguments = [*words(folder, features), *more.split()]
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert re.search(words_of_the_line, lines[-1])


def test_the_pictures_folder_gets_no_results(folder, features, monkeypatch, capsys):
    monkeypatch.chdir(folder / "dots")
    assert "out: must not be in" in error(capsys, words(folder, features, "--out", "groups"))
    assert main(words(folder, features, "--clusters", 3, "--quiet")) == 0
    assert (folder.parent / "my pictures-groups" / "groups.csv").exists()


def test_nothing_but_groups_is_overwritten(folder, features, here, capsys):
    (here / "out").mkdir()
    (here / "out" / "mine.txt").write_text("mine")
    refused = words(folder, features, "--out", "out", "--quiet", "--overwrite")
    assert main(refused) == 2
    assert (here / "out" / "mine.txt").read_text() == "mine"
    common = words(folder, features, "--out", "other", "--quiet")
    assert main([*common, "--clusters", "3"]) == 0
    (here / "other" / "mine.txt").write_text("mine")
    assert main([*common, "--clusters", "2"]) == 2
    assert "has others; name another, or use --overwrite" in capsys.readouterr().err
    assert main([*common, "--clusters", "2", "--overwrite"]) == 0
    assert {line["group"] for line in table(here / "other")} == {"0", "1"}
    assert (here / "other" / "mine.txt").read_text() == "mine"


def test_more_pictures_join_the_groups_there_are(folder, here, capsys):
    more = here / "more"
    more.mkdir()
    for kind in ("dots", "rings"):
        (folder / kind / "11.jpg").rename(more / f"{kind}.jpg")
    common = ["group", str(folder), "--clusters", "3", "--seeds", "3", "--out", "out"]
    assert main(common) == 0
    first = {line["file"]: line["group"] for line in table(here / "out")}
    assert main([*common, "--add", "more"]) == 0
    lines = {line["file"]: line["group"] for line in table(here / "out")}
    assert {file: lines[file] for file in first} == first
    assert lines["../more/dots.jpg"] == first["dots/00.jpg"]
    assert lines["../more/rings.jpg"] == first["rings/00.jpg"]
    # They stay with every later call.
    assert main([*common, "--link"]) == 0
    assert len(table(here / "out")) == 36
    capsys.readouterr()
    assert main([*common, "--add", "more"]) == 0
    assert "finished already" in capsys.readouterr().err


def test_time_runs_out_and_the_same_command_goes_on(folder, here, monkeypatch, capsys):
    monkeypatch.setenv("JAXCLUST_CACHE", str(here / "cache"))
    for path in folder.rglob("*.jpg"):
        if path.stem >= "04":
            path.unlink()
    computed = []
    real = gather.features_of.features_of

    def counted(name, pictures, progress):
        def show(done, *rest):
            computed.append(done)
            progress(done, *rest)

        return real(name, pictures, show)

    monkeypatch.setattr(gather.features_of, "features_of", counted)
    arguments = ["group", str(folder), "--clusters", "3", "--seeds", "3", "--out", "out"]
    assert main([*arguments, "--max-seconds", "0.001"]) == 0
    assert "stopped before the end; the same command goes on" in capsys.readouterr().out
    assert computed[-1] < 12
    assert not (here / "out" / "groups.csv").exists()
    assert main(arguments) == 0
    assert len(table(here / "out")) == 12


def test_an_archive_and_a_table_are_grouped_like_their_folder(folder, features, here, capsys):
    shutil.make_archive(str(here / "packed"), "zip", folder)
    files = sorted(path.relative_to(here) for path in folder.rglob("*.jpg"))
    (here / "table.csv").write_text("file\n" + "".join(f"{path}\n" for path in files))
    common = ["--clusters", "3", "--quiet"]
    for source in (folder, here / "packed.zip", here / "table.csv"):
        assert main([*words(source, features), *common]) == 0
    groups = [
        [line["group"] for line in table(here / name)]
        for name in ("my pictures-groups", "packed-groups", "table-groups")
    ]
    assert groups[0] == groups[1] == groups[2]
    refused = [*words(here / "packed.zip", features), *common, "--link"]
    assert "link: must be of files on disk, got an archive; --copy can" in error(capsys, refused)
    assert main([*refused[:-1], "--copy"]) == 0
    assert len(list((here / "packed-groups" / "groups").rglob("*.jpg"))) == 36


def test_pictures_that_changed_are_refused_by_name(folder, features, here, capsys):
    common = [*words(folder, features), "--clusters", "3", "--out", "out", "--quiet"]
    assert main(common) == 0
    values = np.load(features)
    np.save(features, values[::-1])
    assert "some pictures or features have changed" in error(capsys, [*common, "--levels"])


def test_what_fails_is_not_kept(folder, features, here, capsys):
    common = [*words(folder, features), "--clusters", "3", "--out", "out", "--quiet"]
    assert main(common) == 0
    before = {path: path.read_bytes() for path in (here / "out").glob("*.*")}
    (here / "bad.csv").write_text("file,group,name\nnowhere.jpg,1,\n")
    assert "nowhere.jpg" in error(capsys, [*common, "--edits", "bad.csv"])
    assert before == {path: path.read_bytes() for path in (here / "out").glob("*.*")}
    assert main(common) == 0


def test_a_merged_group_is_gone_from_the_page_and_the_table(folder, features, here):
    common = [*words(folder, features), "--clusters", "3", "--out", "out", "--quiet"]
    assert main(common) == 0
    (here / "edits.csv").write_text("file,group,name,into\n,2,,0\n")
    assert main([*common, "--edits", "edits.csv"]) == 0
    groups = [line["group"] for line in table(here / "out")]
    assert sorted(groups) == ["0"] * 24 + ["1"] * 12


def test_copies_never_follow_links_to_the_originals(folder, features, here):
    common = [*words(folder, features), "--clusters", "2", "--out", "out", "--quiet"]
    assert main([*common, "--link"]) == 0
    (here / "out" / "groups" / "made.csv").unlink()  # As if the links were somebody's own.
    originals = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    moved = table(here / "out")[0]
    (here / "edits.csv").write_text(
        f"file,group,name\n{moved['file']},{1 - int(moved['group'])},\n"
    )
    assert main([*common, "--copy", "--edits", "edits.csv"]) == 0
    assert originals == {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    placed = [path for path in (here / "out" / "groups").rglob("*.jpg")]
    assert sum(path.is_symlink() for path in placed) == 36
    assert sum(not path.is_symlink() for path in placed) == 36


def test_a_map_takes_the_place_of_nothing_but_an_earlier_map(folder, features, here, capsys):
    common = [*words(folder, features), "--clusters", "3", "--out", "out", "--quiet"]
    (here / "mine.parquet").write_text("mine")
    line = error(capsys, [*common, "--export", "mine.parquet"])
    assert "export: must not exist, got mine.parquet" in line
    for _ in range(2):
        assert main([*common, "--export", "map.parquet"]) == 0


def test_an_earlier_result_is_deleted_only_once_the_new_one_can_be_made(
    folder, features, here, capsys
):
    common = ["group", str(folder), "--seeds", "3", "--out", "out", "--quiet", "--clusters", "3"]
    assert main([*common, "--features", str(features)]) == 0
    (here / "edits.csv").write_text("file,group,name\n,0,Cats\n")
    assert main([*common, "--features", str(features), "--edits", "edits.csv"]) == 0
    before = sorted(path.name for path in (here / "out").iterdir())
    assert "features: must be" in error(capsys, [*common, "--features", "lite", "--overwrite"])
    assert before == sorted(path.name for path in (here / "out").iterdir())
    assert main([*common, "--features", str(features), "--overwrite"]) == 0
    assert {line["name"] for line in table(here / "out")} == {""}
    assert (here / "out" / "old-edits-1.csv").read_text() == (here / "edits.csv").read_text()


def test_what_fails_leaves_no_folder(folder, features, here):
    assert main([*words(folder, features), "--clusters", "40"]) == 2
    assert main([*words(folder, features), "--clusters", "3", "--quiet"]) == 0
    assert [path.name for path in here.glob("*-groups*")] == ["my pictures-groups"]
