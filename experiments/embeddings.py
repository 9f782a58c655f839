"""t-SNE of the same images in the embeddings of several methods, side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.methods.registry import METHODS, configured
from jaxclust.report import figures


def draw(path: Path, data: str, names: Sequence[str], seeds: Sequence[int], folder: Path) -> None:
    """Draws the first seed's embeddings from the checkpoints of an experiment, coloured by true class.

    Args:
      path: of the .png file.
      data: a data set's name.
      names: methods, a panel each.
      seeds: the cells' seeds.
      folder: of the experiment's checkpoints.

    Raises:
      ValueError: a cell's checkpoint is missing or of a run that has not ended.
    """
    dataset = datasets.load(data)
    some = np.random.default_rng(0).permutation(len(dataset.images))[: figures.POINTS]
    figure = Figure(figsize=(4.4 * len(names), 4.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        method = METHODS[name]
        config, pretraining = configured(name, clusters=dataset.classes)
        shape, place, images = dataset.images.shape, folder / data / name, dataset.images[some]
        (features,) = fit.applied(
            method, config, pretraining, shape, tuple(seeds), place, [0], images, "embed"
        )
        axes.scatter(
            *figures.in_two_dimensions(features).T,
            c=dataset.labels[some],
            cmap="tab10",
            s=8,
            linewidths=0,
        )
        axes.set_title(name, loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(f"{data}, seed {seeds[0]}: {some.size:,} images, coloured by true class")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
