"""What a comparison holds: summaries of methods, differences of pairs, ranks over data sets."""

import dataclasses
from collections.abc import Mapping

from jaxclust.comparison.options import Options
from jaxclust.types import Json


@dataclasses.dataclass(frozen=True)
class MethodSummary:
    """The scores of one method on one data set.

    Attributes:
      method: the method's name.
      clusters: number of clusters.
      seeds: the score of each seed; None for a seed that failed.
      n: number of seeds with a score.
      constant: whether the method draws no random number, so that one seed is all there is.
      failed: where each failed seed met its NaN or inf.
      missing: seeds that were asked for and have no row.
      worst_mean: the mean with failed and missing seeds as chance.
      mean: the mean; None, like all that follow, where no seed has a score.
      sd: standard deviation with n - 1; None for one seed.
      low: lower end of the interval of the mean; None where there is none or it is infinite.
      high: upper end.
      run_low: lower end of the interval in which one more run falls.
      run_high: upper end.
      median: the median.
      iqm: the interquartile mean.
    """

    method: str
    clusters: int
    seeds: Mapping[int, float | None]
    n: int
    constant: bool
    failed: Mapping[int, str]
    missing: tuple[int, ...]
    worst_mean: float
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    run_low: float | None = None
    run_high: float | None = None
    median: float | None = None
    iqm: float | None = None

    def to_json(self) -> dict[str, Json]:
        """As ``jaxclust compare --format json`` prints it."""
        return _json(self) | {
            "seeds": {str(seed): score for seed, score in self.seeds.items()},
            "failed": {str(seed): place for seed, place in self.failed.items()},
        }


@dataclasses.dataclass(frozen=True)
class Pair:
    """The difference of two methods on one data set, its test, and what may be claimed.

    Attributes:
      a: a method's name.
      b: the other's.
      test: the test's name; "none" where there is nothing to test.
      n: numbers of seeds that are tested, of a and of b.
      difference: mean(a) - mean(b) of these seeds; None, like what follows, where it is unknown.
      low: lower end of the difference's interval.
      high: upper end.
      superiority: probability that a run of a beats a run of b; a tie counts half.
      superiority_low: lower end of its interval.
      superiority_high: upper end.
      p: p of the test.
      p_holm: p corrected for the family.
      p_worst: p with failed and missing seeds as chance.
      p_worst_holm: ``p_worst`` corrected for the family.
      smallest_p: the smallest p that the numbers of seeds allow.
      smallest_holm: ``smallest_p`` corrected for the family.
      seeds_needed: seeds of each method for the difference asked for, at the lower end of the
        spread's interval, at the spread, and at the upper end.
      hint: what the family asks for, where these seeds cannot show a difference.
      verdict: what may be claimed, as a sentence.
      difference_worst: ``difference`` with failed and missing seeds as chance.
      p_equal: p of the test that the methods are equal within the difference that was asked for;
        None where none was.
      p_equal_holm: ``p_equal`` corrected for the family.
      p_equal_worst_holm: the same with failed and missing seeds as chance.
    """

    a: str
    b: str
    test: str
    n: tuple[int, int]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    superiority: float | None = None
    superiority_low: float | None = None
    superiority_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    p_worst: float | None = None
    p_worst_holm: float | None = None
    smallest_p: float | None = None
    smallest_holm: float | None = None
    seeds_needed: tuple[int, ...] | None = None
    hint: str | None = None
    verdict: str = "not tested"
    difference_worst: float | None = None
    p_equal: float | None = None
    p_equal_holm: float | None = None
    p_equal_worst_holm: float | None = None

    def to_json(self) -> dict[str, Json]:
        """As ``jaxclust compare --format json`` prints it."""
        values = _json(self)
        if self.difference_worst is None:
            del values["difference_worst"]  # Only a pair that is tested has it.
        if self.p_equal is None:
            del values["p_equal"], values["p_equal_holm"], values["p_equal_worst_holm"]
        return values


@dataclasses.dataclass(frozen=True)
class DataSetComparison:
    """The methods on one data set.

    Attributes:
      name: the data set's name.
      n: number of images.
      methods: a summary of each method.
      pairs: the pairs that are compared.
      family: how many comparisons the pairs are corrected for.
    """

    name: str
    n: int
    methods: tuple[MethodSummary, ...]
    pairs: tuple[Pair, ...]
    family: int

    def to_json(self) -> dict[str, Json]:
        """As ``jaxclust compare --format json`` prints it."""
        methods: list[Json] = [method.to_json() for method in self.methods]
        pairs: list[Json] = [pair.to_json() for pair in self.pairs]
        parts: dict[str, Json] = {"methods": methods, "pairs": pairs}
        return _json(self) | parts


@dataclasses.dataclass(frozen=True)
class RankPair:
    """Two methods by their ranks over data sets.

    Attributes:
      a: a method's name.
      b: the other's.
      p: corrected p of the difference of their ranks.
      p_worst: the same with failed and missing seeds as chance.
    """

    a: str
    b: str
    p: float
    p_worst: float


