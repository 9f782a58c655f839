"""The command's stdout and stderr, whatever they are."""

import io
import os
import sys
import tempfile
from typing import BinaryIO, TextIO

_error_number: list[int] = [2]


def error_number() -> int:
    """The number of the file that lines for the user go to, past Python's buffers."""
    return _error_number[-1]


class Aside:
    """What compiled code writes to stderr, kept in a file, while Python's lines still go there."""

    def __init__(self) -> None:
        """Begins to keep it."""
        sys.stderr.flush()
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self._number = os.dup(2)
        self._before = sys.stderr
        own = open(self._number, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        sys.stderr = own
        os.dup2(self.file.fileno(), 2)
        _error_number.append(self._number)

    def text(self) -> str:
        """What was written so far."""
        size = os.fstat(self.file.fileno()).st_size
        return os.pread(self.file.fileno(), size, 0).decode(errors="replace")

    def end(self) -> None:
        """Lets it go to stderr again; what was kept is dropped."""
        _error_number.remove(self._number)
        sys.stderr.flush()
        os.dup2(self._number, 2)
        sys.stderr.close()
        sys.stderr = self._before
        self.file.close()


def prepare() -> None:
    """Makes stdout and stderr take every text.

    What their encoding lacks, such as Greek on an ASCII terminal or the bytes of a file's name that
    are no UTF-8, is written as an escape. One that was closed before the command began goes
    nowhere: a file that is opened later would take its number otherwise, and get the text.
    """
    sys.stdout = _prepared(sys.stdout, 1)
    sys.stderr = _prepared(sys.stderr, 2)


def _prepared(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        opened = os.open(os.devnull, os.O_WRONLY)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
