"""What the figures of several papers share."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxclust.data.datasets import Dataset

FOLDER = Path(__file__).parent / "figures"
POINTS = 1000
"""At most this many images are embedded in two dimensions."""


def save(figure: Figure, path: Path, dpi: int = 130, tight: bool = False) -> None:
    """Writes a figure; ``tight`` for one whose parts stand outside of its frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, bbox_inches="tight" if tight else None)


def sample(dataset: Dataset) -> np.ndarray:
    """Places of the images that are embedded, the same ones each time, int (m,)."""
    return np.random.default_rng(0).permutation(len(dataset.images))[:POINTS]


def without_ticks(axes: Axes) -> None:
    """Leaves out the ticks of axes whose coordinates mean nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
