"""Whether the work that goes on is to stop: its time is up, or somebody has asked for it."""

import contextlib
import contextvars
import signal
import time
from collections.abc import Iterator

SIGNALED = 128
"""The exit status of a command that a signal has stopped, less the signal's number."""
_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)
_asked: list[int] = []
_answering: list[None] = []


@contextlib.contextmanager
def within(deadline: float | None) -> Iterator[None]:
    """Sets the time at which the work inside is to stop.

    Args:
      deadline: on the clock of ``time.perf_counter``; None for never.
    """
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def time_is_up() -> bool:
    """Whether the deadline has passed."""
    deadline = _deadline.get()
    return deadline is not None and time.perf_counter() > deadline


def ask(number: int) -> None:
    """Asks all work of this process to stop, for a signal's number."""
    _asked.append(number)


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Says that the work inside looks for what was asked: no KeyboardInterrupt is needed."""
    _answering.append(None)
    try:
        yield
    finally:
        _answering.pop()


def is_answered() -> bool:
    """Whether the work that goes on looks for what was asked."""
    return bool(_answering)


def asked() -> bool:
    """Whether a signal has asked to stop."""
    return bool(_asked)


def forget() -> None:
    """Forgets what was asked, as the command does that has answered it."""
    _asked.clear()


def status() -> int:
    """The exit status of a command that a signal has stopped; 0 where none has."""
    return SIGNALED + _asked[0] if _asked else 0


def follow(other: int) -> None:
    """Asks to stop as the signal did that has stopped another process of the run.

    Args:
      other: that process's ``status``; 0 asks for nothing.
    """
    if other and not asked():
        ask(other - SIGNALED)


def called() -> str:
    """What stopped the command, in words."""
    if not _asked:
        return ""
    return "Ctrl-C" if _asked[0] == signal.SIGINT else signal.Signals(_asked[0]).name
