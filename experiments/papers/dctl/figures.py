"""DCTL's figure 2."""

import numpy as np
from matplotlib.figure import Figure

from experiments import figures, rows
from experiments.experiment import Request
from experiments.papers.dctl.cells import ROUNDS, SEEDS, TABLE_2
from jaxclust.errors import UsageError

PATH = figures.FOLDER / "dctl" / "objective.png"
SHOWN = (*TABLE_2, "open-inner-steps-4")


def draw(request: Request) -> None:
    """Draws P1's objective by round, a line a seed, on a linear and a logarithmic scale.

    Raises:
      UsageError: there are no rows.
    """
    del request
    lines = [line for line in rows.read_lines(ROUNDS) if line["method"] in SHOWN]
    if not lines:
        raise UsageError(f"figure: must have rows in {ROUNDS}, and there are none")
    names = [data for data in SEEDS if any(line["data"] == data for line in lines)]
    figure = Figure(figsize=(4.5 * len(names), 6))
    panels = figure.subplots(2, len(names), squeeze=False)
    for scale, row in zip(("linear", "log"), panels, strict=True):
        for data, axes in zip(names, row, strict=True):
            for color, name in enumerate(SHOWN):
                cell = [line for line in lines if (line["data"], line["method"]) == (data, name)]
                for number, line in enumerate(cell):
                    rounds = np.arange(1, len(line["objective"]) + 1)
                    style = {"lw": 0.8, "label": name if number == 0 else None}
                    axes.plot(rounds, line["objective"], f"C{color}", **style)
            axes.set(title=data, xlabel="round", ylabel="objective of P1 (eq. 6)", yscale=scale)
            if scale == "linear":
                axes.legend(fontsize=7)
    figure.tight_layout()
    figures.save(figure, PATH, 150)
