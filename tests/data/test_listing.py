"""Which files of a folder, an archive or a table are pictures, and what their classes are."""

import io
import os
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from jaxclust.data import pictures
from jaxclust.data.listing import left_out_words, listing, shown


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def classes_of(listed):
    """The class of each file by its name, "-" for none."""
    assert listed.labels.dtype == np.int32
    names = [listed.classes[number] if number >= 0 else "-" for number in listed.labels]
    return dict(zip(listed.files, names, strict=True))


def test_the_deepest_folder_is_the_class_by_its_own_name(tmp_path):
    touch(tmp_path, "train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "2023/may/d.JPG")
    listed = listing(tmp_path)
    assert listed.files == (
        "2023/may/d.JPG",
        "test/cat/c.png",
        "train/cat/a.png",
        "train/dog/b.png",
    )
    assert listed.classes == ("cat", "dog", "may")
    assert listed.labels.tolist() == [2, 0, 0, 1]
    assert (listed.root, listed.archive) == (tmp_path, None)
    assert listed.path(1) == tmp_path / "test/cat/c.png"
    assert listed.content(1) == b"x"
    assert listed.length(1) == 1


def test_pictures_beside_folders_have_no_label(tmp_path):
    touch(tmp_path, "top.png", "x/a.png", "y/b.png", "y/z/c.png")
    assert classes_of(listing(tmp_path)) == {
        "top.png": "-",
        "x/a.png": "x",
        "y/b.png": "-",
        "y/z/c.png": "z",
    }


@pytest.mark.parametrize(
    "names", [("a.png", "b.png"), ("all/a.png", "all/b.png"), ("1/cat/a.png", "2/cat/b.png")]
)
def test_fewer_than_two_classes_are_no_labels(tmp_path, names):
    touch(tmp_path, *names)
    listed = listing(tmp_path)
    assert (listed.labels, listed.classes) == (None, None)


def test_labels_can_be_left_out(tmp_path):
    touch(tmp_path, "x/a.png", "y/b.png")
    assert listing(tmp_path).classes == ("x", "y")
    assert listing(tmp_path, "none").labels is None


def test_other_files_are_counted_by_ending_and_hidden_ones_are_not(tmp_path):
    touch(tmp_path, "a.png", "b.jfif", "c.jpe", "d.AVIF", "notes.txt", "x/more.TXT", "x/clip.mp4")
    touch(tmp_path, "noending", ".hidden.png", "._a.png", ".cache/b.png", "doc.pdf", "trailing.")
    listed = listing(tmp_path)
    assert listed.files == ("a.png", "b.jfif", "c.jpe", "d.AVIF")
    assert listed.left_out == {".txt": 2, ".mp4": 1, "": 1, ".pdf": 1, ".": 1}
    words = "2 .txt, 1 without ending, 1 ., 1 .mp4, 1 .pdf"
    assert left_out_words(listed.left_out) == words


def test_heic_without_its_package_is_left_out_with_a_hint(tmp_path, monkeypatch):
    touch(tmp_path, "a.heic", "b.HEIC")
    monkeypatch.setattr(pictures, "endings", lambda: frozenset((".png",)))
    with pytest.raises(
        ValueError, match=r"got none; left out: 2 \.heic; \.heic need.* 'jaxclust\[photos\]'$"
    ):
        listing(tmp_path)


def test_links_to_folders_are_followed_once(tmp_path):
    root = tmp_path / "root"
    touch(root, "real/a.png", "real/deep/b.png")
    touch(tmp_path, "outside/c.png", "outside/in/d.png")
    (root / "again").symlink_to(root / "real")
    (root / "real" / "up").symlink_to(root)
    (root / "real" / "above").symlink_to(tmp_path)
    (root / "self").symlink_to(root / "self")
    (root / "linked").symlink_to(tmp_path / "outside")
    (root / "twice").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "back").symlink_to(root / "real")
    listed = listing(root)
    assert listed.files == ("linked/c.png", "linked/in/d.png", "real/a.png", "real/deep/b.png")
    assert listed.left_out == {"": 1}  # The link to itself.


def test_names_in_any_bytes_are_listed_and_can_be_shown(tmp_path):
    odd = [b"\xff\xfe.png", b"new\nline.png", b"tab\t.png", b"q\"uo'te <b>.png", b"  .png"]
    odd += ["写真 é.png".encode(), b"back\\slash.png", b"cafe\xcc\x81.png"]
    for name in odd:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(name)
    listed = listing(tmp_path)
    assert sorted(map(os.fsencode, listed.files)) == sorted(odd)
    for place, name in enumerate(listed.files):
        assert listed.content(place) == os.fsencode(name)
        line = shown(name).encode()  # Fails on what UTF-8 cannot show.
        assert b"\n" not in line
    assert shown(os.fsdecode(b"\xff.png")) == "\\xff.png"
    assert shown("a\nb\x1b[0m\u2028") == "a\\nb\\x1b[0m\\u2028"
    assert shown("写真 é <b>") == "写真 é <b>"


FILES = {
    "photos/cat/1.png": b"one",
    "photos/dog/2.png": b"two",
    "photos/dog/notes.txt": b"x",
    "photos/.hidden.png": b"x",
}


def packed(path, files, mode):
    if mode == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("x.zip", "zip"), ("x.TAR", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz")]
)
def test_an_archive_is_read_like_a_folder(tmp_path, name, mode):
    before = set(tmp_path.iterdir())
    archive = packed(tmp_path / name, FILES, mode)
    listed = listing(archive)
    assert listed.files == ("photos/cat/1.png", "photos/dog/2.png")
    assert listed.classes == ("cat", "dog")
    assert listed.labels.tolist() == [0, 1]
    assert listed.left_out == {".txt": 1}
    assert [listed.content(place) for place in (1, 0, 1)] == [b"two", b"one", b"two"]
    assert (listed.path(0), listed.length(0)) == (None, 3)
    assert set(tmp_path.iterdir()) - before == {archive}


