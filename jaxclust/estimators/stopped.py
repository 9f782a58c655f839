"""Runs that ``max_seconds`` stopped: the labels that they have, and what is said of them."""

import dataclasses
import warnings

import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from jaxclust.engine import driver, programs
from jaxclust.engine.labelings import labelings_so_far
from jaxclust.errors import UsageError
from jaxclust.runs.run import Run


def with_labels(run: Run, images: np.ndarray, max_seconds: float | None) -> Run:
    """A run that was stopped, with the labels of its last whole windows; it stays unfinished.

    A ConvergenceWarning says how far it came.

    Args:
      run: one that is not finished.
      images: that it is of.
      max_seconds: after how long it was stopped.

    Raises:
      UsageError: its clustering had not come to the end of a window, or its method has no clusters
        before its end.
    """
    name = run.settings.method
    rule = "max_seconds: must be enough"
    if "cluster" not in run.phases:
        raise UsageError(f"{rule} for the pretraining of {name}, got {max_seconds}")
    lanes = run.phases["cluster"].lanes
    algorithm = run.method.algorithm
    if algorithm.finish is not None:
        which = f"the whole run of {name}, which has no {run.settings.clusters} clusters before"
        raise UsageError(f"{rule} for {which}, got {max_seconds}")
    programs.keep()
    network = run.method.build(images.shape[1:])
    program = driver.Program(algorithm, run.method.config, network, "map")
    labelings, predictions = labelings_so_far(program, lanes, jnp.asarray(images))
    if not labelings:
        raise UsageError(f"{rule} for a window of the clustering of {name}, got {max_seconds}")
    windows = np.asarray(lanes.window)
    most = algorithm.schedule(run.method.config, len(images)).max_windows
    done = str(windows.min()) if windows.min() == windows.max() else f"{windows.min()} or more"
    warnings.warn(
        f"max_seconds, {max_seconds}, stopped {name} after {done} of at most {most} windows of its"
        " clustering; labels_ are those of the last whole window",
        ConvergenceWarning,
        stacklevel=4,
    )
    return dataclasses.replace(run, labelings=labelings, predictions=predictions)
