"""How long a phase of a run goes on, from its first chunks."""

import numpy as np

from jaxclust.engine.driver import Event

LEAST_SECONDS = 60.0
"""A phase that goes on for less than this is not forecast."""
SURE_SECONDS = 1.0
"""Seconds of chunks after the first that make a forecast."""
LONG_SECONDS = 5.0
"""A first chunk of this length makes a forecast: what only a first call takes is short beside."""


class Forecast:
    """Forecasts a phase once, as soon as its pace is known."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._told = False
        self._window: int | None = None
        self._seconds = 0.0
        self._windows = 0

    def line(self, name: str, event: Event) -> str | None:
        """A line on the time that is left, the first time that it is known.

        Args:
          name: the phase's name, as people read it.
          event: of each chunk of the phase, in order.

        Returns:
          The line; None before the pace is known, after that, and where less than LEAST_SECONDS
          are left.
        """
        going = ~event.done
        if self._told or event.pace is None or not going.any():
            return None
        # Lanes that go on have all run the same windows in this phase.
        window = int(np.min(np.asarray(event.lanes.window)[going]))
        self._measure(window, event.pace)
        if not self._told:
            return None
        left = (event.schedule.max_windows - window) * self._seconds / self._windows
        if left < LEAST_SECONDS:
            return None
        return f"{name} takes at most about {duration(left)} more"

    def _measure(self, window: int, pace: float) -> None:
        """Adds a chunk that ended with a window and took ``pace`` seconds for each window."""
        if self._window is not None:
            self._windows += window - self._window
            self._seconds += pace * (window - self._window)
            self._told = self._seconds >= SURE_SECONDS
        elif pace >= LONG_SECONDS:
            self._windows = 1
            self._seconds = pace
            self._told = True
        self._window = window


def duration(seconds: float) -> str:
    """A time in words, such as "1 minute", "40 minutes", "2.5 hours" or "3 days"."""
    minutes = round(seconds / 60)
    if minutes < 100:
        return "1 minute" if minutes <= 1 else f"{minutes} minutes"
    hours = seconds / 3600
    if hours < 10:
        return f"{hours:.1f} hours"
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