def table(path, text):
    path.write_text(text)
    return path


def test_a_table_names_files_and_labels(tmp_path):
    touch(tmp_path, "in/b.png", "in/x/a", "else/c.jpg")
    rows = f"label,file\ncat,b.png\n,./x/a\ndog,../else/c.jpg\ncat,{tmp_path}/in/d.png\n"
    listed = listing(table(tmp_path / "in" / "t.csv", rows))
    assert listed.root == tmp_path / "in"
    assert listed.files == (f"{tmp_path}/else/c.jpg", "b.png", "d.png", "x/a")
    assert listed.classes == ("cat", "dog")
    assert listed.labels.tolist() == [1, 0, 0, -1]
    assert listed.path(0) == tmp_path / "else" / "c.jpg"
    assert listed.content(1) == b"x"
    assert listed.length(2) == -1  # There is no such file: reading says so.
    assert listing(tmp_path / "in" / "t.csv", "none").labels is None


@pytest.mark.parametrize("column", ["file", "path", "image"])
def test_a_table_needs_no_labels(tmp_path, column):
    pytest.importorskip("pyarrow")
    import pyarrow
    from pyarrow import parquet

    touch(tmp_path, "x/a.png", "y/b.png")
    parquet.write_table(
        pyarrow.table({column: ["x/a.png", "y/b.png"], "n": [1, 2]}), tmp_path / "t.parquet"
    )
    listed = listing(tmp_path / "t.parquet")
    assert (listed.files, listed.labels) == (("x/a.png", "y/b.png"), None)


def test_labels_of_a_table_go_to_the_files_that_they_name(tmp_path):
    touch(tmp_path, "pictures/x/a.png", "pictures/y/b.png", "pictures/c.png", "pictures/d.png")
    rows = f"file;label\nx/a.png;10\n{tmp_path}/pictures/y/b.png;9\nc.png;\nother.png;3\n"
    listed = listing(tmp_path / "pictures", table(tmp_path / "labels.csv", rows))
    assert listed.files == ("c.png", "d.png", "x/a.png", "y/b.png")
    assert listed.classes == ("9", "10")
    assert listed.labels.tolist() == [-1, -1, 1, 0]


def test_blanks_around_a_name_belong_to_it_where_there_is_such_a_file(tmp_path):
    touch(tmp_path, " a.png", "a.png", "b.png", "c.png ")
    rows = "file,label\n a.png, x\na.png,y\n b.png ,z\nc.png ,x\n gone.png,y\n"
    listed = listing(table(tmp_path / "t.csv", rows))
    assert listed.files == (" a.png", "a.png", "b.png", "c.png ", "gone.png")
    assert [listed.classes[label] for label in listed.labels] == ["x", "y", "z", "x", "y"]
    (tmp_path / "c.png ").rename(tmp_path / "c.png")
    labeled = listing(tmp_path, table(tmp_path / "l.csv", "file,label\n a.png,x\n b.png,y\n"))
    assert labeled.files == (" a.png", "a.png", "b.png", "c.png")
    assert labeled.labels.tolist() == [0, -1, 1, -1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("file,label\nx.png,1\n", r"labels: .*must name the pictures relative to .*such as x\.png"),
        ("file,label\n", "got none of them but such as no row"),
        ("file\na.png\n", "labels: .* must have a column label, has none"),
        ("name,label\na.png,1\n", "must have a column file or path or image, got name, label"),
        ("file,label\na.png,1\n./a.png,2\n", r"must give each file one label, got 1 and 2 for a"),
        ("", "must have a column file or path or image, got none"),
        (None, "labels: .* must be a file, and is not there"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, rows, message):
    touch(tmp_path, "pictures/a.png")
    if rows is not None:
        table(tmp_path / "labels.csv", rows)
    with pytest.raises(ValueError, match=message):
        listing(tmp_path / "pictures", tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("file\na.png\n./a.png\n", r"must name each file once, got a\.png more than once"),
        ("file,label\na.png,1\n,2\n", "must name a file in each row, got an empty one"),
        ("file\n", "data: .* must hold pictures .*, got none"),
        ("other\na.png\n", "data: .* must have a column file or path or image, got other"),
        ('file\n"a.png\n', "data: .* must be a readable table"),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        listing(table(tmp_path / "t.csv", rows))


def test_a_table_keeps_names_that_are_no_utf_8(tmp_path):
    touch(tmp_path, os.fsdecode(b"\xff.png"))
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbffile,label\n\xff.png,1\n")
    assert listing(tmp_path / "t.csv").content(0) == b"x"


def test_a_parquet_file_of_other_things_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"image": [{"bytes": b"x", "path": "a"}]}), path)
    with pytest.raises(ValueError, match="column image of .* must hold text or whole numbers"):
        listing(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="data: .*t.parquet must be a readable table"):
        listing(path)
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ValueError, match="needs pip install pyarrow"):
            listing(path)


def test_other_sources_are_refused(tmp_path):
    touch(tmp_path, "a.png")
    with pytest.raises(ValueError, match=r"must be a folder or one of \.zip, .*, got .*a\.png"):
        listing(tmp_path / "a.png")
    with pytest.raises(ValueError, match="must be a folder, an archive or a table, is not there"):
        listing(tmp_path / "none.zip")
