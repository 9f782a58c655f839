"""Figures of a run as PNG files: curves, the embedding, a contact sheet for each cluster."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxclust.data.listing import shown
from jaxclust.engine.driver import History
from jaxclust.evaluation import metrics
from jaxclust.report.image_grid import grid
from jaxclust.report.projection import in_two_dimensions
from jaxclust.runs.files import write_file
from jaxclust.runs.history import CURVES

POINTS = 1000
"""At most this many images are embedded in two dimensions."""
NAMED = 20
"""At most this many clusters have a legend: more colors cannot be told apart."""

LONGEST_NAME = 24
"""Characters of a class's name in a legend."""
NOT_KNOWN = "#bbbbbb"
"""Color of an image whose true class is not known."""


def curves(
    path: Path, histories: Mapping[str, History], seeds: Sequence[int], note: str = ""
) -> bool:
    """Loss in each phase, and the fraction of changed labels in the clustering.

    There is a line for each seed. No file is written where no phase has windows.

    Args:
      path: of the .png file.
      histories: each phase's columns; phases without windows are left out.
      seeds: of the lanes.
      note: stands below the curves.

    Returns:
      Whether there was anything to draw.
    """
    panels = [
        (phase, name) for phase, columns in histories.items() for name in CURVES if name in columns
    ]
    if not panels:
        return False
    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (phase, name) in zip(row, panels, strict=True):
        columns = histories[phase]
        for lane, seed in enumerate(seeds):
            own = columns["lane"] == lane
            axes.plot(columns["window"][own] + 1, columns[name][own], label=f"seed {seed}", lw=1.2)
        # In many runs no label changes at the end: that scale has to show 0.
        if name == "loss":
            axes.set_yscale("linear" if (columns[name] <= 0).any() else "log")
        else:
            axes.set_yscale("symlog", linthresh=1e-3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        title = {"pretrain": "pretraining", "cluster": "clustering"}.get(phase, phase)
        axes.set_title(title, loc="left")
        axes.set_xlabel("epoch" if phase == "pretrain" else "window")
        axes.set_ylabel({"loss": "loss", "changed": "fraction of labels changed"}[name])
        axes.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False, fontsize="small")
    if note:
        figure.supxlabel(note, fontsize="small", x=0.99, ha="right")
    _write(figure, path)
    return True


def embedding(
    path: Path,
    features: np.ndarray,
    clusters: np.ndarray,
    labels: np.ndarray | None,
    title: str,
    class_names: Sequence[str] | None = None,
) -> None:
    """t-SNE of the features, colored by cluster and, where known, by true class, with a legend.

    A cluster has the color of the class that it is matched with.

    Args:
      path: of the .png file.
      features: float32 (n, d), n at most ``POINTS``.
      clusters: int32 (n,).
      labels: true classes, int32 (n,), -1 for a gray point; or None.
      title: of the figure.
      class_names: the classes' names by their number; None for numbers.
    """
    if labels is not None and (labels < 0).all():
        labels = None
    places = in_two_dimensions(features)
    panels = [("cluster", clusters, _cluster_colors(clusters, labels))]
    if labels is not None:
        panels.append(("true class", labels, np.arange(int(labels.max()) + 1)))
    count = max(int(colors.max()) for _, _, colors in panels) + 1
    cmap = "tab20" if count > 10 else "tab10"
    last = max(count, 20 if count > 10 else 10) - 1
    figure = Figure(figsize=(4.6 * len(panels), 4.6), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, groups, colors) in zip(row, panels, strict=True):
        limits = {"vmin": 0, "vmax": last}
        known = groups >= 0
        if not known.all():
            axes.scatter(*places[~known].T, c=NOT_KNOWN, s=8, linewidths=0)
        dots = axes.scatter(
            *places[known].T, c=colors[groups[known]], cmap=cmap, **limits, s=8, linewidths=0
        )
        axes.set_title(f"by {name}", loc="left")
        if len(colors) <= NAMED:
            handles = [
                Line2D([], [], marker="o", linestyle="", markersize=5, color=dots.to_rgba(color))
                for color in colors
            ]
            legend = axes.legend(
                handles,
                [str(number) for number in range(len(colors))],
                loc="center left",
                bbox_to_anchor=(1, 0.5),
                handletextpad=0.1,
                frameon=False,
                fontsize="small",
            )
            if groups is labels and class_names is not None:
                for entry, class_name in zip(legend.get_texts(), class_names, strict=False):
                    entry.set_parse_math(False)  # A "$" in a name is no formula.
                    entry.set_text(_short(shown(class_name)))
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(title)
    _write(figure, path)


def _short(name: str) -> str:
    """A name that leaves room for the points beside it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def _cluster_colors(clusters: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """The color of each cluster: its own number, or that of the class it is matched with."""
    count = int(clusters.max()) + 1
    if labels is None:
        return np.arange(count)
    known = labels >= 0
    classes = np.unique(labels[known])
    colors = np.full(count, -1)
    matched = metrics.confusion_clusters(labels[known], clusters[known])
    # Clusters without a class follow those that have one.
    for number, cluster in zip(classes, matched, strict=False):
        if cluster >= 0:
            colors[cluster] = number
    others = np.setdiff1d(np.arange(count + int(classes[-1]) + 1), classes)
    alone = colors < 0
    colors[alone] = others[: np.count_nonzero(alone)]
    return colors


def contact_sheet(path: Path, images: np.ndarray, columns: int = 10) -> None:
    """Images in a grid, in the order given, without resampling.

    Args:
      path: of the .png file.
      images: as of ``image_grid.grid``.
      columns: images in a row.
    """
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(grid(images, columns)).save(content, "PNG")
    write_file(path, content.getvalue())


def _write(figure: Any, path: Path) -> None:
    """Writes a figure whole or not at all."""
    content = io.BytesIO()
    figure.savefig(content, dpi=130, format="png")
    write_file(path, content.getvalue())
