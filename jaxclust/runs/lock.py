"""A folder in use: one process writes to it at a time, and another one is told which."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jaxclust.errors import UsageError

if TYPE_CHECKING:
    import filelock

LOCK = ".lock"
"""The file in a folder that a process holds while it writes there; it has the process's number. The
system lets go of it when the process ends, however it ends. On Windows a locked file cannot be read
by others, and holds no number."""
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system without locks answers, such as NFS without its lock daemon."""


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Holds a folder while something is written to it.

    On a file system without locks nothing is held, and every process may write.

    Args:
      directory: the folder; made if missing, and deleted again if it stays empty.

    Raises:
      UsageError: another process, or another run of this one, holds it; or it cannot be written to.
    """
    import filelock

    made = not directory.exists()
    path = directory / LOCK
    lock = filelock.FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if _acquired(lock) and sys.platform != "win32":
            path.write_text(f"{os.getpid()}\n")
    except filelock.Timeout:
        rule = f"out: {directory} must be used by one process at a time"
        raise UsageError(f"{rule}, {_holder(path)} writes there now") from None
    except OSError as error:
        _let_go(lock, path, made)
        rule = "out: must be a folder that can be written to"
        raise UsageError(f"{rule}, got {directory} ({error.strerror})") from error
    try:
        yield
    finally:
        _let_go(lock, path, made)


def _acquired(lock: "filelock.BaseFileLock") -> bool:
    """Takes a lock; False on a file system without locks."""
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        Path(lock.lock_file).unlink(missing_ok=True)
        return False
    return True


def _let_go(lock: "filelock.BaseFileLock", path: Path, made: bool) -> None:
    """Lets go of a lock that is held and deletes its file, and a folder that was made for it."""
    if lock.is_locked:
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()
    if made:
        with contextlib.suppress(OSError):  # It holds something.
            path.parent.rmdir()


def is_empty(directory: Path) -> bool:
    """Whether a folder holds nothing, or a lock alone."""
    return not {path.name for path in directory.iterdir()} - {LOCK}


def check_free(directory: Path) -> None:
    """Refuses a folder that another process writes to: UsageError."""
    if (directory / LOCK).exists():
        with held(directory):
            pass


def _holder(path: Path) -> str:
    """The process that holds a folder, by its number where that is known."""
    try:
        number = path.read_text().strip()
    except OSError:
        number = ""
    return f"process {number}" if number else "another process"
