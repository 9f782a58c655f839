"""TODO"""

import dataclasses
from pathlib import Path

import tyro

from jaxclust.cli import options as cli_options
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.runs.files import write_file
from jaxclust.runs.settings import read_settings


@dataclasses.dataclass(frozen=True)
class _Predict:
    directory: tyro.conf.Positional[Path]
    """A finished run's folder."""
    data: str
    """Images of the run's height, width and channels: a named set or a path."""
    out: Path
    """The .csv file to write: image, cluster, probability, distance (Euclidean, to the centroid in the embedding)."""
    seed: int | None = None
    """Whose clusters; the run's first seed that did not fail, unless given."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the file where it exists."""


def _predict(arguments: list[str]) -> int:
    from jaxclust.runs.predict import predict, table

    options = cli_options.one_line(
        _Predict,
        arguments,
        prog="jaxclust predict",
        description="New images into a run's clusters.",
    )
    if options.out.is_dir() or (options.out.exists() and not options.overwrite):
        raise UsageError(
            f"out: must not exist without --overwrite, nor be a folder, got {options.out}"
        )
    if not options.out.parent.is_dir():
        raise UsageError(f"out: must be in a folder that exists, got {options.out}")
    settings = read_settings(options.directory)
    if settings.get("features") is not None:
        raise UsageError(
            f"run: must be on images to take new ones, {options.directory} is on {settings['features']}"
        )
    height, width, channels = settings["data"]["shape"][1:]
    dataset = datasets.load(options.data, (height, width), channels, least=1)
    seed, predicted = predict(options.directory, dataset.images, options.seed)
    write_file(options.out, table(dataset.files or range(len(dataset.images)), predicted))
    print(f"{len(dataset.images):,} images into the clusters of seed {seed}: {options.out}")
    return 0
