"""``jaxclust compare RUN...``: scores with intervals, and the differences that can be claimed."""

import dataclasses
from typing import Annotated, Literal

import tyro

from jaxclust.cli.parse import FLAT, parse
from jaxclust.comparison import options as comparison_options
from jaxclust.comparison import tables
from jaxclust.comparison.compare import comparison
from jaxclust.errors import UsageError
from jaxclust.runs import collect

Runs = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]


@dataclasses.dataclass(frozen=True)
class Options:
    """Prints each method's scores with intervals, and which differences can be claimed.

    Attributes:
      runs: Folders of runs, folders that fit --methods or --clusters auto wrote, or .jsonl files
        of rows; NAME=RUN gives a run another name.
      options: What is compared, and how.
      format: text for a terminal; the others for papers and programs.
    """

    runs: Runs
    options: Annotated[comparison_options.Options, FLAT] = dataclasses.field(
        default_factory=comparison_options.Options
    )
    format: Literal["text", "json", "csv", "latex", "markdown"] = "text"


def command(words: list[str]) -> int:
    """Prints the comparison; the exit status is 0.

    Raises:
      UsageError: the runs cannot be compared, or an option breaks its rule.
    """
    given = parse(Options, words, "jaxclust compare")
    comparison_options.check_options(given.options)
    check_runs(given.runs)
    cells, notes = collect.read(given.runs)
    print(tables.FORMATS[given.format](comparison(cells, given.options, notes)))
    return 0


def check_runs(runs: tuple[str, ...]) -> None:
    """Refuses a command without runs: UsageError."""
    if not runs:
        raise UsageError("runs: must be at least one RUN, got none")
