"""What ``partial_fit`` does with a batch: k-means moves its centers, CCNN makes its steps."""

from typing import Any, NamedTuple

import numpy as np

from jaxclust.engine import fit as engine
from jaxclust.engine import further
from jaxclust.errors import UsageError
from jaxclust.estimators import states
from jaxclust.methods import registry
from jaxclust.runs.run import Run
from jaxclust.types import Method


class Progress(NamedTuple):
    """How far batches have come after the first one.

    Attributes:
      batches: how many there were.
      counts: of k-means the points that each center has seen, int32 (seeds, k); None of other
        methods, whose states have what they count, and before the first further batch.
    """

    batches: int = 0
    counts: np.ndarray | None = None


def takes_batches(method: Method) -> bool:
    """Whether a method can go on with new images alone."""
    return method.algorithm.kmeans or method.algorithm.streams


def check(method: Method) -> None:
    """Refuses a method that cannot go on with new images alone.

    Raises:
      UsageError: it keeps something for each of its images, or begins with k-means on all.
    """
    if not takes_batches(method):
        able = ", ".join(name for name, known in registry.METHODS.items() if takes_batches(known))
        rule = f"partial_fit: must be of a method that keeps nothing for each image, {able}"
        raise UsageError(f"{rule}, got {method.name}")
    if method.algorithm.streams and method.config.start == "kmeans":
        rule = "start: must be seeds or sample for partial_fit, since kmeans needs all images"
        raise UsageError(f"{rule}, got kmeans for {method.name}")


def moved(run: Run, before: Any, progress: Progress, inputs: np.ndarray) -> tuple[Any, Progress]:
    """The voting seeds' states after one more batch.

    Args:
      run: of the first batch.
      before: the states so far, with a leading axis.
      progress: how far batches have come.
      inputs: what the network takes of the batch, (n, h, w, c).

    Raises:
      UsageError: a seed met a NaN or inf.
    """
    number = progress.batches
    if run.method.algorithm.kmeans:
        counts = states.counts_of(run) if progress.counts is None else progress.counts
        points = engine.apply(run.method, before, inputs, "embed")
        centers, counts = states.moved_centers(before.centroids, counts, points)
        return before._replace(centroids=centers), Progress(number + 1, counts)
    seeds = run.consensus().seeds
    after, failed = further.pass_over(run.method, before, further.pass_keys(seeds, number), inputs)
    lost = [seed for seed, step in zip(seeds, failed.tolist(), strict=True) if step >= 0]
    if lost:
        rule = f"partial_fit: steps of {run.method.name} must stay finite"
        names = ", ".join(map(str, lost))
        raise UsageError(f"{rule}, got NaN or inf for seed {names}; the estimator is as before")
    return after, Progress(number + 1)
