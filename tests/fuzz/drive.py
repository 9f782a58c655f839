"""Runs the command in this process on bad input, and says what is wrong with how it ended."""

import contextlib
import io
import os
import shutil
import signal
import traceback
from pathlib import Path

from jaxclust.cli.main import main

LIMIT = 900
"""Seconds after which a command hangs."""


def fault(words):
    """What is wrong with how a command ended; "" where it was a sound run or one line.

    Args:
      words: as after ``jaxclust``.
    """
    return ended(words)[1]


def ended(words):
    """The exit status of a command, None for a traceback; and what is wrong with it, or ""."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    before = signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(LIMIT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([os.fspath(word) for word in words])
    except (Exception, SystemExit, _HangsError):
        return None, traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    lines = err.buffer.getvalue().decode().splitlines()
    if any(not line.startswith("jaxclust: ") for line in lines):
        return status, f"more than lines of the command: {lines}"
    if status == 2 and (not lines or "warning" in lines[-1]):
        return status, f"exit status 2 without a line: {lines}"
    if status not in (0, 1, 2):
        return status, f"exit status {status}"
    return status, ""


class _HangsError(BaseException):
    """No Exception, so that no door takes it for the words of a library."""


def _hangs(*_):
    raise _HangsError(f"the command hangs for {LIMIT} s")


def copied(run: Path, place: Path) -> Path:
    """A copy of a run's folder, of which nothing else is left from before."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run, place)
    return place
