"""The command: ``python -m experiments run|table|figure PAPER``, ``python -m experiments results``.

run: makes the rows that are missing, then prints the tables. A cell, such as a method on a data set
for all its seeds, adds its rows to a file in experiments/results as it ends. A cell whose rows are
there is skipped, and one that was stopped goes on from its checkpoint.
table: prints the tables from the rows.    figure: draws the figures.
results: writes docs/results.md, docs/dcec.png and a table of README.md from the rows.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from experiments.experiment import EXPERIMENTS, Experiment, Part, Request, read
from jaxclust.cli.main import reader_gone
from jaxclust.comparison.tables import FORMATS
from jaxclust.engine.devices import use_devices
from jaxclust.errors import UsageError

COMMON = ("over", "folder", "max_seconds")
"""Flags of all work that takes time."""
WORDS = ("action", "paper")
"""What is given without a flag."""


class Parser(argparse.ArgumentParser):
    """A parser that refuses words as everything here does."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(message.removeprefix("argument --"))


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 2, with one line on stderr, for what cannot be done."""
    try:
        given = parser().parse_args(words)
        if given.action == "results":
            if any(value for name, value in vars(given).items() if name != "action"):
                raise UsageError("results: must stand alone, got more")
            from experiments.results import write  # Here, since it needs matplotlib.

            write()
        else:
            work(given)
        sys.stdout.flush()
    except BrokenPipeError:
        return reader_gone()
    except (UsageError, OSError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    return 0


def work(given: argparse.Namespace) -> None:
    """Does what is asked for; a flag that is not given is None."""
    known = parts(given.action)
    if given.paper not in known:
        raise UsageError(f"PAPER: must be one of {', '.join(known)}, got {given.paper!r}")
    experiment, part = known[given.paper]
    request = request_of(part, given)
    if given.action != "table":
        use_devices(request.over, os.cpu_count() or 1)
    if not part.work(request):
        print("out of time; the same command goes on", file=sys.stderr)
    if part.prints and given.action != "figure":
        print(experiment.tables())


def parts(action: str) -> dict[str, tuple[Experiment, Part]]:
    """What PAPER can be for an action, with what then works."""
    found = {}
    for name in EXPERIMENTS:
        experiment = read(name)
        if action == "run":
            for part, work in experiment.run.items():
                found[f"{name}-{part}" if part else name] = (experiment, work)
        elif action == "table":
            found[name] = (experiment, experiment.table or Part("", lambda request: True))
        elif experiment.figure is not None:
            found[name] = (experiment, experiment.figure)
    return found


def request_of(part: Part, given: argparse.Namespace) -> Request:
    """What a person asks of a part.

    Raises:
      UsageError: a name is not known, or the part has no such flag.
    """
    common = () if given.action == "table" else COMMON
    request = Request(folder=Path("runs") / given.paper.partition("-")[0])
    flags = {name: value for name, value in vars(given).items() if name not in WORDS}
    for flag, value in flags.items():
        known = part.names.get(flag)
        if known is not None:
            typed = None if value is None else tuple(value.split(","))
            names = typed or part.usual.get(flag, tuple(known))
            for name in names:
                if name not in known:
                    rule = f"{flag}: must be of {', '.join(known)}"
                    raise UsageError(f"{rule}, got {name!r}")
            request = request._replace(**{flag: names})
        elif value is not None and flag not in (*part.flags, *common, "folder"):
            raise UsageError(f"{flag.replace('_', '-')}: must not be given here, got {value!r}")
        elif flag == "max_seconds" and value is not None:
            request = request._replace(deadline=time.monotonic() + value)
        elif value is not None:
            request = request._replace(**{flag: value})
    return request


def parser() -> Parser:
    """The one parser of all experiments."""
    top = Parser(
        "python -m experiments",
        description=__doc__,
        epilog="\n".join(_parts_in_words()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("action", choices=("run", "table", "figure", "results"))
    top.add_argument("paper", nargs="?", default="", metavar="PAPER", help="see below")
    for name in ("data", "methods", "variants", "starts"):
        top.add_argument(f"--{name}", metavar="A,B", help="some of those that there are")
    top.add_argument("--over", choices=("vmap", "map", "shard"), help="how seeds run")
    top.add_argument("--folder", type=Path, help="of checkpoints and runs (default: runs/PAPER)")
    top.add_argument("--max-seconds", type=float, help="stop in time, to go on later")
    top.add_argument("--format", choices=tuple(FORMATS), help="of a comparison")
    top.add_argument("--out", type=Path, help="the file to write")
    top.add_argument("--runs", nargs="+", metavar="RUN", help="as of jaxclust report")
    top.add_argument("--images", nargs="+", metavar="PATH", help="of runs without a name")
    return top


def _parts_in_words() -> list[str]:
    """A line for each action and PAPER, with its flags beside those of all work."""
    lines = []
    for action in ("run", "table", "figure"):
        for name, (_, part) in parts(action).items():
            flags = " ".join(f"--{flag}" for flag in (*part.names, *part.flags))
            lines.append(f"{action:7}{name:17} {part.about}{f' ({flags})' if flags else ''}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
