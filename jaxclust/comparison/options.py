"""What is compared, and how."""

import dataclasses
from typing import Literal, get_args

from jaxclust.errors import UsageError

Metric = Literal["acc", "nmi", "nmi_sqrt", "nmi_max", "ari"]
Interval = Literal["t", "bootstrap-t"]
Test = Literal["auto", "unpaired", "wilcoxon"]
Family = Literal["all", "data"]

LEAST_ALPHA = 1e-4
"""The smallest level that is accepted, whatever the size of the family."""
MOST_RESAMPLES = 2_000_000
"""The most arrangements that are drawn for one test, which takes some seconds. A family that needs
more, because it is large and its level small, is refused."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared, and how; each field is a flag of the commands."""

    metric: Metric = "acc"
    """The primary metric; all tests are made on it."""
    baseline: str | None = None
    """Compare all other methods with this method only; without it, all pairs are compared."""
    interval: Interval = "t"
    """Interval of the mean: Student's t, or bootstrap-t for skewed scores."""
    test: Test = "auto"
    """The test of a difference. "auto" flips the signs of the differences of shared seeds; where
    seeds are not shared it permutes the scores, studentized. "unpaired" always permutes. "wilcoxon"
    is the signed-rank test where seeds are shared."""
    difference: float = 0.01
    """The difference of two means for which the number of seeds needed is computed."""
    alpha: float = 0.05
    """Level of a family of comparisons; intervals have confidence 1 - alpha."""
    family: Family = "all"
    """Which comparisons are corrected together: those on all data sets, or those of each data
    set."""
    equal_within: float | None = None
    """Also test whether two methods are equal within this difference of their means. Unless it is
    given, no equality is claimed."""
    planned: int = 0
    """Correct a family for at least this many comparisons, where some are still to be made. Tests
    of ranks are not affected."""


def check_options(options: Options) -> None:
    """Refuses options that break a rule.

    Raises:
      UsageError: an option is none of its values, or a number is out of its range.
    """
    for name, kind in (
        ("metric", Metric),
        ("interval", Interval),
        ("test", Test),
        ("family", Family),
    ):
        values = get_args(kind)
        value = getattr(options, name)
        if value not in values:
            raise UsageError(f"{name}: must be one of {', '.join(values)}, got {value!r}")
    numbers = int | float
    for name, kinds in (
        ("difference", numbers),
        ("alpha", numbers),
        ("equal_within", numbers | None),
        ("planned", int),
    ):
        value = getattr(options, name)
        if not isinstance(value, kinds):
            raise UsageError(f"{name}: must be a number, got {value!r}")
    if not options.difference > 0:
        raise UsageError(f"difference: must be above 0, got {options.difference}")
    if not LEAST_ALPHA <= options.alpha < 0.5:
        raise UsageError(f"alpha: must be in [{LEAST_ALPHA:g}, 0.5), got {options.alpha}")
    if options.equal_within is not None and not 0 < options.equal_within < 1:
        raise UsageError(f"equal_within: must be in (0, 1), got {options.equal_within}")
    if options.planned < 0:
        raise UsageError(f"planned: must be at least 0, got {options.planned}")
