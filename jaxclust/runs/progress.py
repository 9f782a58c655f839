"""Progress of a run on stderr."""

import sys
from typing import TYPE_CHECKING

import numpy as np

from jaxclust.engine.driver import Event
from jaxclust.runs.forecast import Forecast

if TYPE_CHECKING:
    from tqdm import tqdm

NAMES = {"pretrain": "pretraining", "cluster": "clustering"}


class Bars:
    """Progress on stderr, with one bar for each phase."""

    def __init__(self, disable: bool = False) -> None:
        """Shows nothing yet.

        Args:
          disable: never show anything.
        """
        self._disable = disable
        self._bar: tqdm | None = None
        self._name = ""
        self._forecast = Forecast()

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, phase: str, event: Event | None) -> None:
        """Begins a phase's bar, or moves it: ``engine.phase.Hooks.progress``.

        A line of its own says how long the phase takes, where that is over a minute.
        """
        name = NAMES.get(phase, phase)
        if event is None:
            self._forecast = Forecast()
            self.stage(name, note="compiling")
            return
        if self._bar is None:
            return
        line = self._forecast.line(name, event)
        if line is not None:
            self.say(line)
        self._bar.total = event.schedule.max_windows
        self._bar.n = int(np.max(event.lanes.window))
        names = [name for name in ("loss", "changed") if name in event.history]
        last = ", ".join(f"{name} {event.history[name][-1]:.3g}" for name in names)
        ended = f"{int(event.done.sum())} of {event.done.size} seeds done"
        self._bar.set_postfix_str(f"{last}; {ended}", refresh=False)
        self._bar.refresh()

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        from tqdm import tqdm

        if not self._disable:
            tqdm.write(f"jaxclust: {text}", file=sys.stderr)

    def stage(self, name: str, total: int | None = None, note: str = "") -> None:
        """Begins another bar."""
        from tqdm import tqdm

        self.close()
        self._name = name
        self._bar = tqdm(
            total=total,
            desc=name,
            postfix=note or None,
            file=sys.stderr,
            leave=True,
            dynamic_ncols=True,
            disable=self._disable,
        )

    def count(self, name: str, done: int, total: int) -> None:
        """Moves the bar of a name to a number; begins it where another one or none is shown."""
        if self._bar is None or self._name != name:
            self.stage(name, total)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def step(self) -> None:
        """Moves the bar by one."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Ends the bar there is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
