"""``jaxclust check FOLDER``: lists copies and odd pictures before they are grouped."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxclust.cli.parse import Switch, parse
from jaxclust.data.listing import shown
from jaxclust.errors import UsageError
from jaxclust.groups.check import find_issues, summary
from jaxclust.runs.files import write_csv
from jaxclust.runs.progress import Bars


@dataclasses.dataclass(frozen=True)
class Options:
    """Lists pictures that are copies of others, dark, blurred, nearly empty or unreadable.

    Attributes:
      folder: The pictures: a folder with all its sub-folders, or a CSV or Parquet table with a
        column "file".
      out: The .csv file to write, with the columns file, issue and detail. Without it the list is
        only counted.
      overwrite: Replace the file where it exists.
      quiet: Show no progress.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    overwrite: Switch = False
    quiet: Switch = False


def command(words: list[str]) -> int:
    """Prints what was found; the exit status is 0.

    Raises:
      UsageError: the pictures cannot be checked, or the file must not be written.
    """
    given = parse(Options, words, "jaxclust check")
    out = given.out
    if out is not None and (out.is_dir() or (out.exists() and not given.overwrite)):
        raise UsageError(f"out: must not exist without --overwrite, nor be a folder, got {out}")
    if out is not None and out.suffix != ".csv":
        raise UsageError(f"out: must be the path of a .csv file, got {out}")
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"out: must be in a folder that exists, got {out}")
    with Bars(disable=given.quiet) as bars:
        total, findings = find_issues(given.folder, bars)
    print("\n".join(map(shown, summary(total, findings).splitlines())))
    if out is not None:
        write_csv(out, ["file", "issue", "detail"], findings)
        print(f"table: {out}")
    return 0
