"""Progress of a run on stderr."""

import sys

import numpy as np
from tqdm import tqdm

from jaxclust.engine import driver


class Bars:
    """Progress on stderr: one bar a phase."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, phase: str, event: driver.Event | None) -> None:
        if event is None:
            self.stage(
                {"pretrain": "pretraining", "cluster": "clustering"}.get(phase, phase),
                note="compiling",
            )
            return
        bar = self._bar
        bar.total = event.schedule.max_windows
        bar.n = int(np.max(event.runs.window))
        last = {
            name: event.history[name][-1] for name in ("loss", "changed") if name in event.history
        }
        bar.set_postfix_str(
            f"{', '.join(f'{name} {value:.3g}' for name, value in last.items())}; "
            f"{int(event.done.sum())} of {event.done.size} seeds done",
            refresh=False,
        )
        bar.refresh()

    def stage(self, name: str, total: int | None = None, note: str = "") -> None:
        self.close()
        self._bar = tqdm(
            total=total,
            desc=name,
            postfix=note or None,
            file=sys.stderr,
            leave=True,
            dynamic_ncols=True,
        )

    def step(self) -> None:
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
