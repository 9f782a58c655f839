"""Progress of a run on stderr."""

import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from jaxclust.engine.driver import Event
from jaxclust.runs.forecast import Forecast

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_SECONDS = 10.0
"""Least time between two lines of progress where stderr is no terminal."""
NAMES = {"pretrain": "pretraining", "cluster": "clustering"}


class Lines:
    """Progress where stderr is no terminal: a line now and then, in place of a moving bar.

    It has what ``Bars`` uses of ``tqdm``.
    """

    def __init__(self, name: str, total: int | None) -> None:
        """Shows nothing yet.

        Args:
          name: of what goes on.
          total: how much there is to do; None where that is not known.
        """
        self.total = total
        self.n = 0
        self.initial = 0
        self._name = name
        self._after = ""
        self._begin = time.monotonic()
        self._last = self._begin

    def reset(self) -> None:
        """Measures the pace from now on."""
        self._begin = time.monotonic()

    def set_postfix_str(self, text: str, refresh: bool = False) -> None:
        """Keeps text for the end of the next line."""
        self._after = f"; {text.strip('; ')}"

    def update(self, count: int = 1) -> None:
        """Adds to what is done."""
        self.n += count
        self.refresh()

    def refresh(self) -> None:
        """Prints a line, unless the last one was printed a moment ago."""
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._print(f"{self._left()}{self._after}")

    def close(self) -> None:
        """Prints the last line."""
        self._print(f"{self._after}, {time.monotonic() - self._begin:.0f} s")

    def _left(self) -> str:
        """The time that is left at the pace of this process; "" where that is not known."""
        done = self.n - self.initial
        if self.total is None or done <= 0:
            return ""
        seconds = (time.monotonic() - self._begin) / done * (self.total - self.n)
        return f", about {seconds:.0f} s left at most"

    def _print(self, rest: str) -> None:
        self._last = time.monotonic()
        of = "" if self.total is None else f" {self.n:,} of {self.total:,}"
        print(f"jaxclust: {self._name}{of}{rest}", file=sys.stderr, flush=True)


class Bars:
    """Progress on stderr, with one bar for each phase."""

    def __init__(self, disable: bool = False) -> None:
        """Shows nothing yet.

        Args:
          disable: never show anything.
        """
        self._disable = disable
        self._bar: tqdm | Lines | None = None
        self._begun = False
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
            self._begun = False
            self.stage(name, note="compiling")
            return
        if self._bar is None:
            return
        line = self._forecast.line(name, event)
        if line is not None:
            self.say(line)
        window = int(np.max(event.lanes.window))
        if not self._begun:
            # The pace is that of what comes now: a run that goes on did not do all this work here,
            # and the first chunk was compiled.
            self._begun = True
            self._bar.reset()
            self._bar.initial = window
        self._bar.total = event.schedule.max_windows
        self._bar.n = window
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
        if not self._disable and not sys.stderr.isatty():
            self._bar = Lines(name, total)
            return
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
