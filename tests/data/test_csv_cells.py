"""Text in CSV files: spreadsheets show it, and it is read back as it was."""

import csv
import io

import pytest

from jaxclust.data import tables
from jaxclust.data.csv_cells import csv_text, from_cell, to_cell
from jaxclust.errors import UsageError
from jaxclust.runs.files import read_csv, write_csv

FORMULAS = (
    "=1+1.png",
    "+a",
    "-a",
    "-1.5.png",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "\uff1dx",
    "-",
    "-01",
)
TEXTS = (*FORMULAS, "'=a", "''-b", "'a", "a=b", "", "it's", " =a", "'", "\udcff", "-1.5", "7")


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_shown_and_read_back(text):
    cell = to_cell(text)
    assert from_cell(cell) == text
    assert cell[:1] not in tuple("=+@\t\r\n\uff1d")
    assert not cell.startswith("-") or cell == "-1.5"


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_begin_with_an_apostrophe(text):
    assert to_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "value", ["-1.5", "-0.25", "-1e-07", "-1.2e+10", "-inf", -1.5, -3, None, "0"]
)
def test_numbers_stay_numbers(value):
    assert to_cell(value) == value


def test_tables_are_written_and_read_by_the_rule(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ["file", "label"], [(text, -1.5) for text in FORMULAS])
    text = path.read_bytes().decode()
    raw = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert raw == [[f"'{text}", "-1.5"] for text in FORMULAS]
    assert [line["file"] for line in read_csv(path)] == list(FORMULAS)
    assert csv_text([["file", "label"], ["=a", "-1.5"]]) == "file,label\n'=a,-1.5\n"


def test_tables_of_pictures_are_read_by_the_rule(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("file,label\n'=a.png,'-x\n=b.png,y\n''=c.png,z\n")
    table = tables.read_table(path, "data")
    assert table.files == ["=a.png", "=b.png", "'=c.png"]
    assert table.labels == ["-x", "y", "z"]


def test_a_line_with_a_cell_too_many_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("file,reason\na.png,damaged,more\n")
    with pytest.raises(UsageError, match="a line with more cells than the first"):
        read_csv(path)
