"""``jaxclust group FOLDER``: groups of pictures, for people with a folder of them."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxclust.cli.parse import Switch, parse
from jaxclust.data.pictures import Resize
from jaxclust.errors import UsageError
from jaxclust.groups.options import Options as Asked


@dataclasses.dataclass(frozen=True)
class Options:
    """Groups the pictures of a folder, and writes a table and a page of them.

    A second call with the same settings goes on, or says that it is finished.

    Attributes:
      folder: The pictures: a folder with all its sub-folders, a zip or tar archive, or a CSV or
        Parquet table with a column "file".
      clusters: Number of groups; it is estimated unless it is given.
      features: What the pictures are compared by: efficientnet-lite0, squeezenet,
        onnx:MODEL.onnx, dsift-pca, or an .npy or .parquet file with a row for each picture.
      seeds: How many runs of k-means vote on each picture's group.
      resize: How a picture is brought to the square that a network needs: crop cuts its middle
        out, pad adds a border, stretch changes its proportions.
      out: Folder for the results. Without it: NAME-groups in the current directory.
      add: More pictures, which are put into the groups there are. May be given again.
      edits: A file of corrections that the page has saved.
      labels: A .csv with the columns file and label; the kinds of some pictures name the groups.
      no_labels: Do not compare the groups with the names of the folders.
      levels: Also write coarser and finer groups.
      outliers: Set apart the pictures that fit no group.
      link: Make a folder for each group with links to its pictures.
      copy: Make a folder for each group with copies of its pictures.
      export: A .parquet file for interactive maps: path, x, y, cluster, name, votes.
      strict: Refuse damaged pictures in place of leaving them out.
      resume: Go on, which the same command does without it, too.
      overwrite: Delete an earlier result in the folder once the new one can be made. Corrections
        are set aside.
      max_seconds: Stop after this long; the same command goes on.
      quiet: Show no progress and no table; warnings stay.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    clusters: Annotated[int | None, tyro.conf.arg(metavar="K")] = None
    features: Annotated[str, tyro.conf.arg(metavar="NAME_OR_FILE")] = Asked.features
    seeds: int = Asked.seeds
    resize: Resize = Asked.resize
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    add: Annotated[
        tuple[Path, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FOLDER")
    ] = ()
    edits: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    no_labels: Switch = False
    levels: Switch = False
    outliers: Switch = False
    link: Switch = False
    copy: Switch = False
    export: Annotated[Path | None, tyro.conf.arg(metavar="FILE.parquet")] = None
    strict: Switch = False
    resume: Switch = False
    overwrite: Switch = False
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    quiet: Switch = False


def command(words: list[str]) -> int:
    """Groups the pictures; the exit status is 0.

    Raises:
      UsageError: the options cannot be carried out.
    """
    given = parse(Options, words, "jaxclust group")
    for first, second in (("link", "copy"), ("labels", "no_labels"), ("resume", "overwrite")):
        if getattr(given, first) and getattr(given, second):
            other = second.replace("_", "-")
            raise UsageError(f"{first}: must not be given together with {other}")
    from jaxclust.groups.files import PAGE, TABLE
    from jaxclust.groups.group import group_pictures  # After the options: JAX takes seconds.
    from jaxclust.runs.progress import Bars

    names = {field.name for field in dataclasses.fields(Asked)}
    values = {name: value for name, value in vars(given).items() if name in names}
    values["labels"] = "none" if given.no_labels else given.labels
    values["placing"] = "link" if given.link else "copy" if given.copy else None
    with Bars(disable=given.quiet) as bars:
        groups = group_pictures(Asked(**values), bars)
    if not given.quiet or not groups.finished:
        print(groups)
    if groups.finished and not given.quiet:
        print(f"table: {groups.directory / TABLE}")
        print(f"page:  {groups.directory / PAGE}, to be opened in a browser")
        print("next:  --clusters K for another number, --edits FILE.csv for what you corrected")
    return 0
