"""The command: ``python -m experiments run|table|figure PAPER``, ``python -m experiments results``.

A cell, such as a method on a data set for all its seeds, adds its rows to a file in
``experiments/results`` as it ends. A cell whose rows are there is skipped, and one that was stopped
goes on from its checkpoint.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from experiments.experiment import EXPERIMENTS, Experiment, Part, Request, read
from jaxclust.cli.main import reader_gone
from jaxclust.comparison.tables import FORMATS
from jaxclust.engine.devices import use_devices
from jaxclust.errors import UsageError

FLAGS: dict[str, dict[str, Any]] = {
    "preset": {"choices": ("paper", "quick"), "help": "quick has fewer epochs of pretraining"},
    "format": {"choices": tuple(FORMATS), "help": "of the table"},
    "out": {"type": Path, "help": "the file to write"},
    "runs": {"nargs": "+", "metavar": "RUN", "help": "runs, as jaxclust report takes them"},
    "images": {"nargs": "+", "metavar": "PATH", "help": "images of runs without a name"},
}
ACTIONS = {
    "run": "run the cells that have no rows, then print the tables",
    "table": "print the tables from the rows",
    "figure": "draw the figures",
}


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


def work(given: dict[str, Any]) -> None:
    """Does what the flags of a part ask for."""
    part: Part = given["part"]
    fields = {name: given[name] for name in Request._fields if given.get(name) is not None}
    fields["deadline"] = time.monotonic() + given.get("max_seconds", float("inf"))
    request = Request(**fields)
    if given["action"] != "table":
        use_devices(request.over, os.cpu_count() or 1)
    if not part.work(request):
        print("out of time; the same command goes on", file=sys.stderr)
    if part.prints and given["action"] != "figure":
        print(given["experiment"].tables())


def parser() -> Parser:
    """The parser of all experiments and their parts."""
    top = Parser("python -m experiments", description=(__doc__ or "").partition("\n\n")[2])
    actions = top.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("results", help="write docs/results.md and docs/dcec.png from the rows")
    for action, about in ACTIONS.items():
        papers = actions.add_parser(action, help=about, description=about)
        names = papers.add_subparsers(dest="paper", required=True, metavar="PAPER")
        for paper in EXPERIMENTS:
            experiment = read(paper)
            for name, part in _parts(experiment, action).items():
                title = f"{paper}-{name}" if name else paper
                flags = names.add_parser(title, help=part.about, description=part.about)
                flags.set_defaults(part=part, experiment=experiment)
                _add_flags(flags, part)
                if action != "table":
                    _add_common_flags(flags, paper)
    return top


def _parts(experiment: Experiment, action: str) -> Mapping[str, Part]:
    """What an action can do in an experiment, by name."""
    if action == "run":
        return experiment.run
    if action == "table":
        return {"": experiment.table or Part(experiment.run[""].about, lambda request: True)}
    return {} if experiment.figure is None else {"": experiment.figure}


def _add_flags(parser: Parser, part: Part) -> None:
    """Adds a part's own flags."""
    for flag, known in part.names.items():
        text = f"by comma, of {', '.join(known)}"
        usual = part.usual.get(flag, tuple(known))
        parser.add_argument(f"--{flag}", type=_names(known), default=usual, help=text)
    for flag in part.flags:
        parser.add_argument(f"--{flag}", **FLAGS[flag])


def _add_common_flags(parser: Parser, paper: str) -> None:
    """Adds the flags of all work that takes time."""
    overs = ("vmap", "map", "shard")
    parser.add_argument("--over", default="shard", choices=overs, help="how seeds run")
    text = "of checkpoints and runs (default: %(default)s)"
    parser.add_argument("--folder", type=Path, default=Path("runs") / paper, help=text)
    text = "stop in time, to go on later"
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help=text)


def _names(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names by comma, each of which must be known."""

    def read_names(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            if name not in known:
                rule = f"must be of {', '.join(known)}, got {name!r}"
                raise argparse.ArgumentTypeError(rule)
        return names

    return read_names


if __name__ == "__main__":
    sys.exit(main())
