"""Pictures of a run: curves, the embedding in two dimensions, a contact sheet for each cluster."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxclust.report.image_grid import grid, in_two_dimensions

POINTS = 1000
"""At most this many images are embedded in two dimensions."""


def curves(path: Path, histories: dict[str, dict[str, np.ndarray]], seeds: Sequence[int]) -> None:
    """Loss in each phase, and the fraction of labels that change in the clustering, a line a seed.

    Args:
      path: of the .png file.
      histories: each phase's columns as in ``train.Event``; phases without windows are left out.
      seeds: of the lanes.
    """
    panels = [
        (phase, name)
        for phase, columns in histories.items()
        for name in ("loss", "changed")
        if name in columns
    ]
    if not panels:
        return
    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    for axes, (phase, name) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        columns = histories[phase]
        for lane, seed in enumerate(seeds):
            mine = columns["lane"] == lane
            window, values = columns["window"][mine] + 1, columns[name][mine]
            axes.plot(window, values, label=f"seed {seed}", linewidth=1.2)
        # No label changes at the end of many runs: the scale has to show 0.
        if name == "loss":
            axes.set_yscale("linear" if (columns[name] <= 0).any() else "log")
        else:
            axes.set_yscale("symlog", linthresh=1e-3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(
            {"pretrain": "pretraining", "cluster": "clustering"}.get(phase, phase), loc="left"
        )
        axes.set_xlabel("epoch" if phase == "pretrain" else "update of the target")
        axes.set_ylabel({"loss": "loss", "changed": "fraction of labels changed"}[name])
        axes.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=130)


def embedding(
    path: Path, features: np.ndarray, clusters: np.ndarray, labels: np.ndarray | None, title: str
) -> None:
    """t-SNE of the features, coloured by cluster and, where known, by class.

    Args:
      path: of the .png file.
      features: float32, (n, d), n at most ``POINTS``.
      clusters: int32, (n,).
      labels: true classes, int32 (n,), or None.
      title: of the picture.
    """
    places = in_two_dimensions(features)
    panels = [("cluster", clusters)] + ([] if labels is None else [("true class", labels)])
    figure = Figure(figsize=(4.6 * len(panels), 4.6), layout="constrained")
    for axes, (name, colors) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        axes.scatter(
            *places.T, c=colors, cmap="tab20" if colors.max() >= 10 else "tab10", s=8, linewidths=0
        )
        axes.set_title(f"by {name}", loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def contact_sheet(path: Path, images: np.ndarray, columns: int = 10) -> None:
    """Images in a grid, in the order given, without resampling.

    Args:
      path: of the .png file.
      images: uint8 or float in [0, 1], (n, h, w, c), c 1 or 3; n may be 0.
      columns: images in a row.
    """
    from PIL import Image

    Image.fromarray(grid(images, columns)).save(path)
