"""A folder in use: one process writes to it at a time, and another one is told which."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from jaxclust.errors import UsageError

LOCK = ".lock"
"""The file in a folder that a process holds while it writes there; it has the process's number. The
system lets go of it when the process ends, however it ends."""


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Holds a folder while something is written to it.

    On a file system without locks nothing is held.

    Args:
      directory: the folder; made if missing, and deleted again if it stays empty.

    Raises:
      UsageError: another process, or another run of this one, holds it; or it cannot be written to.
    """
    import filelock

    made = not directory.exists()
    path = directory / LOCK
    lock = filelock.FileLock(path, timeout=0, thread_local=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(NotImplementedError):
            lock.acquire()
            path.write_text(f"{os.getpid()}\n")
    except filelock.Timeout:
        rule = f"out: {directory} must be used by one process at a time"
        raise UsageError(f"{rule}, process {_holder(path)} writes there now") from None
    except OSError as error:
        rule = "out: must be a folder that can be written to"
        raise UsageError(f"{rule}, got {directory} ({error.strerror})") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()
        if made:
            with contextlib.suppress(OSError):  # It holds something.
                directory.rmdir()


def is_empty(directory: Path) -> bool:
    """Whether a folder holds nothing, or a lock alone."""
    return not {path.name for path in directory.iterdir()} - {LOCK}


def check_free(directory: Path) -> None:
    """Refuses a folder that another process writes to: UsageError."""
    if (directory / LOCK).exists():
        with held(directory):
            pass


def _holder(path: Path) -> str:
    """The number of the process that holds a folder."""
    try:
        return path.read_text().strip() or "another"
    except OSError:
        return "another"
