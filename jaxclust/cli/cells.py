"""A cell of a sweep: ``jaxclust fit`` in a process of its own, and how that ended."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxclust.cli import signals
from jaxclust.cli.plain_text import plain
from jaxclust.engine import stopping
from jaxclust.runs.folder import is_finished
from jaxclust.runs.sweeps import SweepCell

LOG_BYTES = 4_000
"""How much of a crashed cell's last words its row keeps."""


class Start(NamedTuple):
    """How processes of cells are started.

    Attributes:
      deadline: on ``time.monotonic``'s clock, where a cell stops with a checkpoint; None for never.
      quiet: show no progress.
    """

    deadline: float | None = None
    quiet: bool = False

    @classmethod
    def within(cls, seconds: float | None, quiet: bool) -> "Start":
        """A start now, for so many seconds."""
        return cls(None if seconds is None else time.monotonic() + seconds, quiet)


def words_of(
    cell: SweepCell, folder: Path, seconds: float | None, more: Sequence[str] = ()
) -> list[str]:
    """What follows ``jaxclust fit`` for a cell.

    Args:
      cell: its arguments are those of ``jaxclust fit METHOD`` without --out.
      folder: of the cell; an earlier run there goes on.
      seconds: how long it may take; None for as long as it likes.
      more: arguments of this start alone.
    """
    words = [cell.method, *cell.arguments, "--out", str(folder), *more]
    if seconds is not None:
        words += ["--max-seconds", f"{seconds:.3f}"]
    return [*words, "--resume"] if folder.exists() else words


def ended(cell: SweepCell, folder: Path, code: int, text: str) -> SweepCell:
    """A cell with the status, reason and log of its process's end.

    Args:
      cell: as it began, with its seconds.
      folder: of the cell.
      code: the exit status of its process, below 0 for a signal.
      text: the last words of the process on stderr.
    """
    if code == 0:
        return dataclasses.replace(cell, status="finished" if is_finished(folder) else "stopped")
    lines = [line for line in text.replace("\r", "\n").splitlines() if line.strip()]
    last = lines[-1].strip().removeprefix("jaxclust: ") if lines else "no word"
    reason = f"killed by {signal.Signals(-code).name}" if code < 0 else last
    return dataclasses.replace(cell, status="failed", reason=reason, log="\n".join(lines))


def run_cell(cell: SweepCell, folder: Path, start: Start, more: Sequence[str] = ()) -> SweepCell:
    """Runs a cell's process unless time has run out, and shows what it shows.

    Args:
      cell: its arguments are those of ``jaxclust fit METHOD`` without --out.
      folder: of the cell; an earlier run there goes on.
      start: how the process is started.
      more: arguments of this start alone.

    Returns:
      The cell with the status, reason, seconds and log of its end.

    Raises:
      KeyboardInterrupt: the process was interrupted.
    """
    began = time.monotonic()
    if start.deadline is not None and began >= start.deadline:
        return cell
    words = words_of(cell, folder, None if start.deadline is None else start.deadline - began, more)
    if start.quiet:
        words.append("--quiet")
    else:
        print(plain(f"{cell.method} on {cell.data}"), file=sys.stderr, flush=True)
    code, text = watched(words)
    if stopping.asked() or code in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    cell = dataclasses.replace(cell, seconds=round(time.monotonic() - began, 3))
    return ended(cell, folder, code, text)


def started(words: list[str], errors: Any, options: dict[str, Any]) -> subprocess.Popen:
    """Starts ``jaxclust fit`` in a process of its own, whose stderr goes to a file or a pipe.

    Args:
      words: what follows ``jaxclust fit``.
      errors: as the argument ``stderr`` of ``subprocess.Popen``.
      options: further arguments of ``subprocess.Popen``.
    """
    command = [sys.executable, "-m", "jaxclust", "fit", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, **options)


def watched(words: list[str]) -> tuple[int, str]:
    """Runs ``jaxclust fit`` in a process of its own, and shows its stderr.

    Returns:
      The exit status, and the last words on stderr.
    """
    process = started(words, subprocess.PIPE, signals.child_options())
    assert process.stderr is not None
    tail = b""
    try:
        with signals.with_child(process):
            while chunk := os.read(process.stderr.fileno(), 65_536):
                sys.stderr.write(chunk.decode(errors="replace"))
                sys.stderr.flush()
                tail = (tail + chunk)[-LOG_BYTES:]
            return process.wait(), tail.decode(errors="replace")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        process.stderr.close()
