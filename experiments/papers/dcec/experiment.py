"""DCEC's table 1 and figure 3 (Guo et al. 2017) on real images.

Methods of one network share one pretraining a seed, as in the paper.
"""

from experiments import rows, runner, tables
from experiments.experiment import Experiment, Part, drawn_by
from experiments.papers.dcec.cells import METHODS, RESULTS, SEEDS
from experiments.papers.dcec.published import LAYOUT


def text() -> str:
    """Table 1 from the rows."""
    return tables.table(rows.read(RESULTS), tuple(SEEDS), METHODS, LAYOUT)


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {"": Part("table 1", runner.run_plain(RESULTS, SEEDS), {"data": SEEDS, "methods": METHODS})},
    Part(
        "figure 3, from the checkpoints in the folder",
        drawn_by("experiments.papers.dcec.figures"),
        {"data": SEEDS},
        {"data": ("mnist-test",)},
    ),
)
