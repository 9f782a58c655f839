"""The command: ``python -m experiments run|table|figure PAPER``, ``python -m experiments results``.

run: makes the rows that are missing, then prints the tables. A cell, such as a method on a data set
for all its seeds, adds its rows to a file in experiments/results as it ends. A cell whose rows are
there is skipped, and one that was stopped goes on from its checkpoint.
table: prints the tables from the rows.    figure: draws the figures.
results: writes docs/results.md and docs/dcec.png from the rows.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from experiments.experiment import EXPERIMENTS, Experiment, Part, Request, read
from jaxclust.cli.main import reader_gone
from jaxclust.comparison.tables import FORMATS
from jaxclust.engine.devices import use_devices
from jaxclust.errors import UsageError

COMMON = ("over", "folder", "max_seconds")
"""Flags of all work that takes time."""


class Parser(argparse.ArgumentParser):
    """A parser that refuses words as everything here does."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(message.removeprefix("argument --"))


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 2, with one line on stderr, for what cannot be done."""
    try:
        given = vars(parser().parse_args(words))
        if given["action"] == "results":
            if any(given[name] for name in given if name != "action"):
                raise UsageError("results: must stand alone, got more")
            from experiments.results import write  # Here, since it needs matplotlib.

            write()
        else:
            work(given.pop("action"), given.pop("paper"), given)
        sys.stdout.flush()
    except BrokenPipeError:
        return reader_gone()
    except (UsageError, OSError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    return 0


def work(action: str, paper: str, given: dict[str, Any]) -> None:
    """Does what is asked for; ``given`` has the flags, None where they are not given."""
    known = parts(action)
    if paper not in known:
        raise UsageError(f"PAPER: must be one of {', '.join(known)}, got {paper!r}")
    experiment, part = known[paper]
    given["folder"] = given["folder"] or Path("runs") / paper.partition("-")[0]
    request = request_of(part, given, () if action == "table" else COMMON)
    if action != "table":
        use_devices(request.over, os.cpu_count() or 1)
    if not part.work(request):
        print("out of time; the same command goes on", file=sys.stderr)
    if part.prints and action != "figure":
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


def request_of(part: Part, given: dict[str, Any], common: Sequence[str]) -> Request:
    """What a person asks of a part.

    Raises:
      UsageError: a name is not known, or the part has no such flag.
    """
    fields: dict[str, Any] = {}
    for flag, value in given.items():
        known = part.names.get(flag)
        if known is not None:
            typed = None if value is None else tuple(value.split(","))
            fields[flag] = typed or part.usual.get(flag, tuple(known))
            for name in fields[flag]:
                if name not in known:
                    rule = f"{flag}: must be of {', '.join(known)}"
                    raise UsageError(f"{rule}, got {name!r}")
        elif value is not None and flag not in (*part.flags, *common, "folder"):
            raise UsageError(f"{flag.replace('_', '-')}: must not be given here, got {value!r}")
        elif value is not None:
            fields[flag] = value
    deadline = time.monotonic() + fields.pop("max_seconds", float("inf"))
    return Request(**fields, deadline=deadline)


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
    top.add_argument("--preset", choices=("paper", "quick"), help="quick: fewer epochs")
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
