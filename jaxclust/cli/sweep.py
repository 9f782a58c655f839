"""``jaxclust fit --methods A,B --data X,Y``: every method on every data set, with the same seeds.

Each cell runs in a process of its own, so that whatever becomes of one, also at the hands of the system, leaves the
others. Methods of one network and the same pretraining share it.
"""

import argparse
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxclust.cli.compare import Parser
from jaxclust.data import datasets, sources
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS
from jaxclust.runs import collect
from jaxclust.runs.files import read_rows, write_rows
from jaxclust.runs.folder import check_out, delete_runs
from jaxclust.runs.settings import wrong_kinds

CELL = dict.fromkeys(("data", "method", "folder", "status"), str) | {"arguments": list}
CELL |= dict.fromkeys(("reason", "shares"), str | None)
"""What a row of ``cells.jsonl`` must have to go on from, and of what kind."""
LOG_BYTES = 4_000
"""Of a crashed cell's last words, kept in its row."""


def command(arguments: Sequence[str]) -> int:
    """Runs the cells that are not finished; 0, or 1 if one failed, or ValueError for what cannot be asked."""
    parser = Parser(
        prog="jaxclust fit",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.split("``: ")[1],
        epilog=(
            "Other options are those of `jaxclust fit METHOD`, for every method that has them; --METHOD.OPTION is for "
            "one.\nk-means on pixels is a method of its own here, not a baseline beside each run."
        ),
    )
    parser.add_argument("--methods", required=True, metavar="A,B", help="see jaxclust methods")
    parser.add_argument("--data", required=True, metavar="X,Y", help="named sets or paths")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="folder of all cells, OUT/DATA/METHOD, and cells.jsonl",
    )
    parser.add_argument("--max-seconds", type=float, help="of all cells together; --resume goes on")
    parser.add_argument(
        "--resume", action="store_true", help="skip finished cells, go on with the others"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="delete earlier runs of the same cells"
    )
    options, rest = parser.parse_known_args(arguments)
    if options.max_seconds is not None and not options.max_seconds > 0:
        raise UsageError(f"max-seconds: must be above 0, got {options.max_seconds}")
    plan = _plan(options, rest)
    check_out(options.out, options.resume, options.overwrite)
    options.out.mkdir(parents=True, exist_ok=True)
    _run(plan, options)
    print(
        "\n".join(
            f"{row['data']:12} {row['method']:12} {row['status']}{_because(row)}" for row in plan
        )
    )
    if any(row["status"] == "finished" for row in plan):
        print(f"jaxclust compare {options.out} compares them")
    if any(row["status"] in ("stopped", "waiting") for row in plan):
        print(f"out of time; {goes_on(options)}")
    return 1 if any(row["status"] == "failed" for row in plan) else 0


def goes_on(options: argparse.Namespace) -> str:
    """How a command of several runs that was stopped is taken up, in its own words."""
    return f"the same command with --resume{' in place of --overwrite' if options.overwrite else ''} goes on"


def _plan(options: argparse.Namespace, rest: list[str]) -> list[dict[str, Any]]:
    """A row for each cell; every flag is parsed here once, so that a wrong one is refused before anything runs."""
    from jaxclust.cli import options  # Here: what only reads results needs no tyro.

    methods, data = options.methods.split(","), options.data.split(",")
    names = [_name(one) for one in data]
    for what, given, known in (("methods", methods, METHODS), ("data", names, None)):
        if len(set(given)) < len(given):
            raise UsageError(f"{what}: must be distinct, got {','.join(given)}")
        unknown = [one for one in given if known is not None and one not in known]
        if unknown:
            raise UsageError(f"{what}: must be of {', '.join(known)}, got {unknown[0]!r}")
    given = _flags(rest, methods)
    plan = []
    for one, name in zip(data, names, strict=True):
        for method in methods:
            mine = [word for owner, words in given if method in owner for word in words]
            folder = Path(name) / method
            arguments = ["--data", one, "--no-baseline", *mine]
            common, config, pretraining = options.parse(
                method, [*arguments, "--out", str(options.out / folder)]
            )
            options.seeds(common.seeds)
            options.check_data(common)
            # A number of clusters that is not asked for is the data's own.
            asked = any(word.split("=")[0] == "--clusters" for word in mine)
            network = (METHODS[method].network.__name__, config.clusters if asked else None)
            row = {
                "data": name,
                "method": method,
                "folder": str(folder),
                "status": "waiting",
                "reason": None,
            }
            row |= {"seconds": 0.0, "log": None, "arguments": arguments}
            # Other seeds, weights or inputs have another pretraining.
            beside = (
                common.seeds,
                common.over,
                str(common.weights),
                str(common.features),
                common.size,
            )
            alone = pretraining is None or common.stream  # A stream takes and gives no pretraining.
            row["shares"] = (
                None if alone else str((network, beside, dataclasses.astuple(pretraining)))
            )
            plan.append(row)
    return plan


def _name(data: str) -> str:
    """The folder's name of a data set."""
    if data.startswith(sources.SET):
        return data.removeprefix(sources.SET).replace("/", "-")
    return (
        data
        if data in datasets.NAMES
        else Path(data).resolve().name.removesuffix(".npz").removesuffix(".npy")
    )


