"""Whole comparisons of random tables, with ties and failed seeds, against SciPy."""

import itertools

import numpy as np
import pytest
import scipy.stats

from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.evaluation import stats
from jaxclust.evaluation.stats import many_methods, two_methods
from jaxclust.runs.cells import Cell
from jaxclust.runs.rows import Row
from run_folders import rows

SIZES = (2, 3, 5, 10, 40, 100)


def cell(method, scores, data="usps"):
    """A cell of a method from {seed: ACC}; None is a failure."""
    result = [Row.from_json(row) for row in rows(method, data, scores)]
    return Cell(data, method, {row.seed: row for row in result})


def table(n, digits, share, methods="abc"):
    """{method: {seed: ACC or None}}; a ``share`` of the seeds has failed."""
    rng = np.random.default_rng([n, digits])
    result = {}
    for place, method in enumerate(methods):
        values = np.round(
            np.clip(rng.normal(0.7 + 0.02 * place, 0.04, n), 0.2, 0.98), digits
        ).tolist()
        lost = set(rng.choice(n, int(share * n), replace=False).tolist())
        result[method] = {
            seed: None if seed in lost else value for seed, value in enumerate(values)
        }
    return result


def exact(a, b):
    """p of sign flips, by SciPy."""
    return scipy.stats.permutation_test(
        (np.array(a), np.array(b)),
        lambda a, b, axis: np.round(np.mean(a - b, axis=axis), 12),
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue


def drawn(a, b, draws=20_000):
    """p of random sign flips, drawn by another generator."""
    gaps = np.array(a) - np.array(b)
    signs = np.random.default_rng(99).choice([-1.0, 1.0], (draws, gaps.size))
    return np.mean(np.abs(signs @ gaps) >= np.abs(gaps.sum()) - 1e-12)


def signed_ranks(gaps):
    """p of Wilcoxon's test, exact also with ties: all sums of twice the ranks, added one by one."""
    ranks = np.round(2 * scipy.stats.rankdata(np.abs(gaps[gaps != 0]))).astype(int)
    ways = np.ones(1)
    for rank in ranks:
        step = np.zeros(rank + 1)
        step[[0, rank]] = 0.5
        ways = np.convolve(ways, step)
    positive = ranks[gaps[gaps != 0] > 0].sum()
    return min(1.0, 2 * min(ways[: positive + 1].sum(), ways[positive:].sum()))


def by_logit(mean, ends):
    """An interval of a score in [0, 1] by the delta method on the logit scale."""
    logits = scipy.special.logit(mean) + (np.array(ends) - mean) / (mean * (1 - mean))
    return tuple(scipy.special.expit(logits))


def stepped(p):
    """Holm's corrected p, one by one."""
    corrected, most = dict.fromkeys(range(len(p)), 1.0), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        most = max(most, min(1.0, p[place] * (len(p) - rank)))
        corrected[place] = most
    return list(corrected.values())


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize("n", SIZES)
def test_a_comparison_is_scipys(n, digits, share):
    scores = table(n, digits, share)
    result = comparison([cell(*one) for one in scores.items()], Options())
    (data,) = result.data
    lowest = min(value for one in scores.values() for value in one.values() if value is not None)
    filled = {
        method: [min(0.1, lowest) if value is None else value for value in one.values()]
        for method, one in scores.items()
    }
    for row in data.methods:
        finished = [value for value in scores[row.method].values() if value is not None]
        assert (row.n, len(row.failed)) == (len(finished), n - len(finished))
        assert row.mean == pytest.approx(np.mean(finished))
        assert row.median == pytest.approx(np.median(finished))
        assert row.iqm == pytest.approx(scipy.stats.trim_mean(finished, 0.25))
        if len(finished) > 1:
            interval = scipy.stats.ttest_1samp(finished, 0).confidence_interval()
            widening = (1 + len(finished)) ** 0.5
            run = [row.mean + widening * (edge - row.mean) for edge in interval]
            inside = run[0] >= 0 and run[1] <= 1
            for ends, expected in (
                ((row.low, row.high), interval),
                ((row.run_low, row.run_high), run),
            ):
                expected = tuple(expected) if inside else by_logit(row.mean, expected)
                assert ends == pytest.approx(expected)
        assert row.worst_mean == pytest.approx(np.mean(filled[row.method]))
    tested = [pair for pair in data.pairs if pair.p is not None]
    assert len(tested) == 3
    for pair in tested:
        one, other = (scores[name] for name in (pair.a, pair.b))
        shared = [seed for seed in one if one[seed] is not None and other[seed] is not None]
        a, b = ([side[seed] for seed in shared] for side in (one, other))
        assert pair.n == (len(shared),) * 2
        interval = scipy.stats.ttest_rel(a, b).confidence_interval()
        expected = (np.mean(a) - np.mean(b), *interval)
        assert (pair.difference, pair.low, pair.high) == pytest.approx(expected)
        assert pair.superiority == pytest.approx(
            np.mean([(x > y) + 0.5 * (x == y) for x, y in itertools.product(a, b)])
        )
        worst = filled[pair.a], filled[pair.b]
        for name, sides in (("p", (a, b)), ("p_worst", worst)):
            expected, near = (exact(*sides), 1e-9) if n <= 10 else (drawn(*sides), 0.02)
            assert getattr(pair, name) == pytest.approx(expected, abs=near)
    for name, corrected in (("p", "p_holm"), ("p_worst", "p_worst_holm")):
        assert [getattr(pair, corrected) for pair in tested] == pytest.approx(
            stepped([getattr(pair, name) for pair in tested])
        )


def welch(a, b, axis=-1):
    return np.abs(scipy.stats.ttest_ind(a, b, axis=axis, equal_var=False).statistic)


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("sizes", [(3, 3), (5, 4), (9, 9), (40, 30)])
def test_an_unpaired_comparison_is_scipys(sizes, share):
    both = {
        method: {100 * place + seed: score for seed, score in table(n, 12, share)[method].items()}
        for place, (method, n) in enumerate(zip("ac", sizes, strict=True))
    }
    pair = comparison([cell(*one) for one in both.items()], Options()).data[0].pairs[0]
    a, b = ([score for score in one.values() if score is not None] for one in both.values())
    least = min(0.1, *a, *b)
    worst = [[least if score is None else score for score in one.values()] for one in both.values()]
    test = scipy.stats.ttest_ind(a, b, equal_var=False)
    assert (pair.test, pair.n) == ("unpaired", (len(a), len(b)))
    expected = (np.mean(a) - np.mean(b), *test.confidence_interval())
    assert (pair.difference, pair.low, pair.high) == pytest.approx(expected)
    for name, (one, other) in (("p", (a, b)), ("p_worst", worst)):
        few = max(sizes) <= 10
        arrangements = scipy.stats.permutation_test(
            (one, other),
            welch,
            vectorized=True,
            alternative="greater",
            n_resamples=np.inf if few else 9999,
            rng=99,
        )
        expected = max(
            arrangements.pvalue, scipy.stats.ttest_ind(one, other, equal_var=False).pvalue
        )
        assert getattr(pair, name) == pytest.approx(expected, rel=1e-6, abs=0 if few else 0.02)


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("n", [3, 5, 10, 40])
def test_a_comparison_with_a_constant_is_scipys(n, share):
    scores = table(n, 12, share)["a"]
    known = cell("ac-gdl", {0: 0.68})
    pair = comparison([known, cell("a", scores)], Options()).data[0].pairs[0]
    finished = [score for score in scores.values() if score is not None]
    low, high = scipy.stats.ttest_1samp(
        [0.68 - score for score in finished], 0
    ).confidence_interval()
    assert (pair.low, pair.high) == pytest.approx((low, high))
    worst = [min(0.1, *finished) if score is None else score for score in scores.values()]
    for name, values in (("p", finished), ("p_worst", worst)):
        expected, near = (exact, 1e-9) if n <= 10 else (drawn, 0.02)
        assert getattr(pair, name) == pytest.approx(
            expected([0.68] * len(values), values), abs=near
        )


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize("n", SIZES)
def test_wilcoxon_comparisons_are_scipys(n, digits):
    scores = {
        name: {seed: round(acc * 64) / 64 for seed, acc in one.items()} if digits == 2 else one
        for name, one in table(n, digits, 0).items()
    }
    result = comparison([cell(*one) for one in scores.items()], Options(test="wilcoxon"))
    for pair in result.data[0].pairs:
        a, b = (np.array(list(scores[name].values())) for name in (pair.a, pair.b))
        assert pair.p == pytest.approx(signed_ranks(a - b))
        if digits == 12:
            assert pair.p == pytest.approx(scipy.stats.wilcoxon(a, b, method="exact").pvalue)


@pytest.mark.parametrize("n", [10, 40, 100])
def test_bootstrap_t_intervals_are_a_slow_loops(n):
    values = list(table(n, 12, 0)["a"].values())
    rng, ts = np.random.default_rng(5), []
    for places in rng.integers(0, n, (399, n)):
        draw = [values[place] for place in places]
        ts.append((np.mean(draw) - np.mean(values)) / (np.std(draw, ddof=1) / n**0.5))
    ts, error = sorted(ts), np.std(values, ddof=1) / n**0.5
    expected = np.mean(values) - ts[389] * error, np.mean(values) - ts[9] * error
    assert stats.bootstrap_t(values, 0.95, 399, seed=5) == pytest.approx(expected)


@pytest.mark.parametrize("digits", [1, 12])
@pytest.mark.parametrize("sets", [3, 5, 8, 20])
def test_ranks_over_data_sets_are_scipys(sets, digits):
    rng = np.random.default_rng([sets, digits])
    means = np.round(
        np.clip(rng.normal([0.6, 0.63, 0.66, 0.9], 0.1, (sets, 4)), 0.05, 0.98), digits
    )
    cells = [
        cell(method, dict.fromkeys(range(2), means[i, j]), f"set-{i}")
        for i in range(sets)
        for j, method in enumerate("abcd")
    ]
    result = comparison(cells, Options()).ranks
    ranks = np.mean([scipy.stats.rankdata(-row) for row in means], axis=0)
    assert result.ranks == pytest.approx(ranks)
    assert result.friedman == pytest.approx(tuple(scipy.stats.friedmanchisquare(*means.T)))
    p = [pair.p for pair in result.pairs]
    if sets < many_methods.LEAST_DATA_SETS:
        pairs = itertools.combinations(range(4), 2)
        assert p == pytest.approx(
            stepped([two_methods.wilcoxon(means[:, i], means[:, j]) for i, j in pairs])
        )
        assert result.critical_difference is None
    else:
        error = (4 * 5 / (12 * sets)) ** 0.5
        gaps = [abs(ranks[i] - ranks[j]) / error for i, j in itertools.combinations(range(4), 2)]
        assert p == pytest.approx(
            scipy.stats.studentized_range.sf(np.array(gaps), 4, np.inf), abs=1e-6
        )
