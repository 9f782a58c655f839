"""DCEC's figure 3: the same images in the embeddings of several methods, side by side."""

import jax
from matplotlib.figure import Figure

from experiments import figures, runner
from experiments.experiment import Request
from experiments.papers.dcec.cells import SEEDS
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.methods import registry
from jaxclust.report.projection import in_two_dimensions

METHODS = ("cae-kmeans", "dec-conv", "dcec")


def draw(request: Request) -> None:
    """Draws t-SNE of the first seed's embeddings of each data set, colored by true class.

    Raises:
      UsageError: a checkpoint is missing, or of a run that has not ended.
    """
    for data in request.data:
        dataset = datasets.load(data)
        shown = figures.sample(dataset)
        classes = runner.labels_of(dataset)[shown]
        seeds = tuple(SEEDS[data])
        figure = Figure(figsize=(4.4 * len(METHODS), 4.6), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(METHODS)), METHODS, strict=True):
            method = registry.method(name, "paper", clusters=dataset.classes)
            place = request.folder / data / name
            lanes = engine.restore(method, dataset.images.shape, seeds, place)
            first = jax.tree.map(lambda leaf: leaf[:1], lanes.state)
            (features,) = engine.apply(method, first, dataset.images[shown], "embed")
            places = in_two_dimensions(features)
            axes.scatter(*places.T, c=classes, cmap="tab10", s=8, linewidths=0)
            axes.set_title(name, loc="left")
            figures.without_ticks(axes)
        figure.suptitle(f"{data}, seed {seeds[0]}: {shown.size:,} images, colored by true class")
        figures.save(figure, figures.FOLDER / "dcec" / f"{data}.png")
