"""The one error that a user's input can cause, and the door through which files are read."""

import contextlib
import difflib
import errno
import os
import stat
from collections.abc import Iterable, Iterator

WORDS = 300
"""Characters of a library's own words that a message keeps."""


class UsageError(ValueError):
    """An argument, a file or a folder breaks a rule.

    It is raised before any long work starts. The message is one line with the argument's name,
    the rule and the value. The command prints it and exits with status 2; every other exception
    is a bug of jaxclust and shows its traceback.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known word nearest to it, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


@contextlib.contextmanager
def reading(rule: str, path: str | os.PathLike | None = None) -> Iterator[None]:
    """Turns whatever a library raises on a file into one line.

    A damaged file makes a library raise nearly anything. So no type is named here: what stands
    within reads one file and does nothing else.

    Args:
      rule: what the file must be, with its name, such as "data: x.npz must be a readable .npz
        file". The library's words follow in brackets.
      path: the file, which is refused where it is a pipe, a device or a folder, whose reading might
        never end; None where that does not matter.

    Raises:
      UsageError: anything was raised within. A UsageError stays as it is.
    """
    try:
        if path is not None:
            check_regular(path)
        yield
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{rule} ({reason(error)})") from error


def check_regular(path: str | os.PathLike) -> None:
    """Refuses what is no regular file, such as a pipe that nobody writes to.

    Raises:
      OSError: it is no regular file, or not there.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "no regular file")


def reason(error: BaseException) -> str:
    """An error of a library in its own words, on one line."""
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    words = words or type(error).__name__
    return words if len(words) <= WORDS else f"{words[:WORDS]}..."
