"""Aggregates over data sets against rliable and a slow stratified bootstrap."""

import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.evaluation import stats
from jaxclust.evaluation.stats import many_methods, many_sets
from oracles import ANSWERS


@pytest.mark.parametrize("case", ANSWERS["rliable"], ids=lambda case: f"{np.shape(case['scores'])}")
def test_centers_and_profiles_are_rliables(case):
    table = np.array(case["scores"])
    result = stats.centers(list(table.T), resamples=99)
    assert [center.value for center in result] == pytest.approx(case["centers"])
    share, low, high = stats.profile(list(table.T), np.array(case["levels"]), resamples=99)
    assert share == pytest.approx(np.array(case["profile"]))
    assert ((low - 1e-9 <= share) & (share <= high + 1e-9)).all()


def test_intervals_are_those_of_a_slow_loop():
    table = np.array(ANSWERS["rliable"][1]["scores"])
    runs, sets = table.shape
    rng = np.random.default_rng(3)
    drawn = []
    for _ in range(2000):
        columns = [table[rng.integers(0, runs, runs), place] for place in range(sets)]
        every = np.sort(np.concatenate(columns))
        cut = int(0.25 * every.size)
        means = [column.mean() for column in columns]
        above = np.mean(np.concatenate(columns) > 0.6)
        drawn.append((np.mean(means), np.median(means), every[cut:-cut].mean(), above))
    ends = np.percentile(drawn, [2.5, 97.5], axis=0)
    for place, center in enumerate(stats.centers(list(table.T))):
        assert (center.low, center.high) == pytest.approx(tuple(ends[:, place]), abs=0.006)
    _, low, high = stats.profile(list(table.T), np.array([0.6]))
    assert (low[0], high[0]) == pytest.approx(tuple(ends[:, 3]), abs=0.034)  # A run of 30 is .033.


def test_many_seeds_are_drawn_in_blocks(monkeypatch):
    scores = np.random.default_rng(0).normal(0.8, 0.05, (3, 40))
    at_once = stats.centers(scores, resamples=999)
    monkeypatch.setattr(many_sets, "BLOCK", 12_000)
    for center, other in zip(stats.centers(scores, resamples=999), at_once, strict=True):
        assert center == pytest.approx(other, abs=0.003)


def test_data_sets_may_have_different_numbers_of_seeds():
    result = stats.centers([[0.5, 0.7], [0.9]])
    assert result.mean.value == result.median.value == pytest.approx(0.75)
    assert result.iqm.value == pytest.approx(0.7)
    share, _, _ = stats.profile([[0.5, 0.7], [0.9]], np.array([0.6, 0.9]))
    assert share == pytest.approx([0.75, 0.0])
    alone = stats.centers([[0.5], [0.9]])
    assert np.isnan([alone.mean.low, alone.iqm.high]).all()
    with pytest.raises(UsageError, match="scores: must be of at least one data set, got none"):
        stats.centers([])


@pytest.mark.parametrize("case", ANSWERS["cliques"], ids=lambda case: f"{len(case['ranks'])}")
def test_the_bars_of_the_diagram_are_scikit_posthocs(case):
    table = np.array(case["scores"])
    ranks = many_methods.ranks(table)
    assert ranks == pytest.approx(case["ranks"])
    differ = [tuple(pair) for pair in np.argwhere(many_methods.nemenyi(table) <= 0.05)]
    groups = many_methods.groups(ranks, differ)
    ends = sorted([min(ranks[group]), max(ranks[group])] for group in groups)
    assert np.array(ends) == pytest.approx(np.array(case["bars"]))


def test_groups_by_hand():
    ranks = [2.0, 1.0, 3.0, 4.0]
    assert many_methods.groups(ranks, []) == [[1, 0, 2, 3]]
    assert many_methods.groups(ranks, [(1, 2), (1, 3), (0, 3)]) == [[1, 0], [0, 2], [2, 3]]
    assert many_methods.groups(ranks, [(1, 0), (0, 2), (2, 3), (1, 2), (1, 3), (0, 3)]) == []
