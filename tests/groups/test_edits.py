"""Corrections of groups, read from a CSV file."""

import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.groups.edits import apply_edits, read_edits

NAMES = ("a.jpg", "b, c.jpg", "caf\udce9.jpg", "two\nlines.jpg", "e.jpg", "f.jpg")
GROUPS = np.array([0, 0, 1, 1, 2, -1], np.int32)
GROUP_NAMES = ("", "Cats", "")


def applied(folder, text):
    path = folder / "edits.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return apply_edits(read_edits(path), NAMES, GROUPS, GROUP_NAMES)


def test_every_kind_of_row(tmp_path):
    groups, names = applied(
        tmp_path,
        "file,group,name,into\n"
        ',0,"Dogs, ""good""",\n'
        ",1,,0\n"
        ",3,New,\n"
        "caf\udce9.jpg,3,,\n"
        '"b, c.jpg",-1,,\n'
        "f.jpg,2,,\n",
    )
    np.testing.assert_array_equal(groups, [0, -1, 3, 0, 2, 2])
    assert groups.dtype == np.int32
    assert names == ['Dogs, "good"', "Cats", "", "New"]


def test_a_chain_of_merges_leads_to_its_end_and_the_order_is_of_no_account(tmp_path):
    text = 'name,into,group,file\n,,4,"two\nlines.jpg"\n,4,1,\n,1,0,\n,,3,a.jpg\n'
    groups, names = applied(tmp_path, text)
    np.testing.assert_array_equal(groups, [3, 4, 4, 4, 2, -1])
    assert names == ["", "Cats", "", "", ""]


def test_what_a_spreadsheet_saves(tmp_path):
    groups, names = applied(tmp_path, "\ufefffile,group,name\r\n\r\n,1,\r\n,,\r\na.jpg,1,\r\n")
    np.testing.assert_array_equal(groups, [1, 0, 1, 1, 2, -1])
    assert names == ["", "", ""]


def test_no_corrections(tmp_path):
    groups, names = applied(tmp_path, "file,group,name,into\n")
    np.testing.assert_array_equal(groups, GROUPS)
    assert names == list(GROUP_NAMES)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b.jpg,0,,", "line 2: file must be one of the 6 pictures, got 'b.jpg'; did you mean"),
        ("a.jpg,4,,", "line 2: group must be -1 to 2, got '4'"),
        ("a.jpg,,,", "line 2: group must be -1 to 2, got ''"),
        ("a.jpg,cats,,", "line 2: group must be -1 to 2, got 'cats'"),
        (",-1,x,", "line 2: group must be 0 to 2, got '-1'"),
        (",0,,7", "line 2: group must be 0 to 2, got '7'"),
        ("a.jpg,1,x,", "line 2: must fill one of file, name and into, got a.jpg,1,x,"),
        (",1,x,2", "line 2: must fill one of file, name and into"),
        ("a.jpg,1", "line 2: must have 4 cells, got 2"),
        ("a.jpg,1,,\na.jpg,2,,", "line 3: must not give the file 'a.jpg' a second time"),
        (",1,x,\n,1,y,", "line 3: must not give the name of group 1 a second time"),
        (",1,,0\na.jpg,1,,", "line 3: group must not be merged by another row, got 1"),
        (",1,,0\n,1,,2", "line 3: must not merge group 1 into two groups"),
        (",1,,0\n,0,,1", "line 3: must not merge group 0 into itself"),
        (",1,,1", "line 2: must not merge group 1 into itself"),
        ('"a.jpg,1,,', "must be a CSV file that can be read (unexpected end of data)"),
    ],
)
def test_a_bad_row_is_refused_in_one_line(tmp_path, rows, message):
    with pytest.raises(UsageError) as caught:
        applied(tmp_path, f"file,group,name,into\n{rows}\n")
    words = str(caught.value)
    assert words.startswith("edits: ")
    assert message in words
    assert "\n" not in words


@pytest.mark.parametrize("header", ["file;group;name", "", "file,group", "group,name"])
def test_a_missing_column_is_refused(tmp_path, header):
    with pytest.raises(UsageError, match="must have the columns file, group and name, got"):
        applied(tmp_path, header + "\n")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="must be a CSV file that can be read"):
        read_edits(tmp_path / "none.csv")


def test_files_that_are_moved_one_by_one(tmp_path):
    path = tmp_path / "edits.csv"
    path.write_text("file,group,name,into\n,1,,0\nb.jpg,2,,\n,0,Cats,\n")
    assert read_edits(path).moved_files == {"b.jpg"}
