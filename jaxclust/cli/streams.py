"""The command's stdout and stderr, whatever they are."""

import io
import os
import sys
from typing import TextIO


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
