"""DBC's tables 3 to 6 and figures 3 to 9 (Li et al. 2017) on real images.

FCAE+k-means, DBC and the curves share one pretraining a seed as long as it is in the folder.
COIL-100 is at 32x32 here, at 128x128 in the paper.
"""

from experiments import runner
from experiments.experiment import Experiment, Part, Request, drawn_by
from experiments.papers.dbc import cells, curves
from experiments.papers.dbc.tables import text


def run_fresh(request: Request) -> bool:
    """Runs what DBC starts from and DBC, on seeds that no setting was chosen with."""
    folder = request.folder / "fresh"
    request = request._replace(data=tuple(cells.FRESH), methods=cells.GAIN, folder=folder)
    return runner.run_plain(cells.FRESH_RESULTS, cells.FRESH)(request)


_TWO_SETS = {"data": ("usps-11000", "mnist-test")}
EXPERIMENT = Experiment(
    cells.RESULTS,
    text,
    {
        "": Part(
            "tables 3 to 6",
            runner.run_plain(cells.RESULTS, cells.SEEDS),
            {"data": cells.SEEDS, "methods": cells.METHODS},
        ),
        "curves": Part(
            "figure 9's variants and open choices, epoch by epoch",
            curves.run,
            {"data": cells.SEEDS, "variants": cells.VARIANTS},
            _TWO_SETS,
        ),
        "fresh": Part("seeds that no setting was chosen with", run_fresh),
    },
    Part(
        "figures 3 to 9, from the tables' pretraining and the rows of the curves",
        drawn_by("experiments.papers.dbc.figures"),
        {"data": cells.SEEDS},
        _TWO_SETS,
    ),
)
