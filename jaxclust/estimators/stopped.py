"""Runs that ``max_seconds`` stopped: the labels that they have, and what is said of them."""

import dataclasses
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from jaxclust.engine import further
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
      UsageError: its clustering had not begun, or its method has no clusters before its end.
    """
    name = run.settings.method
    rule = "max_seconds: must be enough"
    if "cluster" not in run.phases:
        raise UsageError(f"{rule} for the pretraining of {name}, got {max_seconds}")
    lanes = run.phases["cluster"].lanes
    labelings, predictions = further.labels_so_far(run.method, lanes, images)
    kept = next(iter(labelings.values()))[run.kept_lanes()]
    if kept.min(initial=0) < 0 or kept.max(initial=0) >= run.settings.clusters:
        which = f"the whole run of {name}, which has no {run.settings.clusters} clusters before"
        raise UsageError(f"{rule} for {which}, got {max_seconds}")
    windows = np.asarray(lanes.window)
    most = run.method.algorithm.schedule(run.method.config, len(images)).max_windows
    done = str(windows.min()) if windows.min() == windows.max() else f"{windows.min()} or more"
    warnings.warn(
        f"max_seconds, {max_seconds}, stopped {name} after {done} of at most {most} windows of its"
        " clustering; labels_ are those of the last whole window",
        ConvergenceWarning,
        stacklevel=4,
    )
    return dataclasses.replace(run, labelings=labelings, predictions=predictions)