@dataclasses.dataclass(frozen=True)
class Ranks:
    """Methods ranked over data sets, where each data set's seeds are pooled to their mean.

    Attributes:
      data: the data sets' names.
      methods: the methods that have a score on each of them.
      left_out: the other methods.
      ranks: mean rank of each method, 1 the best.
      ranks_worst: the same with failed and missing seeds as chance; None where there are none.
      friedman: chi-square and p of Friedman's test; None for two methods.
      critical_difference: Nemenyi's; None where the data sets are too few for it.
      smallest_p: the smallest corrected p that so few data sets allow; None where they are enough.
      pairs: the pairs that are compared.
      groups: methods between which no difference is shown, as a critical-difference diagram has
        them; None where not all pairs are compared, or so few data sets can show no difference.
    """

    data: tuple[str, ...]
    methods: tuple[str, ...]
    left_out: tuple[str, ...]
    ranks: tuple[float, ...]
    ranks_worst: tuple[float, ...] | None
    friedman: tuple[float, float] | None
    critical_difference: float | None
    smallest_p: float | None
    pairs: tuple[RankPair, ...]
    groups: tuple[tuple[str, ...], ...] | None = None

    def to_json(self) -> dict[str, Json]:
        """As ``jaxclust compare --format json`` prints it."""
        pairs: list[Json] = [_json(pair) for pair in self.pairs]
        parts: dict[str, Json] = {"pairs": pairs}
        if self.groups is not None:
            parts["groups"] = [list(group) for group in self.groups]
        return _json(self) | parts


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """The scores of one method over all data sets; intervals are of a stratified bootstrap.

    Attributes:
      method: the method's name.
      n: number of scores of all data sets.
      iqm: mean of the middle half of all scores.
      iqm_low: lower end of its interval; None, like every end, where no data set has two seeds.
      iqm_high: upper end.
      mean: mean of the data sets' means.
      mean_low: lower end of its interval.
      mean_high: upper end.
      median: median of the data sets' means.
      median_low: lower end of its interval.
      median_high: upper end.
      worst_mean: ``mean`` with failed and missing seeds as chance.
      shares: share of runs whose score is above each of ``Aggregates.levels``.
      shares_low: lower ends of their intervals; None where there is none.
      shares_high: upper ends.
    """

    method: str
    n: int
    iqm: float
    iqm_low: float | None
    iqm_high: float | None
    mean: float
    mean_low: float | None
    mean_high: float | None
    median: float
    median_low: float | None
    median_high: float | None
    worst_mean: float
    shares: tuple[float, ...]
    shares_low: tuple[float, ...] | None
    shares_high: tuple[float, ...] | None

    def to_json(self) -> dict[str, Json]:
        """As ``jaxclust compare --format json`` prints it."""
        return _json(self)


@dataclasses.dataclass(frozen=True)
class Aggregates:
    """Every method that has a score on each data set, over all of them.

    Attributes:
      data: the data sets' names.
      levels: scores at which the performance profiles are known, increasing.
      methods: the highest interquartile mean first.
      failed: whether a seed failed or is missing.
    """

    data: tuple[str, ...]
    levels: tuple[float, ...]
    methods: tuple[Aggregate, ...]
    failed: bool

    def to_json(self) -> dict[str, Json]:
        """As ``jaxclust compare --format json`` prints it."""
        methods: list[Json] = [method.to_json() for method in self.methods]
        parts: dict[str, Json] = {"methods": methods}
        return _json(self) | parts


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """Methods compared over their seeds; it prints as tables.

    Attributes:
      options: what is compared, and how.
      data: each data set with its methods and their pairwise differences.
      ranks: the methods over all data sets; None for one data set or one method.
      notes: what was left out, and what the seeds cannot show.
      aggregates: the methods' scores over all data sets; None for one data set.
    """

    options: Options
    data: tuple[DataSetComparison, ...]
    ranks: Ranks | None
    notes: tuple[str, ...]
    aggregates: Aggregates | None = None

    def settings(self) -> dict[str, Json]:
        """The options that the tables name."""
        options = self.options
        return {
            "metric": options.metric,
            "alpha": options.alpha,
            "interval": options.interval,
            "test": options.test,
            "difference": options.difference,
            "baseline": options.baseline,
            "family": options.family,
            "equal_within": options.equal_within,
        }

    def to_json(self) -> dict[str, Json]:
        """As ``jaxclust compare --format json`` prints it; None where there is no number."""
        return self.settings() | {
            "data": [data.to_json() for data in self.data],
            "ranks": None if self.ranks is None else self.ranks.to_json(),
            "aggregates": None if self.aggregates is None else self.aggregates.to_json(),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        from jaxclust.comparison import tables  # The tables are made of this module's types.

        return tables.text(self)


def _json(
    values: MethodSummary | Pair | DataSetComparison | RankPair | Ranks | Aggregate | Aggregates,
) -> dict[str, Json]:
    """The fields by name, with lists for tuples; fields of other types are the caller's."""
    fields = {field.name: getattr(values, field.name) for field in dataclasses.fields(values)}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }
