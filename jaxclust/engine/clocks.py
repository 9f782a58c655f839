"""How long a run takes, with the time that JAX compiles told apart."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax.monitoring

# Spans (begin, end) of tracing, lowering and compiling. They are kept disjoint: traces nest, and
# threads compile side by side.
_spans: list[tuple[float, float]] = []
_lock = threading.Lock()


def _note(event: str, duration_secs: float, **_: str | int) -> None:
    if not event.startswith("/jax/core/compile/"):
        return
    with _lock:
        end = time.perf_counter()
        begin = end - duration_secs
        while _spans and _spans[-1][1] > begin:
            begin = min(begin, _spans.pop()[0])
        _spans.append((begin, end))


jax.monitoring.register_event_duration_secs_listener(_note)


def compile_seconds() -> float:
    """Wall-clock seconds in which this process has traced, lowered or compiled so far."""
    with _lock:
        return sum(end - begin for begin, end in _spans)


class Times(NamedTuple):
    """Wall-clock seconds of running, without compilation, and of compiling."""

    seconds: float
    compile_seconds: float


_NONE = Times(0.0, 0.0)


class Stopwatch:
    """Measures from its creation on; ``read`` may be called more than once."""

    def __init__(self, before: Times = _NONE) -> None:
        """Starts.

        Args:
          before: times that an earlier part of the same work took, which are added.
        """
        self._before = before
        self._begin = time.perf_counter()
        self._compiled = compile_seconds()
        self._paused = 0.0

    def read(self) -> Times:
        """The times until now."""
        compiling = compile_seconds() - self._compiled
        running = time.perf_counter() - self._begin - compiling - self._paused
        return Times(self._before.seconds + running, self._before.compile_seconds + compiling)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out the running time of what happens inside; compiling counts there too."""
        inner = Stopwatch()
        try:
            yield
        finally:
            self._paused += inner.read().seconds
