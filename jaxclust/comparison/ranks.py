"""Methods ranked over data sets, each data set's seeds pooled to their mean."""

import itertools
from collections.abc import Sequence

import numpy as np

from jaxclust.comparison.options import Options
from jaxclust.comparison.types import DataSetComparison, RankPair, Ranks
from jaxclust.evaluation.stats import many_methods, power, two_methods


def ranks(data: Sequence[DataSetComparison], options: Options) -> Ranks | None:
    """Ranks of the methods, Friedman's test, and which methods differ.

    The same ranks with failed and missing seeds as chance stand beside them.

    Returns:
      The ranks; None where fewer than two data sets or two methods can be ranked.
    """
    summaries = [
        {summary.method: summary for summary in one.methods if summary.mean is not None}
        for one in data
    ]
    methods = [name for name in summaries[0] if all(name in one for one in summaries)]
    if len(data) < 2 or len(methods) < 2:
        return None
    means = np.array([[one[name].mean for name in methods] for one in summaries], float)
    worst = np.array([[one[name].worst_mean for name in methods] for one in summaries])
    few = len(data) < many_methods.LEAST_DATA_SETS
    pairs = [
        (i, j)
        for i, j in itertools.combinations(range(len(methods)), 2)
        if options.baseline is None or options.baseline in (methods[i], methods[j])
    ]
    failed = any(one[name].failed or one[name].missing for one in summaries for name in methods)
    p = _corrected(means, pairs, few)
    p_worst = _corrected(worst, pairs, few) if failed else p
    critical = None
    if not few:
        critical = many_methods.critical_difference(len(methods), len(data), options.alpha)
    smallest = None
    if few and pairs:
        smallest = min(1.0, power.smallest_p(len(data)) * len(pairs))
    places = None
    if options.baseline is None and (smallest is None or smallest <= options.alpha):
        both = zip(pairs, p, p_worst, strict=True)
        differ = [pair for pair, own, worst_p in both if max(own, worst_p) <= options.alpha]
        places = many_methods.groups(many_methods.ranks(means).tolist(), differ)
    everyone = {summary.method for one in data for summary in one.methods}
    return Ranks(
        data=tuple(one.name for one in data),
        methods=tuple(methods),
        left_out=tuple(sorted(everyone - set(methods))),
        ranks=tuple(many_methods.ranks(means).tolist()),
        ranks_worst=tuple(many_methods.ranks(worst).tolist()) if failed else None,
        friedman=many_methods.friedman(means) if len(methods) > 2 else None,
        critical_difference=critical,
        smallest_p=smallest,
        pairs=tuple(
            RankPair(methods[i], methods[j], p[place], p_worst[place])
            for place, (i, j) in enumerate(pairs)
        ),
        groups=None
        if places is None
        else tuple(tuple(methods[place] for place in group) for group in places),
    )


def _corrected(scores: np.ndarray, pairs: list[tuple[int, int]], few: bool) -> list[float]:
    """Corrected p of pairs of columns.

    Args:
      scores: one score for each data set and method, float (data sets, methods).
      pairs: places of the columns.
      few: whether the data sets are too few for Nemenyi's test; Wilcoxon's with Holm's correction
        takes its place.
    """
    if few:
        p = [two_methods.wilcoxon(scores[:, i], scores[:, j]) for i, j in pairs]
        return [float(value) for value in two_methods.holm(p)]
    matrix = many_methods.nemenyi(scores)
    return [float(matrix[pair]) for pair in pairs]
