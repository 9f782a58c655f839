"""Whether measures that need no labels tell good seeds from bad ones, on labeled sets.

For each run: the rank correlation over its seeds of agreement, silhouette and final loss with ACC,
and the ACC of the seed that each of them would pick, beside the mean of all seeds, which a blind
choice has. An embedding, and so a silhouette, needs the run's checkpoint.
"""

from collections.abc import Sequence

import numpy as np

from experiments import rows, tables
from experiments.experiment import Experiment, Part, Request
from experiments.rows import Line
from jaxclust.data import datasets
from jaxclust.evaluation import agreement
from jaxclust.report.look import Look, look
from jaxclust.runs import collect

RESULTS = rows.RESULTS / "selection.jsonl"
MEASURES = ("agreement", "silhouette", "lower loss")


def measure(look: Look) -> Line | None:
    """The row of a run; None without scores, with too few seeds, or with one score for all."""
    acc = np.array([look.cell.rows[seed].acc for seed in look.seeds], float)
    if look.agreement is None or len(acc) < agreement.LEAST_SEEDS:
        return None
    if not np.isfinite(acc).all() or not np.ptp(acc):
        return None
    silhouettes = [np.nan] * len(acc) if look.embedding is None else look.embedding.silhouettes
    values_of = {
        "agreement": agreement.stability(look.agreement.consensus.agreement),
        "silhouette": np.array(silhouettes),
        "lower loss": -np.array(look.agreement.losses),
    }
    row: Line = {"data": look.cell.data, "method": look.cell.method, "seeds": len(acc)}
    row |= {"mean": round(float(acc.mean()), 4), "best": round(float(acc.max()), 4)}
    for name, values in values_of.items():
        correlation = agreement.rank_correlation(values, acc)
        known = np.isfinite(values).all()
        row[f"{name}: correlation"] = round(correlation, 2) if np.isfinite(correlation) else None
        row[f"{name}: pick"] = round(float(acc[np.argmax(values)]), 4) if known else None
    scores = look.agreement.scores
    row["consensus"] = round(scores["acc"], 4) if scores else None
    return row


def measured(request: Request) -> list[Line]:
    """The rows of the runs that are asked for."""
    own = [datasets.load(path) for path in request.images]
    cells, _ = collect.read(request.runs)
    found = [measure(look(cell, own)) for cell in cells if cell.folders]
    return [row for row in found if row is not None]


def table(lines: Sequence[Line]) -> str:
    """A line a run, and how often each choice is better than a blind one."""
    about = "mean of seeds, best seed, of the consensus, and of the seed picked by"
    heads = "".join(f"{name:>19}" for name in MEASURES)
    head = f"{'data':12}{'method':12}{'seeds':>5}{'mean':>8}{'best':>8}{'vote':>8}{heads}"
    text = [f"ACC: {about} (rank correlation with ACC)", head]
    for row in sorted(lines, key=lambda row: (row["data"], row["method"])):
        line = f"{row['data']:12}{row['method']:12}{row['seeds']:5}"
        line += f"{row['mean']:8.4f}{row['best']:8.4f}{_number(row['consensus'], '.4f'):>8}"
        for name in MEASURES:
            correlation = _number(row[f"{name}: correlation"], "+.2f")
            pick = _number(row[f"{name}: pick"], ".4f")
            line += f"{f'{pick} ({correlation})':>19}"
        text.append(line)
    columns = {"vote": "consensus"} | {name: f"{name}: pick" for name in MEASURES}
    for name, column in columns.items():
        gains: dict[str, list[float]] = {}
        for row in lines:
            if row[column] is not None:
                gains.setdefault(row["data"], []).append(row[column] - row["mean"])
        if gains:
            every = [gain for of_set in gains.values() for gain in of_set]
            above = f"{sum(gain > 0 for gain in every)} of {len(every)} runs"
            # One value a data set: runs of the same images are not independent.
            means = [sum(of_set) / len(of_set) for of_set in gains.values()]
            mean = f"{tables.gain(means)} on average over data sets ({len(means)})"
            text.append(f"{name}: above the mean of the seeds in {above}, by {mean}")
    return "\n".join(text)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def text() -> str:
    """The table of all rows."""
    return table(rows.read_lines(RESULTS))


def run(request: Request) -> bool:
    """Measures runs, and keeps their rows."""
    rows.put(RESULTS, measured(request._replace(runs=request.runs or (str(request.folder),))))
    return True


def print_table(request: Request) -> bool:
    """Prints the table of the runs that are asked for; of all rows where none are."""
    print(table(measured(request)) if request.runs else text())
    return True


_FLAGS = ("runs", "images")
EXPERIMENT = Experiment(
    RESULTS,
    text,
    {"": Part("runs, whose rows are kept; without --runs those in the folder", run, flags=_FLAGS)},
    table=Part("the rows, or those of --runs alone", print_table, flags=_FLAGS, prints=False),
)
