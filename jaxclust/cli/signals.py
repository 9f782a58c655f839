"""Ctrl-C and SIGTERM: a line at once, an end soon, and at once when it is asked for again.

Python runs a handler of the main thread between two of its own instructions, which may be minutes
away while a compiled program runs. A thread of its own therefore listens: the system writes each
signal's number into a pipe (``signal.set_wakeup_fd``), and the thread reads them.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from jaxclust.cli import streams
from jaxclust.engine import stopping

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PARENT = "JAXCLUST_PARENT"
"""Variable with the number of the process that has started this one and that it ends with."""
LINE_SECONDS = 1.0
"""How long the main thread may take to end before the listener says that it was heard."""
AGAIN_SECONDS = 0.3
"""A signal sooner than this after the first is the same one: a terminal sends Ctrl-C to a command
and to the program that started it, which may hand it on."""
CHILD_SECONDS = 2.0
"""How long children may take to end at once."""
_children: set[subprocess.Popen] = set()
_early: list[bool] = []
_at_once: list[bool] = []
_raised: list[bool] = []


@contextlib.contextmanager
def listening(hint: str) -> Iterator[None]:
    """Answers signals inside; before and after it they do what they did.

    Until ``begun`` is called a signal ends the process: nothing can be lost before. Then it raises
    KeyboardInterrupt in the main thread, or asks work to stop that looks for it, see ``stopping``.

    Args:
      hint: how to go on, behind "interrupted".
    """
    _at_once.clear()
    main = threading.current_thread() is threading.main_thread()
    if not main or sys.platform == "win32":
        yield
        return
    stopping.forget()
    _raised.clear()
    _early[:] = [True]
    out, into = os.pipe()
    os.set_blocking(into, False)
    # A signal that whoever started the command has turned off, as nohup does, stays off.
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _handle)
    pipe = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    thread = threading.Thread(target=_listen, args=(out, hint), daemon=True, name="signals")
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(pipe)
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        os.close(into)
        thread.join()
        os.close(out)
        stopping.forget()


def begun() -> None:
    """Says that the command has its modules: from here on it ends in good order."""
    _early.clear()
    if stopping.asked():
        raise KeyboardInterrupt


@contextlib.contextmanager
def nothing_to_lose() -> Iterator[None]:
    """Has a signal end the process at once inside, as before ``begun``."""
    _early[:] = [True]
    try:
        yield
    finally:
        begun()


@contextlib.contextmanager
def with_child(process: subprocess.Popen) -> Iterator[None]:
    """Hands signals on to a process; this one goes on until that has ended."""
    _children.add(process)
    try:
        with stopping.answered():
            yield
    finally:
        _children.discard(process)


def child_options() -> dict[str, Any]:
    """Arguments of ``subprocess.Popen`` for a process that ends with this one.

    It has a process group of its own, so that a terminal's Ctrl-C comes to it through this process
    alone, and once.
    """
    if sys.platform == "win32":
        return {}
    return {"process_group": 0, "env": os.environ | {PARENT: str(os.getpid())}}


def end_at_once() -> None:
    """Has the command end its process without what Python and JAX do at their end."""
    _at_once.append(True)


def ends_at_once() -> bool:
    """Whether the command is to end its process at once."""
    return bool(_at_once) or stopping.asked()


def end(status: int) -> None:
    """Ends the process at once, without what Python does at its end.

    Threads in compiled programs would otherwise be cut off in the middle of their work, which
    ends in "terminate called without an active exception".
    """

    def flush() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()

    # Another thread may hold a stream's lock, and never give it back.
    flusher = threading.Thread(target=flush, daemon=True)
    flusher.start()
    flusher.join(0.5)
    os._exit(status)


def _handle(number: int, frame: object) -> None:
    """Runs in the main thread, before or after the listener has read the number."""
    stopping.ask(number)
    # Once: what is done after it, such as the last line, is not to be interrupted. A second signal
    # ends the process, see ``_listen``.
    if not _early and not _raised and not stopping.is_answered():
        _raised.append(True)
        raise KeyboardInterrupt


def _listen(pipe: int, hint: str) -> None:
    """Reads signals from the pipe until it is closed."""
    parent = os.environ.get(PARENT)
    line_at = None
    first = None
    while True:
        ready, _, _ = select.select([pipe], [], [], 0.2)
        if line_at is not None and time.monotonic() > line_at:
            line_at = None
            _say(f"{stopping.called()}: stops as soon as it can; once more ends at once")
        if ready:
            numbers = os.read(pipe, 64)
            if not numbers:
                return
        elif parent is not None and parent != str(os.getppid()) and not stopping.asked():
            numbers = bytes([signal.SIGTERM])
        else:
            continue
        for number in numbers:
            if number in SIGNALS:
                now = time.monotonic()
                if first is not None and now - first < AGAIN_SECONDS:
                    continue
                stopping.ask(number)
                again = first is not None
                first = now if first is None else first
                if _answer(number, again, hint):
                    line_at = now + LINE_SECONDS


def _answer(number: int, again: bool, hint: str) -> bool:
    """Answers a signal; whether a line is still owed."""
    for child in list(_children):
        with contextlib.suppress(OSError):
            child.send_signal(number)
    if again:
        _end_children()
        _say("ended at once")
        end(128 + number)
    if _early:
        _say(f"interrupted{hint}")
        end(128 + number)
    if _children:
        return False  # The child says it.
    if stopping.is_answered():
        line = f"{stopping.called()}: stops after the running step; once more ends at once"
        _say(line, "\n")
        return False
    return True


def _end_children() -> None:
    for child in list(_children):
        try:
            child.wait(CHILD_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()


def _say(text: str, before: str = "") -> None:
    """Writes a line to stderr, past Python's buffers, whose locks the main thread may hold."""
    with contextlib.suppress(OSError):
        os.write(
            streams.error_number(), f"{before}jaxclust: {text}\n".encode(errors="backslashreplace")
        )
