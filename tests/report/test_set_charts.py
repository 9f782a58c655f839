"""What the report draws of several data sets, and what the comparison prints of them."""

import re

import pytest

from jaxclust.comparison import tables
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.evaluation import stats
from jaxclust.report import page, set_charts
from jaxclust.runs.cells import Cell
from jaxclust.runs.rows import Row
from pages import Page
from run_folders import BAD, GOOD, compare, make, rows


def cell(method, scores, data):
    result = [Row.from_json(row) for row in rows(method, data, dict(enumerate(scores)))]
    return Cell(data, method, {row.seed: row for row in result})


@pytest.fixture(scope="module")
def compared():
    """Three methods on eight sets, of which "worst" is far below the other two."""
    cells = []
    for place in range(8):
        for method, scores in (("good", GOOD), ("<near>", GOOD[::-1]), ("worst", BAD)):
            shift = 0.02 * place + (0.001 if (place % 2) == (method == "good") else 0)
            cells.append(cell(method, [score - shift for score in scores], f"set-{place}"))
    return comparison(cells, Options())


def test_the_aggregates_are_those_of_all_scores(compared):
    result = compared.aggregates
    assert [row.method for row in result.methods][-1] == "worst"
    for row in result.methods:
        summaries = [
            next(one for one in data.methods if one.method == row.method) for data in compared.data
        ]
        scores = [list(one.seeds.values()) for one in summaries]
        mean, median, iqm = stats.centers(scores)
        assert (row.mean, row.mean_low, row.mean_high) == pytest.approx(tuple(mean))
        assert (row.median, row.median_low, row.median_high) == pytest.approx(tuple(median))
        assert (row.iqm, row.iqm_low, row.iqm_high) == pytest.approx(tuple(iqm))
        assert (row.n, row.worst_mean) == (64, pytest.approx(row.mean))
        every = [score for one in scores for score in one]
        for level, share in zip(result.levels, row.shares, strict=True):
            assert share == pytest.approx(sum(score > level for score in every) / 64)


def test_the_tables_have_them(compared):
    titles = [table.title for table in tables.sections(compared)]
    assert titles[-2].startswith("over 8 data sets: ACC, 95 % intervals of a stratified bootstrap")
    assert titles[-1] == "performance profile: share of runs whose ACC is above a value"
    groups = next(table for table in tables.sections(compared) if "groups by rank" in table.title)
    assert [sorted(row[1].split(", ")) for row in groups.rows] == [["<near>", "good"]]
    assert compared.to_json()["aggregates"]["methods"][0]["n"] == 64


def test_the_page_draws_them(compared):
    drawn = Page(page.render(compared, [], []))
    labels = [one["aria-label"] for one in drawn.all("svg")]
    assert (
        sum(label.startswith("Share of runs whose ACC is above a value") for label in labels) == 1
    )
    (ranks,) = [label for label in labels if label.startswith("Mean ranks over 8 data sets")]
    assert "worst 3.00" in ranks
    assert "critical difference 1.17" in drawn.text
    assert "A bar joins methods that do not differ by Nemenyi's test." in drawn.text


def test_a_bar_joins_the_ranks_of_its_group(compared):
    chart = set_charts.rank_diagram(compared.ranks)
    (bar,) = re.findall(r'class="thick" x1="([\d.]+)" x2="([\d.]+)"', chart)
    # Ranks 1 to 3 stand at 120 to 320.
    own = dict(zip(compared.ranks.methods, compared.ranks.ranks, strict=True))
    expected = sorted(120 + 100 * (own[method] - 1) for method in ("good", "<near>"))
    assert [float(end) for end in bar] == pytest.approx(expected, abs=0.06)
    assert "<near>" not in chart


def test_one_data_set_or_few_have_neither(tmp_path, capsys):
    runs = [
        make(tmp_path / f"{name}-{data}", name, scores, data=data)
        for name, scores in (("a", GOOD), ("b", BAD), ("c", [*BAD[:7], None]))
        for data in ("usps", "digits")
    ]
    assert compare(capsys, *runs[::2])["aggregates"] is None
    result = compare(capsys, *runs)
    assert "groups" not in {key for key, value in result["ranks"].items() if value is not None}
    (lost,) = [one for one in result["aggregates"]["methods"] if one["method"] == "c"]
    assert lost["n"] == 14
    assert lost["worst_mean"] < lost["mean"]
    text = compare(capsys, *runs, form="text")
    assert "mean, failed or missing as chance" in text
    assert "aggregates,,c,,iqm," in compare(capsys, *runs, form="csv")
