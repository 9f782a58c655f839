"""The labels that lanes give: at the end of a run, and of one that was stopped."""

import jax
import numpy as np

from jaxclust.engine import driver
from jaxclust.types import Prediction


def labelings_of(
    program: driver.Program, lanes: driver.Lanes, images: jax.Array, lost: np.ndarray
) -> tuple[dict[str, np.ndarray], Prediction | None]:
    """All labelings of a run by name, and the predictions where the labels are from them.

    Labels are int32 (seeds, n), with -1 throughout for a lost seed.

    Args:
      program: what ran.
      lanes: all lanes.
      images: as for ``driver.begin``.
      lost: which seeds failed, bool (seeds,).
    """
    algorithm = program.algorithm
    predictions = None
    if algorithm.finish is None:
        applied = driver.apply(program, lanes.state, images, "predict")
        predictions = jax.tree.map(np.asarray, applied)
        labels = {"": predictions.cluster}
    else:
        labels = driver.finish(program, lanes, images)
    labelings = {
        name: np.where(lost[:, None], np.int32(-1), np.asarray(labels[name]))
        for name in algorithm.labelings
    }
    return labelings, predictions


def labelings_so_far(
    program: driver.Program, lanes: driver.Lanes, images: jax.Array
) -> dict[str, np.ndarray]:
    """The labelings after the last whole window of a clustering that was stopped.

    None of a method that labels all images together at its end, and before the first window.

    Args:
      program: what ran.
      lanes: all lanes.
      images: as for ``driver.begin``.
    """
    if program.algorithm.finish is not None or not np.asarray(lanes.window).all():
        return {}
    return labelings_of(program, lanes, images, np.asarray(lanes.failed) >= 0)[0]
