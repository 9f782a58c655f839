"""DCTL's tables 1 and 2 and figure 2 (Goel et al. 2022) on real images.

A cell of DCTL leaves its objective by round beside its rows.
"""

import sys
from collections.abc import Mapping, Sequence

from experiments import rows, runner
from experiments.experiment import Experiment, Part, Request, drawn_by
from experiments.papers.dctl import cells
from experiments.papers.dctl.cells import RESULTS, ROUNDS
from experiments.papers.dctl.tables import text
from experiments.rows import Line
from jaxclust.engine.driver import History
from jaxclust.errors import UsageError
from jaxclust.runs.files import json_lines, write_file


def run(request: Request) -> bool:
    """Runs the cells of tables 1 and 2 that have no rows; False where time ran out."""
    pairs = [(data, name) for data in request.data for name in request.methods]
    if cells.TOO_SMALL in pairs:
        reason = "9 x 9 filters do not fit 8 x 8 pixels"
        print(f"digits: without dctl-pixels, {reason}", file=sys.stderr)
        pairs.remove(cells.TOO_SMALL)
    return all(run_cell(data, name, request) for data, name in pairs)


def run_open(request: Request) -> bool:
    """Runs the open choices on Extended Yale B; False where time ran out."""
    return all(run_cell("yaleb", name, request) for name in request.variants)


def run_cell(data: str, name: str, request: Request) -> bool:
    """Runs a method on a data set for all its seeds, unless its rows are there.

    Raises:
      UsageError: its rows are there, and its rounds are not.
    """
    cell = cells.cell_of(data, name, request)
    of_dctl = cells.is_dctl(name)
    if runner.is_done(cell):
        if of_dctl and not runner.lines_of(ROUNDS, cell.key):
            rule = f"rows: {ROUNDS} lacks {data}, {name}"
            raise UsageError(f"{rule}; remove its rows in {RESULTS} to run it again")
        return True
    done = runner.run(cell)
    if done is not None and of_dctl:
        made = rounds(done.phases["cluster"].history, cell.key, cell.seeds)
        # Rounds of rows that were removed are replaced.
        replaced = runner.lines_of(ROUNDS, cell.key)
        others = [line for line in rows.read_lines(ROUNDS) if line not in replaced]
        write_file(ROUNDS, json_lines(others + made))
    return done is not None


def rounds(history: History, key: Mapping[str, str], seeds: Sequence[int]) -> list[Line]:
    """A line a seed: P1's objective by round, and the filters' least singular value in any."""
    lines = []
    for lane, seed in enumerate(seeds):
        own = history["lane"] == lane
        objective = [float(f"{value:.6g}") for value in history["loss"][own]]
        least = float(f"{history['least_singular'][own].min():.4g}")
        lines.append({**key, "seed": seed, "objective": objective, "least_singular": least})
    return lines


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part(
            "tables 1 and 2",
            run,
            {"data": cells.SEEDS, "methods": cells.METHODS},
            {"methods": cells.USUAL},
        ),
        "open": Part(
            "what the paper leaves open, on Extended Yale B",
            run_open,
            {"variants": cells.OPENED},
        ),
    },
    Part("figure 2, from the rows", drawn_by("experiments.papers.dctl.figures")),
)
