"""JULE's figure 1: the features of a run on their way from pixels to clusters."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments import figures, runner
from experiments.experiment import Request
from experiments.papers.jule.cells import method_of
from experiments.papers.jule.features import unit
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.engine.driver import Event


def draw(request: Request) -> None:
    """Draws figure 1 of each data set under each variant."""
    for data in request.data:
        for variant in request.variants:
            draw_run(data, variant)


def draw_run(data: str, variant: str) -> None:
    """Draws the first three principal components: at the start, in the middle, and at the end.

    It runs seed 0 once more.
    """
    dataset = datasets.load(data)
    method = method_of(variant, dataset.classes)
    classes = runner.labels_of(dataset)
    stages = [("pixels", unit(dataset.images), classes)]

    def keep(_: str, event: Event | None) -> None:
        assert event is not None  # ``on_window`` always has one.
        window = int(event.lanes.window[0])
        # A period of the recurrence is as many windows as it has epochs.
        if window == 0 or (window % method.config.epochs and not event.done.all()):
            return
        (features,) = engine.apply(method, event.lanes.state, dataset.images, "embed")
        labels = np.unique(np.asarray(event.lanes.state.labels[0]), return_inverse=True)[1]
        count = labels.max() + 1
        stages.append((f"{count} clusters", features, labels if count <= 20 else classes))
        print(f"{data}: {stages[-1][0]}", flush=True)

    engine.fit(method, dataset.images, (0,), engine.Options(over="map", on_window=keep))
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for place, number in enumerate((0, len(stages) // 2, -1), 1):
        title, features, colors = stages[number]
        axes: Any = figure.add_subplot(1, 3, place, projection="3d")
        centered = features - features.mean(axis=0)
        _, directions = np.linalg.eigh(centered.T @ centered)
        axes.scatter(
            *(centered @ directions[:, :-4:-1]).T, c=colors, cmap="tab20", s=1, linewidths=0
        )
        by_class = " (colors: classes)" if colors is classes else ""
        axes.set_title(f"{title}{by_class}", loc="left")
        figures.without_ticks(axes)
        axes.set_zticks([])
    name = data if variant == "paper" else f"{data}-{variant}"
    # The titles of 3-D axes stand above their boxes.
    figures.save(figure, figures.FOLDER / "jule" / f"{name}.png", tight=True)
