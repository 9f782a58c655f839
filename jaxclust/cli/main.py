"""The command ``jaxclust``: finds the module of a sub-command, and says in one line what is wrong.

No module of a sub-command is imported before it is asked for, so that help comes at once.
"""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from jaxclust import __version__
from jaxclust.cli import signals, streams
from jaxclust.cli.plain_text import plain, plain_stdout
from jaxclust.engine import stopping
from jaxclust.errors import UsageError, did_you_mean


class Command(NamedTuple):
    """A sub-command; its module in ``jaxclust.cli`` has its name, and ``command(words) -> status``.

    Attributes:
      usage: its arguments.
      about: one line about it.
    """

    usage: str
    about: str


COMMANDS = {
    "group": Command("FOLDER", "groups your own pictures, and writes a page of them"),
    "check": Command("FOLDER", "lists copies, dark, blurred and damaged pictures"),
    "fit": Command("[METHOD] --data NAME_OR_PATH", "clusters images"),
    "methods": Command("", "lists what METHOD can be"),
    "datasets": Command("", "lists the named image sets, and which of them are here"),
    "predict": Command(
        "RUN --data NAME_OR_PATH --out FILE.csv",
        "sorts new images into a run's clusters",
    ),
    "vote": Command("RUN", "lets images on which a run's seeds agree decide about the others"),
    "weights": Command(
        "METHOD --data LABELED --out FILE.safetensors",
        "trains a network's first layers on another set's labels",
    ),
    "compare": Command("RUN...", "says which differences between methods can be claimed"),
    "report": Command(
        "RUN... --out FILE.html",
        "writes the comparison and a look into each run as a page",
    ),
}
"""Every sub-command by its name, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: the words after ``jaxclust``; None for those of this process.

    Returns:
      The exit status: 0, or 1 where every seed of a run failed or one of several runs did. It is 2
      with one line on stderr for what cannot be done. It is 130 after Ctrl-C, 143 after SIGTERM,
      and 141 where nobody reads stdout any more.
    """
    streams.prepare()
    words = list(sys.argv[1:] if arguments is None else arguments)
    hints = {
        "fit": "; the same command with --resume goes on from the last checkpoint",
        "group": "; the same command goes on",
    }
    hint = hints.get(words[0], "") if words else ""
    with signals.listening(hint):
        status = _status(words, hint)
        if arguments is None and signals.ends_at_once():
            signals.end(status)
    return status


def _status(words: list[str], hint: str) -> int:
    """Runs the command, and says in a line what keeps it from its end."""
    try:
        status = _run(words)
        sys.stdout.flush()
        return stopping.status() or status
    except BrokenPipeError:
        return reader_gone()
    except (UsageError, OSError) as error:
        print(f"jaxclust: {plain(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted(hint)
    except Exception:
        # What an interruption makes of a library that was in the middle of something.
        if stopping.asked():
            return _interrupted(hint)
        if signals.ends_at_once():
            traceback.print_exc()
            return 1
        raise


def _interrupted(hint: str) -> int:
    print(f"jaxclust: interrupted{hint}", file=sys.stderr)
    return stopping.status() or 130


def reader_gone() -> int:
    """Returns the status of a command whose reader, such as ``head``, has closed stdout.

    What Python still writes at its end goes nowhere then.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def usage() -> str:
    """The help of ``jaxclust`` itself."""
    lines = ["usage: jaxclust COMMAND ...", ""]
    for name, command in COMMANDS.items():
        lines.append(f"  jaxclust {name} {command.usage}".rstrip())
        lines.append(f"      {command.about}")
    return "\n".join(
        [
            *lines,
            "",
            "  jaxclust COMMAND --help      every option of a command",
            "  jaxclust fit --help          the common options of fit",
            "  jaxclust fit METHOD --help   every option, and every setting of a method",
            "  jaxclust --version           the version",
        ]
    )


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0
    name, *rest = words
    if name == "--version":
        print(f"jaxclust {__version__}")
        return 0
    if name not in COMMANDS:
        *others, last = COMMANDS
        known = f"{', '.join(others)} or {last}"
        known_words = [*COMMANDS, "--help", "--version"]
        raise UsageError(f"command: must be {known}, got {name!r}{did_you_mean(name, known_words)}")
    module = importlib.import_module(f"jaxclust.cli.{name}")
    signals.begun()
    # Help has colors of its own, and no names of files.
    shown = contextlib.nullcontext() if {"-h", "--help"} & set(rest) else plain_stdout()
    try:
        with shown:
            return module.command(rest)
    except SystemExit as end:  # Help has been printed.
        return int(end.code or 0)
