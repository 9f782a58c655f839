"""``jaxclust predict RUN``: sorts new images into the clusters of a finished run."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxclust.cli.options import Switch
from jaxclust.cli.parse import parse
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.runs.files import write_file
from jaxclust.runs.predict import prediction_csv
from jaxclust.runs.run import open_run
from jaxclust.runs.settings import method_of, read_settings


@dataclasses.dataclass(frozen=True)
class Options:
    """Sorts new images into the clusters of a finished run.

    Attributes:
      run: A finished run's folder.
      data: Images of the run's height, width and channels: a named set, a folder or a file.
      out: The .csv file to write, with the columns image, cluster, probability (soft assignment
        to the cluster) and distance (Euclidean, to the cluster's centroid in the embedding).
      seed: Seed whose clusters are used; without it, the run's first seed that did not fail.
      overwrite: Replace the file where it exists.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    data: Annotated[str, tyro.conf.arg(metavar="NAME_OR_PATH")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.csv")]
    seed: Annotated[int | None, tyro.conf.arg(metavar="SEED")] = None
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
    settings = read_settings(given.run)
    if settings.features is not None:
        rule = "run: must be on images to take new ones"
        raise UsageError(f"{rule}, {given.run} is on {settings.features}")
    method_of(settings, given.run)  # An unknown method is refused before any image is read.
    height, width, channels = settings.data.shape[1:]
    dataset = datasets.load(given.data, (height, width), channels, least=1)
    run = open_run(given.run)
    seed = run.seed_of(given.seed)
    names = dataset.files or range(len(dataset.images))
    write_file(given.out, prediction_csv(names, run.predict(dataset.images, seed)))
    print(f"{len(dataset.images):,} images into the clusters of seed {seed}: {given.out}")
    return 0
