"""TODO"""

import argparse

from jaxclust.errors import UsageError
from jaxclust.runs.rows import SCORES

METRICS = SCORES
LEAST_ALPHA = 1e-4
"""The smallest level that is taken, whatever the family."""
MOST_RESAMPLES = 2_000_000
"""Arrangements drawn for a test, some seconds: a family of so many comparisons at so small a level is refused."""
INTERVALS = ("t", "bootstrap-t")
TESTS = ("auto", "unpaired", "wilcoxon")
FAMILIES = ("all", "data")


class Options(argparse.Namespace):
    """What is compared, and how; the command's flags.

    Attributes:
      metric: of METRICS: the primary metric, on which all tests are made.
      baseline: a method that the others are compared with; None compares all with all.
      interval: of INTERVALS, for the mean.
      test: of TESTS: "auto" is the sign-flip permutation test where seeds are shared and the studentised permutation
        test elsewhere; "unpaired" is always the latter; "wilcoxon" is the signed-rank test where seeds are shared.
        Against a method without randomness all but "wilcoxon" change the signs of the seeds' distances from it.
      difference: of two means, for which the number of seeds needed is computed.
      alpha: level of a family of comparisons; intervals have confidence 1 - alpha.
      family: of FAMILIES, what is corrected together: the comparisons on "all" data sets, or those of each.
      planned: comparisons of a family that are corrected for at least, where some have not been made yet; not of ranks.
    """

    metric: str = "acc"
    baseline: str | None = None
    interval: str = "t"
    test: str = "auto"
    difference: float = 0.01
    alpha: float = 0.05
    family: str = "all"
    planned: int = 0


def check_options(options: Options) -> None:
    """ValueError where a number is out of its range."""
    if not options.difference > 0:
        raise UsageError(f"difference: must be above 0, got {options.difference}")
    if not LEAST_ALPHA <= options.alpha < 0.5:
        raise UsageError(f"alpha: must be in [{LEAST_ALPHA:g}, 0.5), got {options.alpha}")
    if options.planned < 0:
        raise UsageError(f"planned: must be at least 0, got {options.planned}")
