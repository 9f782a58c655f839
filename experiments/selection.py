"""Whether what needs no labels tells good seeds from bad: ``python -m experiments.selection RUN... [--keep]``.

For each run of a labelled set: the rank correlation over its seeds of agreement, silhouette and final loss with ACC,
and the ACC of the seed that each would pick beside the mean of all seeds, which a blind choice has. RUN is as in
``jaxclust report``, so a folder that ``jaxclust fit`` or ``experiments.compare`` wrote; an embedding, and so a
silhouette, needs the run's checkpoint.
"""

import argparse
from pathlib import Path

import numpy as np

from experiments import common
from jaxclust.data import datasets
from jaxclust.evaluation import agreement
from jaxclust.report.look import Look, look
from jaxclust.runs import collect
from jaxclust.runs.files import json_lines, write_file

RESULTS = Path(__file__).parent / "results" / "selection.jsonl"
MEASURES = ("agreement", "silhouette", "lower loss")


def measure(look: Look) -> dict | None:
    """A row of a run; None where it has no scores, too few seeds, or one score for all seeds."""
    acc = np.array([look.cell.rows[seed]["acc"] for seed in look.seeds], float)
    if len(acc) < agreement.LEAST_SEEDS or not np.isfinite(acc).all() or not np.ptp(acc):
        return None
    silhouettes = look.silhouettes if look.silhouettes is not None else [np.nan] * len(acc)
    found = (agreement.stability(look.agreement), np.array(silhouettes), -np.array(look.losses))
    row = {
        "data": look.cell.data,
        "method": look.cell.method,
        "seeds": len(acc),
        "mean": round(float(acc.mean()), 4),
    }
    row["best"] = round(float(acc.max()), 4)
    for name, values in zip(MEASURES, found, strict=True):
        known = np.isfinite(values).all()
        correlation = agreement.rank_correlation(values, acc)
        row[f"{name}: correlation"] = round(correlation, 2) if np.isfinite(correlation) else None
        row[f"{name}: pick"] = round(float(acc[np.argmax(values)]), 4) if known else None
    scores = look.consensus[2]
    row["consensus"] = round(scores["acc"], 4) if scores else None
    return row


def table(rows: list[dict]) -> str:
    """A line a run, and how often each choice is better than a blind one."""
    lines = [
        "ACC: mean of seeds, best seed, of the consensus, and of the seed picked by (rank correlation with ACC)"
    ]
    heads = "".join(f"{name:>19}" for name in MEASURES)
    lines.append(f"{'data':12}{'method':12}{'seeds':>5}{'mean':>8}{'best':>8}{'vote':>8}{heads}")
    for row in sorted(rows, key=lambda row: (row["data"], row["method"])):
        line = f"{row['data']:12}{row['method']:12}{row['seeds']:5}{row['mean']:8.4f}{row['best']:8.4f}"
        line += f"{'-' if row['consensus'] is None else format(row['consensus'], '.4f'):>8}"
        for name in MEASURES:
            pick, correlation = row[f"{name}: pick"], row[f"{name}: correlation"]
            cell = "-" if pick is None else f"{pick:.4f}"
            line += f"{cell + ' (' + ('-' if correlation is None else format(correlation, '+.2f')) + ')':>19}"
        lines.append(line)
    for name, column in [("vote", "consensus"), *((name, f"{name}: pick") for name in MEASURES)]:
        gains = [
            (row["data"], row[column] - row["mean"]) for row in rows if row[column] is not None
        ]
        if gains:
            above = f"{sum(gain > 0 for _, gain in gains)} of {len(gains)} runs"
            # One value a data set: runs of the same images are not independent.
            sets = [
                [gain for data, gain in gains if data == one]
                for one in dict.fromkeys(data for data, _ in gains)
            ]
            mean = f"{common.gain([sum(one) / len(one) for one in sets])} on average over data sets ({len(sets)})"
            lines.append(f"{name}: above the mean of the seeds in {above}, by {mean}")
    return "\n".join(lines)


def main() -> None:
    """Prints a row a run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument(
        "--data", action="append", default=[], metavar="PATH", help="images of runs without a name"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help=f"put the rows into {RESULTS.name}, in place of those of the same runs",
    )
    options = parser.parse_args()
    own = [datasets.load(path) for path in options.data]
    found, _ = collect.read(options.runs)
    rows = [
        row
        for cell in found
        if cell.folders
        for row in [measure(look(cell, own))]
        if row is not None
    ]
    if options.keep:
        keep(rows)
    print(table(rows))


def keep(rows: list[dict]) -> None:
    """Puts rows among the results, in place of those of the same data and method."""
    kept = {(row["data"], row["method"]): row for row in (*common.rows(RESULTS), *rows)}
    write_file(RESULTS, json_lines(list(kept.values())))


if __name__ == "__main__":
    common.command(main)
