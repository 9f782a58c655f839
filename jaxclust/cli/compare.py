"""TODO"""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from jaxclust.comparison import tables
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import FAMILIES, INTERVALS, METRICS, TESTS, Options, check
from jaxclust.errors import UsageError
from jaxclust.runs import collect


def command(arguments: Sequence[str]) -> int:
    """Prints the comparison and returns the exit status; ValueError for what cannot be compared."""
    parser = Parser(prog="jaxclust compare", description=__doc__.split("``: ")[1])
    parser.add_argument("runs", nargs="+", metavar="RUN", help=collect.RUNS)
    add_options(parser)
    parser.add_argument(
        "--format", default="text", choices=tuple(tables.FORMATS), help="default: %(default)s"
    )
    options = parser.parse_args(arguments, namespace=Options())
    check(options)
    found, notes = collect.read(options.runs)
    print(tables.FORMATS[options.format](comparison(found, options, notes)))
    return 0


class Parser(argparse.ArgumentParser):
    """Complains by a ValueError, which the command makes one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of ``Options``."""
    parser.add_argument(
        "--metric", choices=METRICS, help="primary metric of all tests (default: acc)"
    )
    parser.add_argument(
        "--baseline", metavar="METHOD", help="compare with this method alone (default: all pairs)"
    )
    parser.add_argument(
        "--interval",
        choices=INTERVALS,
        help="of the mean (default: t; bootstrap-t for skewed scores)",
    )
    parser.add_argument(
        "--test",
        choices=TESTS,
        help="default: auto, which pairs shared seeds and permutes; unpaired; wilcoxon",
    )
    parser.add_argument(
        "--difference", type=float, help="for which seeds needed are computed (default: 0.01)"
    )
    parser.add_argument(
        "--alpha", type=float, help="level of a family of comparisons (default: 0.05)"
    )
    parser.add_argument(
        "--family",
        choices=FAMILIES,
        help="corrected together: comparisons on all data sets (default), or of each data set",
    )
    parser.add_argument(
        "--planned",
        type=int,
        metavar="N",
        help="correct a family for N comparisons at least, some still to be made",
    )
