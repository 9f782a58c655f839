"""``jaxclust fit METHOD --clusters auto``: a run for each number of clusters, and the one whose seeds agree best.

No true label is looked at. Stability is the mean adjusted Rand index between seeds. Few clusters agree easily, so that
of all numbers within 0.01 of the best the largest is taken; a number is left out where a seed failed, or left clusters
empty, as seeds that put all images into one agree wholly. And a method that errs the same way with each seed is stable
and wrong. The curve is kept, for the eye to judge.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.cli import sweep
from jaxclust.cli.compare import Parser
from jaxclust.errors import UsageError
from jaxclust.evaluation import agreement
from jaxclust.runs import collect
from jaxclust.runs.files import write_file
from jaxclust.runs.folder import check_out, delete_runs

EMPTY = "left clusters empty"
UNFINISHED = ("stopped", "waiting")
"""Reasons of numbers of clusters that time was too short for."""


def asked(arguments: Sequence[str]) -> bool:
    """Whether ``--clusters auto`` is among the command's arguments."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(
        word == "--clusters=auto" or (word, value) == ("--clusters", "auto")
        for word, value in pairs
    )


def command(method: str, arguments: Sequence[str]) -> int:
    """Runs each number of clusters that is not finished, and names the most stable; 0, or 1 if one failed."""
    about = __doc__.split("``: ")[1]
    parser = Parser(
        prog=f"jaxclust fit {method} --clusters auto", allow_abbrev=False, description=about
    )
    parser.add_argument("--data", required=True)
    parser.add_argument(
        "--out", required=True, type=Path, help="folder of all runs, OUT/k-K, and clusters.json"
    )
    parser.add_argument("--clusters", required=True, choices=("auto",))
    parser.add_argument(
        "--cluster-range", default="2,20", metavar="LOW,HIGH", help="default: %(default)s"
    )
    parser.add_argument("--seeds", default="5", help="at least 2 (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, help="of all runs together; --resume goes on")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument(
        "--overwrite", action="store_true", help="delete earlier runs in the folder"
    )
    options, rest = parser.parse_known_args(arguments)
    if method.startswith(collect.DETERMINISTIC):
        raise UsageError(
            f"clusters: auto compares seeds, which {method} does not have: it draws no random number"
        )
    numbers = _range(options.cluster_range)
    if options.max_seconds is not None and not options.max_seconds > 0:
        raise UsageError(f"max-seconds: must be above 0, got {options.max_seconds}")
    if len(options.seeds(options.seeds)) < 2:
        raise UsageError(
            f"seeds: must be at least 2, whose agreement is the measure, got {options.seeds!r}"
        )
    common = ["--data", options.data, "--seeds", options.seeds, "--no-baseline", *rest]
    parsed, *_ = options.parse(
        method, [*common, "--out", str(options.out), "--clusters", "2"]
    )  # A wrong flag ends here.
    options.check_data(parsed)
    check_out(options.out, options.resume, options.overwrite)
    if options.overwrite:
        delete_runs(list(options.out.glob("k-[0-9]*")))
        (options.out / collect.CLUSTERS).unlink(missing_ok=True)
    known = collect.read_clusters(options.out) or {"rows": []}
    if known.get("arguments", common) != common:
        raise UsageError(
            f"resume: {options.out} must hold the same runs, has those of {' '.join(known['arguments'])}"
        )
    deadline = None if options.max_seconds is None else time.monotonic() + options.max_seconds
    # Numbers that are known from another range stay.
    rows, crashed = {row["clusters"]: row for row in known["rows"]}, False
    for k in numbers:
        folder = options.out / f"k-{k}"
        row = {
            "method": method,
            "data": f"{options.data}, {k} clusters",
            "status": "waiting",
            "reason": None,
        }
        row["arguments"] = [*common, "--clusters", str(k)]
        sweep.run_cell(row, folder, deadline)
        crashed |= row["status"] == "failed"
        rows[k] = {
            "clusters": k,
            "stability": None,
            "reason": row["reason"] or row["status"],
            "left_out": None,
        }
        if (folder / "results.jsonl").exists():  # Also where it crashed after them, as in drawing.
            value, flaw = stability(folder, k)
            rows[k] |= {"stability": value, "reason": None, "left_out": flaw}
        if options.out.is_dir():
            _write(options.out, common, rows)
    found = [rows[k] for k in sorted(rows)]
    _print(found, choose(found), options)
    return 1 if crashed or any(row["reason"] not in (None, *UNFINISHED) for row in found) else 0


def _write(out: Path, common: list[str], rows: dict[int, dict[str, Any]]) -> None:
    found = [rows[k] for k in sorted(rows)]
    content = {"chosen": choose(found), "arguments": common, "rows": found}
    write_file(out / collect.CLUSTERS, json.dumps(content, indent=2) + "\n")


def stability(folder: Path, clusters: int) -> tuple[float | None, str | None]:
    """Mean agreement between a run's seeds, None with fewer than two that did not fail; and why it does not count."""
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    sound = labels[(labels >= 0).any(axis=1)]
    failed = len(labels) - len(sound)
    if len(sound) < 2:
        return None, "fewer than two seeds"
    read = sound[:, agreement.readable(sound)]
    empty = sum(len(np.unique(one)) < clusters for one in read)
    flaws = [
        f"{count} of {len(labels)} seeds {what}"
        for count, what in ((failed, "failed"), (empty, EMPTY))
        if count
    ]
    return float(agreement.stability(agreement.agreement(read)).mean()), "; ".join(flaws) or None


def choose(rows: Sequence[dict[str, Any]]) -> int | None:
    """The most stable number of clusters, None where there is none or a run is still missing."""
    if any(row["reason"] in UNFINISHED for row in rows):
        return None
    known = {
        row["clusters"]: row["stability"]
        for row in rows
        if row["reason"] is None and row["left_out"] is None
    }
    return agreement.best_clusters(known) if known else None


def _range(text: str) -> range:
    low, comma, high = text.partition(",")
    if not (comma and low.isdecimal() and high.isdecimal() and 2 <= int(low) < int(high)):
        raise UsageError(f"cluster-range: must be LOW,HIGH with 2 <= LOW < HIGH, got {text!r}")
    return range(int(low), int(high) + 1)


def _print(rows: list[dict[str, Any]], chosen: int | None, options: argparse.Namespace) -> None:
    print("clusters  agreement between seeds (mean ARI)")
    for row in rows:
        value = row["reason"] or "-" if row["stability"] is None else f"{row['stability']:.4f}"
        value += f"  left out: {row['left_out']}" if row["left_out"] else ""
        print(f"{row['clusters']:8}  {value}{'  <- chosen' if row['clusters'] == chosen else ''}")
    if any(row["reason"] in UNFINISHED for row in rows):
        print(f"no number of clusters is chosen yet; {sweep.goes_on(options)}")
    elif chosen is None:
        print("no number of clusters can be chosen: each is left out")
    else:
        print(f"files: {options.out / f'k-{chosen}'}")
