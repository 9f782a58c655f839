"""``jaxclust vote RUN``: the images on which the seeds of a run agree teach the others."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxclust.cli.parse import Switch, parse
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.errors import UsageError
from jaxclust.report import run_images
from jaxclust.runs import vote
from jaxclust.runs.files import write_csv
from jaxclust.runs.folder import VOTE_CSV
from jaxclust.runs.progress import Bars
from jaxclust.runs.reading import open_run
from jaxclust.runs.run import Run
from jaxclust.runs.vote import Vote


@dataclasses.dataclass(frozen=True)
class Options:
    """Lets the images on which all seeds of a run agree decide about the others.

    Two classifiers learn the clusters of disjoint halves of the images on which all seeds agree. An
    image on which they do not gets the cluster that both classifiers give it, provided that the
    seeds themselves back the classifiers. Otherwise the vote of the seeds stands.

    Attributes:
      run: A finished run's folder, with three seeds or more, on images.
      data: The run's images, where they are not where the run read them.
      out: The .csv file to write, with the columns image, cluster (numbered as in clusters.csv),
        share (its share of the seeds' votes) and changed (1 where clusters.csv has another
        cluster). Without it: vote.csv in the run's folder.
      overwrite: Replace the file where it exists.
      quiet: Show no progress.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    data: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_PATH")] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    overwrite: Switch = False
    quiet: Switch = False


def command(words: list[str]) -> int:
    """Writes the file; the exit status is 0.

    Raises:
      UsageError: the run cannot vote so, its images are not to be had, or the file must not be
        written.
    """
    given = parse(Options, words, "jaxclust vote")
    run = open_run(given.run)
    out = given.run / VOTE_CSV if given.out is None else given.out
    if out.is_dir() or (out.exists() and not given.overwrite):
        raise UsageError(f"out: must not exist without --overwrite, nor be a folder, got {out}")
    if not out.parent.is_dir():
        raise UsageError(f"out: must be in a folder that exists, got {out}")
    named = given.data is None or given.data in datasets.NAMES
    if not named and not Path(str(given.data)).exists():
        raise UsageError(f"data: must be a named set or a path that exists, got {given.data!r}")
    vote.check(run)
    dataset = _images(run, given)
    with Bars(disable=given.quiet) as bars:
        decided = vote.vote(run, dataset, bars.show)
    names = range(len(dataset.images)) if dataset.files is None else dataset.files
    columns = (
        names,
        decided.labels.tolist(),
        [f"{share:.6g}" for share in decided.share.tolist()],
        decided.changed.astype(int).tolist(),
    )
    header = ["image", "cluster", "share", "changed"]
    write_csv(out, header, zip(*columns, strict=True))
    print(summary(decided))
    print(f"{len(dataset.images):,} images: {out}")
    return 0


def _images(run: Run, given: Options) -> Dataset:
    """The run's images, found by their checksum."""
    notes: list[str] = []
    own = [] if given.data is None else [given.data]
    found = run_images.find(run.settings, own, notes, folder=given.run)
    if found is None:
        raise UsageError(f"data: must be the images of {given.run} ({'; '.join(notes)})")
    assert not isinstance(found.images, run_images.Streamed)  # ``vote.check`` refuses streams.
    return Dataset(found.name, found.images, found.labels, found.files, root=found.root)


def summary(decided: Vote) -> str:
    """What was decided, in a line or two."""
    count = int(decided.disputed.sum())
    text = f"the seeds disagree on {count:,} of {len(decided.labels):,} images"
    backing = decided.backing
    if backing is not None:
        text += (
            f"\nof {backing.cases:,} cases a seed that is left out sides with the classifiers in "
            f"{backing.pupils:,} and with the other seeds in {backing.seeds:,}"
        )
    if decided.why_not:
        return f"{text}\nthe vote stands: {decided.why_not}"
    return (
        f"{text}\n{int(decided.changed.sum()):,} images have another cluster than in clusters.csv"
    )
