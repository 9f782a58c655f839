"""Rows stay valid: today's settings of every cell give the config hash that its rows have.

A cell whose rows have another hash would be refused, and all of its seeds would have to run anew.
"""

import functools
import itertools

import numpy as np
import pytest

from experiments import best, compare, rows, runner
from experiments.experiment import Request
from experiments.papers.ccnn import cells as ccnn
from experiments.papers.dbc import cells as dbc
from experiments.papers.dbc import curves
from experiments.papers.dcec import cells as dcec
from experiments.papers.dctl import cells as dctl
from experiments.papers.jule import cells as jule
from jaxclust.data import datasets
from jaxclust.data.named_sets import SETS
from jaxclust.runs.settings import digest

pytestmark = pytest.mark.usefixtures("fingerprints_once")

AT_HAND = ("digits", "coil20-32", "usps", "usps-11000", "mnist-test", "yaleb")
REQUEST = Request()


@pytest.fixture(autouse=True, scope="module")
def _files_are_read_once():
    """Keeps the lines of each file, which every cell asks for anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "read_lines", functools.cache(rows.read_lines))
        yield


@pytest.fixture(scope="module", params=AT_HAND)
def dataset(request):
    """A named set whose file is here; experiments read no other set."""
    known = SETS[request.param]
    if known.file is not None and known.path is None:
        pytest.skip(f"no {known.file} here")
    found = datasets.load(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", lambda name: found if name == found.name else None)
        yield found


def paper_cells(dataset):
    """The cells of all papers on a data set."""
    for paper in ((dcec.RESULTS, dcec.SEEDS, dcec.METHODS), (dbc.RESULTS, dbc.SEEDS, dbc.METHODS)):
        yield from plain(*paper, dataset)
    yield from plain(dbc.FRESH_RESULTS, dbc.FRESH, dbc.GAIN, dataset)
    if dataset.name in dbc.SEEDS:
        for variant in dbc.VARIANTS:
            yield curves.cell_of(dataset, variant, REQUEST)
    if dataset.name in jule.SEEDS:
        for variant in jule.VARIANTS:
            yield jule.cell_of(dataset, variant, REQUEST)
    if dataset.name in ccnn.SEEDS:
        for variant, start in itertools.product(ccnn.VARIANTS, ccnn.STARTS):
            yield ccnn.cell_of(dataset, variant, start, REQUEST)
    if dataset.name in dctl.SEEDS:
        for name in (*dctl.METHODS, *dctl.OPENED):
            if (dataset.name, name) != dctl.TOO_SMALL:
                yield dctl.cell_of(dataset.name, name, REQUEST)


def plain(results, seeds, methods, dataset):
    """The cells of a paper that runs methods at their papers' settings."""
    if dataset.name in seeds:
        asked = REQUEST._replace(data=(dataset.name,), methods=methods)
        yield from runner.plain_cells(results, seeds, asked)


def test_every_row_of_the_papers_has_todays_hash(dataset, monkeypatch):
    grid = dataset._replace(images=np.zeros((len(dataset.images), 15, 20, 1), np.float32))
    given = lambda data, name: dataset if dctl.SPECS[name].pixels else grid  # noqa: E731
    monkeypatch.setattr(dctl, "dataset_of", given)  # The hash is of the images behind features.
    checked = 0
    for cell in paper_cells(dataset):
        lines = runner.lines_of(cell.results, cell.key)
        hashes = {line["config_hash"] for line in lines}
        assert hashes <= {digest(cell.settings)}, (cell.results.name, cell.key)
        checked += len(lines)
    files = {dcec.RESULTS, dbc.RESULTS, dbc.FRESH_RESULTS, dbc.CURVES, jule.RESULTS}
    every = [
        line
        for path in files | {ccnn.RESULTS, dctl.RESULTS}
        for line in rows.read_lines(path)
        if line["data"] == dataset.name and line.get("config_hash") is not None
    ]
    assert checked == len(every)


def test_every_row_of_the_comparison_has_todays_hash(dataset):
    made = [row for row in rows.read(compare.RESULTS) if row.data == dataset.name]
    known = {
        (row.method, row.preset): compare.config_hash(
            dataset, compare.METHOD_OF[row.method], row.preset or ""
        )
        for row in made
    }
    for row in made:
        assert row.config_hash == known[row.method, row.preset], (row.data, row.method)


def test_every_row_of_best_has_todays_hash(dataset):
    for variant in best.VARIANTS if dataset.name in best.SEEDS else ():
        first = next(best.groups(dataset.name, variant, REQUEST))
        lines = [
            line for path in (best.RESULTS, best.VOTES) for line in runner.lines_of(path, first.key)
        ]
        assert {line["config_hash"] for line in lines} <= {digest(first.settings)}, variant
        assert lines or (dataset.name, variant) != ("usps", "best")
