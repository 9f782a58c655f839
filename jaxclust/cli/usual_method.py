"""The method of ``jaxclust fit`` without a METHOD: what does best on images of their kind."""

import os
import sys

from jaxclust.cli import options
from jaxclust.cli.options import Options
from jaxclust.cli.parse import parse_known
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.errors import UsageError
from jaxclust.runs.embedders import open_embedder

GRAY = "best"
"""The method for gray images."""
COLOR = "efficientnet-lite0"
"""The features for color images, which k-means clusters, as ``jaxclust group`` does."""


def with_method(words: list[str]) -> tuple[Dataset | None, list[str]]:
    """Reads the images, and puts a method before the options.

    Args:
      words: the options after ``jaxclust fit``.

    Returns:
      The images where they were read, and the words with a method.

    Raises:
      UsageError: the images cannot be read, or the features for color images are not installed.
    """
    given, _ = parse_known(Options, words, "jaxclust fit", add_help=False)
    if given.stream:
        rule = "method: must be given with --stream"
        raise UsageError(f"{rule}, as in jaxclust fit ccnn-norm --stream, got none")
    if given.features is not None:
        _tell(given, "features", "kmeans")
        return None, ["kmeans", *words]
    dataset = datasets.read(given.data, options.reading(given))
    if dataset.images.shape[-1] == 1:
        _tell(given, "gray images", GRAY)
        return dataset, [GRAY, *words]
    try:
        open_embedder(COLOR)
    except UsageError as error:
        rule = "method: must be given for color images where their features are not installed"
        raise UsageError(f"{rule} ({error}), got none") from error
    _tell(given, "color images", f"kmeans --features {COLOR}")
    return dataset, ["kmeans", "--features", COLOR, *words]


def _tell(given: Options, kind: str, method: str) -> None:
    if not given.quiet and _is_first(given):
        print(f"jaxclust: {kind}, so the method is {method}", file=sys.stderr)


def _is_first(given: Options) -> bool:
    """Whether this is process 0, or the only one, as far as options, SLURM or Open MPI say it."""
    if not given.distributed:
        return True
    told = (os.environ.get(name) for name in ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK"))
    number = next((number for number in told if number), "0")
    return given.process == 0 if given.process is not None else number == "0"
