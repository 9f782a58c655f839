"""The page of the comparison: the whole table, and a look into the runs that are asked for."""

import numpy as np
import pytest

from experiments import compare, results, rows
from experiments.experiment import Request
from jaxclust.comparison.compare import comparison as compared
from jaxclust.comparison.options import Options
from jaxclust.errors import UsageError
from jaxclust.runs.files import write_labels
from jaxclust.runs.rows import Row
from pages import Page
from run_folders import make
from run_folders import rows as lines_of


def cells():
    """Two methods on two data sets, with five seeds each."""
    made = [
        Row.from_json(line)
        for data in ("digits", "usps")
        for method, first in (("kmeans", 0.5), ("dcec", 0.8))
        for line in lines_of(method, data, {seed: first + 0.01 * seed for seed in range(5)})
    ]
    return compare.grouped(made)


@pytest.fixture
def comparison(monkeypatch):
    """A comparison that stands for that of all rows."""
    found = compared(cells(), Options(baseline="kmeans", family="data"))
    monkeypatch.setattr(compare, "results", lambda *_: found)
    return found


def scores_of(page):
    """The labels of the charts of ACC."""
    labels = [chart["aria-label"] for chart in page.all("svg")]
    return [label for label in labels if label.startswith("ACC of each seed on")]


def test_a_page_has_the_whole_table_and_a_look_into_the_runs_that_are_asked_for(
    comparison, monkeypatch, tmp_path
):
    folder = tmp_path / "digits"
    folder.mkdir()
    run = make(folder / "kmeans", "kmeans", [0.5, 0.6], data="digits")
    write_labels(run / "labels.npy", np.tile(np.arange(100) % 10, (2, 1)))
    monkeypatch.setattr(compare, "run", lambda request, page: True)
    monkeypatch.setattr(compare, "present", lambda: rows.read(run / "results.jsonl"))
    request = Request(data=("digits",), folder=tmp_path, out=tmp_path / "report.html")
    assert compare.write_page(request)
    page = Page(request.out.read_text())
    sets = [label.split()[5][:-1] for label in scores_of(page)]
    assert sets == [data.name for data in comparison.data]
    assert [section["id"] for section in page.all("section")] == ["comparison", "run-0"]
    other = [Row.from_json(line) for line in lines_of("kmeans", "digits", {0: 0.5, 1: 0.7})]
    monkeypatch.setattr(compare, "present", lambda: other)
    rule = "must have the scores of the rows, has others of digits, kmeans, seed 1"
    with pytest.raises(UsageError, match=rule):
        compare.write_page(request)
    with pytest.raises(UsageError, match="out: must end in .html"):
        compare.write_page(request._replace(out=tmp_path / "report.txt"))
    with pytest.raises(UsageError, match="out: must name the page, got none"):
        compare.write_page(request._replace(out=None))


def test_a_page_is_left_as_it_is_while_runs_wait_for_more_time(comparison, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("of all runs")
    request = Request(data=("digits",), methods=("kmeans",), folder=tmp_path, out=page)
    rule = "report.html is not written, some runs wait for more time"
    with pytest.raises(UsageError, match=rule):
        compare.write_page(request._replace(deadline=0.0))
    assert page.read_text() == "of all runs"


def test_the_page_in_the_docs_is_of_the_rows():
    """The page shows some methods on digits."""
    (chart,) = scores_of(Page((results.ROOT / "docs" / "report.html").read_text()))
    (data,) = compare.results(("digits",)).data
    assert chart.startswith("ACC of each seed on digits: ")
    shown = [summary for summary in data.methods if f" {summary.method} 0." in chart]
    assert {"kmeans", "dcec", "jule-rc"} <= {summary.method for summary in shown}
    for summary in shown:
        texts = ["failed" if s is None else f"{s:.3f}" for s in summary.seeds.values()]
        assert f" {summary.method} {', '.join(texts)}" in chart
