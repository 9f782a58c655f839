"""``python -m jaxclust``, and what the script ``jaxclust`` calls: the command."""

import os
import signal
import sys


def run() -> int:
    """Runs the command; a signal while its first modules are loaded ends it in a line."""
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _end)
    from jaxclust.cli.main import main

    return main()


def _end(number: int, frame: object) -> None:
    os.write(2, b"jaxclust: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(run())
