"""How long this process has been compiling, by JAX's own events: run times are told without it."""

import threading
import time

import jax.monitoring

# Spans of tracing, lowering and compiling, (begin, end), disjoint: traces nest, and threads compile side by side.
_spans: list[tuple[float, float]] = []
_lock = threading.Lock()


def _note(event: str, spent: float, **_) -> None:
    if not event.startswith("/jax/core/compile/"):
        return
    with _lock:
        end = time.perf_counter()
        begin = end - spent
        while _spans and _spans[-1][1] > begin:
            begin = min(begin, _spans.pop()[0])
        _spans.append((begin, end))


jax.monitoring.register_event_duration_secs_listener(_note)


def seconds() -> float:
    """Wall-clock seconds in which this process has traced, lowered or compiled JAX programs so far."""
    with _lock:
        return sum(end - begin for begin, end in _spans)