def _flags(words: list[str], methods: list[str]) -> list[tuple[list[str], list[str]]]:
    """Each flag with its values, and the methods it goes to."""
    groups: list[list[str]] = []
    for word in words:
        if word.startswith("--"):
            groups.append([word])
        elif groups:
            groups[-1].append(word)
        else:
            raise UsageError(f"fit: must have options alone after --methods, got {word!r}")
    found = []
    for group in groups:
        flag, equals, value = group[0][2:].partition("=")
        prefix, dot, bare = flag.partition(".")
        if dot and prefix in METHODS:
            if prefix not in methods:
                raise UsageError(f"--{flag}: must be of a method in --methods, got {prefix}")
            found.append(([prefix], [f"--{bare}{equals}{value}", *group[1:]]))
            continue
        setting = flag.removeprefix("no-").replace("-", "_")
        owners = [method for method in methods if setting in _settings(method)]
        if not owners and any(setting in _settings(method) for method in METHODS):
            raise UsageError(
                f"--{flag}: must be an option of a method in --methods, got {', '.join(methods)}"
            )
        found.append((owners or methods, group))
    return found


def _settings(method: str) -> set[str]:
    """The settings that can be given to a method; k-means takes no steps."""
    config, pretraining = METHODS[method].config, METHODS[method].pretraining
    names = {field.name for field in dataclasses.fields(config)}
    if pretraining is not None:
        names |= {f"pretraining.{field.name}" for field in dataclasses.fields(pretraining)}
    return names - {"max_steps"} if getattr(config, "max_steps", None) == 0 else names


def _run(plan: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Runs the cells in turn, and keeps ``cells.jsonl`` up to date."""
    path = options.out / collect.SWEEP
    # With --overwrite only what is asked for runs anew; cells beside it stay.
    earlier = {row["folder"]: row for row in _listed(path)}
    if options.overwrite:
        # At once: beside cells that still wait for their turn no old run is to be taken for theirs.
        delete_runs([options.out / row["folder"] for row in plan])
    for row in plan:
        known = earlier.get(row["folder"])
        if options.resume and known is not None and known["status"] == "finished":
            folder = options.out / row["folder"]
            if known["arguments"] != row["arguments"]:
                raise UsageError(
                    f"resume: {folder} must be finished with the same options, see {path}"
                )
            if (folder / "results.jsonl").exists():
                row |= known
    deadline = None if options.max_seconds is None else time.monotonic() + options.max_seconds
    others = [
        row for folder, row in earlier.items() if folder not in {row["folder"] for row in plan}
    ]
    write_rows(path, others + plan)
    for row in plan:
        if row["status"] != "finished":
            made = _pretrained(row, others + plan, options.out)
            run_cell(
                row,
                options.out / row["folder"],
                deadline,
                ["--pretrained", str(made)] if made else [],
            )
            write_rows(path, others + plan)


def _listed(path: Path) -> list[dict[str, Any]]:
    """The rows of ``cells.jsonl``, none where there is no such file; ValueError where it is damaged."""
    found = read_rows(path) if path.exists() else []
    for number, row in enumerate(found, 1):
        wrong = wrong_kinds(row, CELL)
        if wrong:
            raise UsageError(
                f"out: {path} line {number} must be a cell, lacks a sound {', '.join(wrong)}"
            )
    return found


def _pretrained(row: dict[str, Any], rows: list[dict[str, Any]], out: Path) -> Path | None:
    """The folder of a finished cell with the pretraining that this one needs, also of one that is not asked for now."""
    for one in rows if row["shares"] is not None else ():
        folder = out / one["folder"]
        # Of the same file, not only of its name.
        alike = one["shares"] == row["shares"] and one["arguments"][:2] == row["arguments"][:2]
        if one["status"] == "finished" and alike and (folder / "checkpoint" / "pretrain").is_dir():
            return folder
    return None


def run_cell(
    row: dict[str, Any], folder: Path, deadline: float | None, more: Sequence[str] = ()
) -> None:
    """Runs a cell's process unless time has run out, shows what it shows, and notes how it ended.

    Args:
      row: its "method", "data" (for the eye) and "arguments", without --out; "status", "reason", "seconds" and "log"
        are set.
      folder: of the cell; an earlier run there goes on.
      deadline: on ``time.monotonic``'s clock, where the cell stops with a checkpoint; None for never.
      more: arguments of this start alone.

    Raises:
      KeyboardInterrupt: the process was interrupted.
    """
    began, more = time.monotonic(), list(more)
    if deadline is not None:
        if began >= deadline:
            return
        more += ["--max-seconds", f"{deadline - began:.3f}"]
    if folder.exists():
        more.append("--resume")
    print(f"{row['method']} on {row['data']}", file=sys.stderr, flush=True)
    code, words = _watched([row["method"], *row["arguments"], "--out", str(folder), *more])
    row["seconds"] = round(time.monotonic() - began, 3)
    if code == 0:
        row["status"] = "finished" if (folder / "results.jsonl").exists() else "stopped"
        return
    if code in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    lines = [line for line in words.replace("\r", "\n").splitlines() if line.strip()]
    last = lines[-1].strip().removeprefix("jaxclust: ") if lines else "no word"
    row["status"] = "failed"
    row["reason"] = f"killed by {signal.Signals(-code).name}" if code < 0 else last
    row["log"] = "\n".join(lines)


def _watched(arguments: list[str]) -> tuple[int, str]:
    """``jaxclust fit`` in a process of its own, its stderr shown: the exit status, and the last words on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxclust.cli", "fit", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    tail = b""
    try:
        while chunk := os.read(process.stderr.fileno(), 65_536):
            sys.stderr.write(chunk.decode(errors="replace"))
            sys.stderr.flush()
            tail = (tail + chunk)[-LOG_BYTES:]
        return process.wait(), tail.decode(errors="replace")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        process.stderr.close()


def _because(row: dict[str, Any]) -> str:
    return f": {row['reason']}" if row["status"] == "failed" else ""
