"""Gradients by small changes of the weights, as an oracle for a step of SGD."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np


def assert_goes_down(
    params: Mapping[str, Any],
    moved: Mapping[str, Any],
    leaves: Iterable[tuple[str, str]],
    loss: Callable[[], float],
    rate: float = 1e-2,
) -> None:
    """Holds a step to the slope of a loss at three places of each of some arrays.

    Args:
      params: float64 arrays before the step, by layer and name, which ``loss`` reads.
      moved: the arrays after it.
      leaves: the layers and names to look at.
      loss: the loss of ``params`` as they are.
      rate: of the step.
    """
    for layer, part in leaves:
        values = params[layer][part]
        for place in np.random.default_rng(0).integers(0, values.shape, (3, values.ndim)):
            place = tuple(place)
            ends = []
            for side in (1e-5, -1e-5):
                values[place] += side
                ends.append(loss())
                values[place] -= side
            slope = (ends[0] - ends[1]) / 2e-5
            step = moved[layer][part][place] - values[place]
            np.testing.assert_allclose(step, -rate * slope, rtol=1e-2, atol=1e-7)
