"""``jaxclust predict RUN``: sorts new images into the clusters of a finished run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from jaxclust.cli import options
from jaxclust.cli.parse import Switch, parse
from jaxclust.data import datasets, listing
from jaxclust.data.array_images import Layout
from jaxclust.data.datasets import Dataset
from jaxclust.errors import UsageError
from jaxclust.runs.consensus import cluster_columns, write_clusters
from jaxclust.runs.files import write_file
from jaxclust.runs.predict import prediction_csv
from jaxclust.runs.reading import open_run
from jaxclust.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Options:
    """Sorts new images into the clusters of a finished run.

    Attributes:
      run: A finished run's folder.
      data: A named set, a folder or a file of images: of the run's height, width and channels, or
        of any size for a run on a network's features.
      out: The .csv file to write, with the columns image, cluster, share, probability, distance,
        and the cluster of each seed. cluster is the one with most votes of the run's seeds,
        numbered as in clusters.csv, and share its share of the votes. probability (soft
        assignment to the cluster) and distance (Euclidean, to its centroid in the embedding) are
        means over the seeds that voted for it. With --seed, and for a run of one seed: image,
        cluster, probability and distance.
      seed: Seed whose clusters are used in place of the votes; their numbers stay those of
        clusters.csv.
      layout: Where the channels of arrays are, nhwc or nchw; as in the run unless it is given.
      overwrite: Replace the file where it exists.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    data: Annotated[str, tyro.conf.arg(metavar="NAME_OR_PATH")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.csv")]
    seed: Annotated[int | None, tyro.conf.arg(metavar="SEED")] = None
    layout: Layout | None = None
    overwrite: Switch = False


def command(words: list[str]) -> int:
    """Writes the file; the exit status is 0.

    Raises:
      UsageError: the run cannot predict, or these images are not for it.
    """
    given = parse(Options, words, "jaxclust predict")
    if given.out.is_dir() or (given.out.exists() and not given.overwrite):
        rule = "out: must not exist without --overwrite, nor be a folder"
        raise UsageError(f"{rule}, got {given.out}")
    if not given.out.parent.is_dir():
        raise UsageError(f"out: must be in a folder that exists, got {given.out}")
    run = open_run(given.run)
    run.check_new_images()
    seed = run.seed_of(given.seed)
    reading = run.settings.reading._replace(labels=listing.NONE)
    if given.layout is not None:
        reading = reading._replace(layout=given.layout)
    if run.settings.features is None:
        height, width, channels = run.settings.data.shape[1:]
        reading = reading._replace(size=(height, width), channels=channels)
    dataset = datasets.read(given.data, reading, least=1)
    options.tell(dataset.summary, dataset.unreadable, quiet=False)
    names = dataset.files or range(len(dataset.images))
    if given.seed is None and len(run.seeds) > 1:
        voters = _write_votes(given.out, run, names, dataset)
    else:
        write_file(given.out, prediction_csv(names, run.predict(dataset, seed)))
        voters = f"seed {seed}"
    print(f"{len(dataset.images):,} images into the clusters of {voters}: {given.out}")
    return 0


def _write_votes(out: Path, run: Run, names: Sequence[str | int], images: Dataset) -> str:
    """Writes the votes of a run's seeds on images, and says who voted."""
    votes = run.consensus()
    each = run.predict_seeds(images)
    voted = votes.vote(each)
    by_seed = dict(zip(votes.seeds, np.asarray(each.cluster), strict=True))
    share = np.asarray(voted.probability)
    columns = cluster_columns(np.asarray(voted.cluster), share, by_seed, each)
    write_clusters(out, names.__getitem__, columns)
    count = len(votes.seeds)
    return f"the consensus of {count} seed{'s' if count > 1 else ''}"
