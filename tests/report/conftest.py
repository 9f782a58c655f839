"""Runs and pages that the tests of the report share."""

import pytest

import pages
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.report.write import write_report
from jaxclust.runs import collect


@pytest.fixture(scope="session")
def run(finished):
    """Folder of a run of IDEC on 300 digits, with seeds 0 and 3."""
    return finished


@pytest.fixture(scope="session")
def report(run, data, tmp_path_factory):
    """The page of that run, and its only look."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    cells, notes = collect.read([str(run)])
    (look,) = write_report(out, comparison(cells, Options(), notes), cells, [], [str(data)])
    return out, look


@pytest.fixture(scope="session")
def path(report):
    """The page of that run."""
    return report[0]


@pytest.fixture(scope="session")
def page(path):
    """The elements of that page."""
    return pages.Page(path.read_text())


@pytest.fixture(scope="session")
def auto(tmp_path_factory):
    """The page of a run whose number of clusters was chosen."""
    return pages.chosen(tmp_path_factory.mktemp("auto"))


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """The page of a run of many seeds."""
    return pages.large(tmp_path_factory.mktemp("large"))
