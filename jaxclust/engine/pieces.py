"""How a window is cut into compiled calls, so that a run answers soon: it changes no number."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxclust.engine.lanes import Bounds
from jaxclust.types import Schedule

CALL_SECONDS = 4.0
"""Length that a call within a window aims at: a stop waits for the end of a call."""
GROWTH = 8
"""How many times more steps the next call may have: the first ones of a program are no measure."""


class Pace(NamedTuple):
    """How fast steps were so far.

    Attributes:
      calls: number of calls.
      steps: of the last call, in a lane.
      seconds: for each step of the last call, for all lanes together.
    """

    calls: int = 0
    steps: int = 0
    seconds: float = 0.0

    def after(self, steps: int, seconds: float) -> "Pace":
        """The pace after another call of so many steps and seconds."""
        return Pace(self.calls + 1, steps, seconds / max(steps, 1))


def end(pace: Pace, first: int, steps: int) -> int:
    """The step before which the next call ends.

    Args:
      pace: of the calls so far; the first one has a single step.
      first: the step that it begins with.
      steps: of the window.
    """
    if pace.calls == 0:
        return first + 1
    if (steps - first) * pace.seconds <= CALL_SECONDS:
        return steps
    count = int(CALL_SECONDS / pace.seconds)
    return min(steps, first + max(1, min(count, GROWTH * pace.steps)))


class Call(NamedTuple):
    """A compiled call.

    Attributes:
      bounds: what it runs.
      steps: of each lane, over all its windows.
      windows: how many it ends; 0 for a piece without a window's last step.
      next_step: the step in its window with which the call after it begins.
    """

    bounds: Bounds
    steps: int
    windows: int
    next_step: int


def whole(windows: int, schedule: Schedule) -> Call:
    """A call that runs so many windows."""
    steps = schedule.steps_per_window
    return Call(_bounds(windows, 0, steps), windows * steps, windows, 0)


def following(pace: Pace, first: int, windows: int, schedule: Schedule) -> Call:
    """The next call: so many windows where one is known to be short, otherwise a piece of one.

    Args:
      pace: of the calls so far.
      first: the step in its window that it begins with.
      windows: how many there may be.
      schedule: of the algorithm.
    """
    steps = schedule.steps_per_window
    if first == 0 and pace.calls > 0 and steps * pace.seconds <= CALL_SECONDS:
        return whole(windows, schedule)
    last = end(pace, first, steps)
    ends = last == steps
    return Call(_bounds(1, first, last), last - first, int(ends), 0 if ends else last)


class Shares(NamedTuple):
    """A call that devices share: whole windows, or the steps of a piece.

    Attributes:
      count: how many there are for each lane.
      part: ``part(first, count)`` gives the bounds of some of them.
    """

    count: int
    part: Callable[[int, int], Bounds]


def shares(bounds: Bounds, schedule: Schedule) -> Shares:
    """What devices can share of a call."""
    windows, begin, last = map(int, bounds)
    steps = schedule.steps_per_window
    if (begin, last) == (0, steps):
        return Shares(windows, lambda first, count: _bounds(count, 0, steps))
    return Shares(
        last - begin, lambda first, count: _bounds(1, begin + first, begin + first + count)
    )


def _bounds(windows: int, first: int, last: int) -> Bounds:
    return Bounds(np.int32(windows), np.int32(first), np.int32(last))
