"""The first table of docs/results.md: what of each paper was reproduced."""

import pytest

from experiments import headlines, rows, verdicts
from experiments.papers.dcec import cells as dcec
from jaxclust.runs.rows import Row


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        ([0.80, 0.82, 0.81], "yes"),
        ([0.79], "yes"),
        ([0.70, 0.82, 0.76], "perhaps"),
        ([0.70, 0.71, 0.70], "no"),
        ([0.70], "no"),
        ([None, 0.81], "yes"),
        ([None], "no"),
    ],
)
def test_a_verdict_is_of_the_mean_and_the_interval(scores, word):
    assert verdicts.words(scores, 0.8, 1) == word


def test_a_mean_has_its_interval_or_says_that_it_is_of_one_seed():
    assert verdicts.mean([None], 1) == ""
    assert verdicts.mean([0.5], 1) == "0.500 (1 seed)"
    # 4.303 is the quantile of t: .1 x 4.303 x sqrt(1/3 + 1/3) on both sides.
    assert verdicts.mean([0.4, 0.5, 0.6], 3) == "0.500 [0.149, 0.851]"


def test_a_line_has_the_papers_settings_and_the_default(monkeypatch):
    made = [
        Row("dcec", "usps", seed, 9298, 10, acc=0.78 + 0.01 * seed, preset="paper")
        for seed in range(3)
    ]
    monkeypatch.setattr(rows, "read", lambda path: made if path == dcec.RESULTS else [])
    line = verdicts.table().splitlines()[2]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["[DCEC](#dcec)", "yes", "usps, ACC", "0.790"]
    assert cells[4].startswith("0.790 [0.7")
    # On USPS the default of DCEC gives the numbers of the paper's settings.
    assert cells[5] == cells[4]


def test_every_line_has_a_number_of_its_paper():
    known = {headline.title: headline for headline in headlines.HEADLINES}
    for verdict in verdicts.VERDICTS:
        headline = known[verdict.title]
        published = headline.layout.published[verdict.data][headline.name]
        assert published[headline.layout.scores.index(verdict.score)] is not None
        assert verdict.default is None or verdict.default in known


def test_the_readme_has_the_first_line_of_each_paper():
    whole = verdicts.table().splitlines()
    short = verdicts.short_table().splitlines()
    assert short[:2] == whole[:2]
    assert [line.split("]")[0] for line in short[2:]] == [
        f"| [{name}" for name in ("DCEC", "JULE", "DBC", "CCNN", "DCTL")
    ]
    for line in short[2:]:
        assert line.replace("docs/results.md", "") in whole
