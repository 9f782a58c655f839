"""The labels that lanes give: at the end of a run, and of one that was stopped."""

import jax
import numpy as np

from jaxclust.engine import driver
from jaxclust.types import Algorithm, Prediction


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
) -> tuple[dict[str, np.ndarray], Prediction | None]:
    """The labelings after the last whole windows of a clustering that was stopped.

    They are as ``labelings_of`` gives them; none where ``has_labels_so_far`` is False.

    Args:
      program: what ran.
      lanes: all lanes.
      images: as for ``driver.begin``.
    """
    if not has_labels_so_far(program.algorithm, lanes):
        return {}, None
    return labelings_of(program, lanes, images, np.asarray(lanes.failed) >= 0)


def has_labels_so_far(algorithm: Algorithm, lanes: driver.Lanes) -> bool:
    """Whether lanes have labels before their end.

    They have none with a method that labels all images together at its end, and before each lane
    has done its first window or has failed, as in its pretraining.
    """
    done = (np.asarray(lanes.window) > 0) | (np.asarray(lanes.failed) >= 0)
    return algorithm.finish is None and bool(done.all())
