"""Statistics over seeds: one method's scores, two methods' difference, many methods' ranks."""

from jaxclust.evaluation.stats.many_methods import (
    LEAST_DATA_SETS,
    critical_difference,
    friedman,
    nemenyi,
    ranks,
)
from jaxclust.evaluation.stats.one_method import (
    RESAMPLES,
    ROUNDING,
    Summary,
    bootstrap_t,
    finite,
    interquartile_mean,
    median,
    prediction_interval,
    sd_interval,
    summary,
)
from jaxclust.evaluation.stats.power import Needed, seeds_needed, smallest_p
from jaxclust.evaluation.stats.two_methods import (
    Difference,
    Superiority,
    difference,
    holm,
    paired_permutation,
    permutation,
    superiority,
    wilcoxon,
)

__all__ = [
    "LEAST_DATA_SETS",
    "RESAMPLES",
    "ROUNDING",
    "Difference",
    "Needed",
    "Summary",
    "Superiority",
    "bootstrap_t",
    "critical_difference",
    "difference",
    "finite",
    "friedman",
    "holm",
    "interquartile_mean",
    "median",
    "nemenyi",
    "paired_permutation",
    "permutation",
    "prediction_interval",
    "ranks",
    "sd_interval",
    "seeds_needed",
    "smallest_p",
    "summary",
    "superiority",
    "wilcoxon",
]
