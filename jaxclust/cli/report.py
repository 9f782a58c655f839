"""``jaxclust report RUN...``: the comparison and a look into each run, as one page."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxclust.cli.compare import Runs, check_runs
from jaxclust.cli.parse import FLAT, Switch, parse
from jaxclust.comparison import options as comparison_options
from jaxclust.comparison.compare import UNSCORED, comparison, with_scores
from jaxclust.data import datasets, sources
from jaxclust.errors import UsageError
from jaxclust.report.write import consensus_csv, write_report
from jaxclust.runs import collect
from jaxclust.runs.files import write_file


@dataclasses.dataclass(frozen=True)
class Options:
    """Writes a page with the comparison of runs and a look into each of them.

    Attributes:
      runs: Folders of runs, folders that fit --methods or --clusters auto wrote, or .jsonl files
        of rows; NAME=RUN gives a run another name.
      out: The .html file to write; it must not exist.
      consensus: Also write this .csv file with the cluster that most seeds give each image, and
        their share of the votes.
      overwrite: Replace earlier files.
      data: A run's images, if they have no name of their own; can be given more than once.
      options: What is compared, and how.
    """

    runs: Runs
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.html")]
    consensus: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    overwrite: Switch = False
    data: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME_OR_PATH")
    ] = ()
    options: Annotated[comparison_options.Options, FLAT] = dataclasses.field(
        default_factory=comparison_options.Options
    )


def command(words: list[str]) -> int:
    """Writes the page; the exit status is 0.

    Raises:
      UsageError: the runs cannot be reported, or an option breaks its rule.
    """
    given = parse(Options, words, "jaxclust report")
    comparison_options.check_options(given.options)
    check_runs(given.runs)
    check_out(given.out, given.overwrite)
    if given.consensus is not None:
        check_out(given.consensus, given.overwrite, "consensus", ".csv")
    for path in given.data:
        known = path in datasets.NAMES or path.startswith(sources.SET)
        if not known and not Path(path).exists():
            raise UsageError(f"data: must be a named set or a path that exists, got {path!r}")
    cells, notes = collect.read(given.runs)
    scored, unscored = with_scores(cells, given.options.metric)
    table = None
    if scored:
        table = comparison(cells, given.options, notes)
        notes = []
    else:
        notes.append(UNSCORED.format(unscored))
    looks = write_report(given.out, table, cells, notes, given.data)
    if given.consensus is not None:
        write_file(given.consensus, consensus_csv(looks))
        print(f"wrote {given.consensus}")
    return 0


def check_out(out: Path, overwrite: bool, name: str = "out", suffix: str = ".html") -> None:
    """Refuses a file that must not be written.

    Args:
      out: the file.
      overwrite: whether it may exist.
      name: the option that named it.
      suffix: how it must end.

    Raises:
      UsageError: it ends otherwise, it exists, or its folder does not.
    """
    if out.suffix != suffix:
        raise UsageError(f"{name}: must end in {suffix}, got {out}")
    if out.exists() and not overwrite:
        raise UsageError(f"{name}: must not exist without --overwrite, got {out}")
    if not out.resolve().parent.is_dir():
        raise UsageError(f"{name}: must be in a folder that exists, got {out}")
