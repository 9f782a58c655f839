"""Tables that are written by hand say what the rows of the repository say."""

import numpy as np
import pytest
from scipy import stats

import doc_words
from experiments import compare
from experiments.rows import RESULTS, read_lines
from jaxclust.comparison import tables
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options

METHODS = ("dcec", "cae-kmeans", "kmeans")
PAGE = (doc_words.ROOT / "docs" / "statistics.md").read_text()


@pytest.mark.parametrize("seeds", [5, 10])
def test_the_tables_are_those_of_the_rows(seeds):
    rows = [row for row in compare.present() if row.data == "digits" and row.seed < seeds]
    cells = compare.grouped(row for name in METHODS for row in rows if row.method == name)
    assert [len(cell.rows) for cell in cells] == [seeds] * 3
    text = tables.FORMATS["text"](comparison(cells, Options()))
    assert text.strip() in PAGE
    verdicts = {"cannot be shown" in text, "dcec beats kmeans" in text}
    assert verdicts == {True, False}


def test_the_tables_of_two_sets_are_those_of_the_rows():
    rows = [row for row in compare.present() if row.data in ("digits", "usps")]
    cells = compare.grouped(
        row
        for data in ("digits", "usps")
        for name in ("dcec", "cae-kmeans")
        for row in rows
        if (row.data, row.method) == (data, name)
    )
    assert [len(cell.rows) for cell in cells] == [10] * 4
    text = tables.FORMATS["text"](comparison(cells, Options()))
    assert text.strip() in PAGE
    assert text.count("dcec beats cae-kmeans") == 2


def test_the_line_of_best_is_that_of_its_rows():
    lines = read_lines(RESULTS / "best.jsonl")
    cells = []
    for data in ("digits", "usps", "mnist-test"):
        acc = [x["acc"] for x in lines if (x["data"], x["variant"]) == (data, "best")]
        low, high = stats.t.interval(0.95, len(acc) - 1, np.mean(acc), stats.sem(acc))
        cells.append(f"{np.mean(acc):.3f} [{low:.3f}, {high:.3f}]")
    page = (doc_words.ROOT / "docs" / "guide" / "choosing.md").read_text()
    assert f"| `best` | {' | '.join(cells)} |" in page
