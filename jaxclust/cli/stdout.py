"""What the commands do when nobody reads their output any more."""

import os
import sys


def reader_gone() -> int:
    """For a BrokenPipeError: who reads stdout, such as head, has enough of it; returns the exit status, as of SIGPIPE.

    Python writes what is left at its end, to nowhere then.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
