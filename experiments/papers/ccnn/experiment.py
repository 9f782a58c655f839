"""CCNN's tables II to V and figures 5 to 7 (Hsu and Lin 2018) on the sets that are here.

A cell is a variant on a data set from one start, for all its seeds.
"""

from experiments.experiment import Experiment, Part, Request, drawn_by
from experiments.papers.ccnn import imagenet, imagenet_tables, runs
from experiments.papers.ccnn.cells import RESULTS, SEEDS, STARTS, TABLE_2, VARIANTS
from experiments.papers.ccnn.tables import text

_NAMES = {"data": SEEDS, "variants": VARIANTS, "starts": STARTS}
_USUAL = {"data": ("mnist-test",), "variants": TABLE_2}


def _from_imagenet(request: Request) -> bool:
    """Makes the rows of ``imagenet``, and prints their table, which is not among the others."""
    finished = imagenet.run(request)
    print(imagenet_tables.text())
    return finished


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part("cells, on the trunk's features where it stays", runs.run, _NAMES, _USUAL),
        "whole": Part(
            "whole cells, each in a process of its own (table III)", runs.run_whole, _NAMES, _USUAL
        ),
        "cell": Part("whole cells in this process", runs.run_cells, _NAMES, _USUAL, prints=False),
        "pretraining": Part(
            "only what cells begin with", runs.run_pretraining, _NAMES, _USUAL, prints=False
        ),
        "imagenet": Part(
            "CCNN and its baselines from ImageNet's weights (table II)",
            _from_imagenet,
            {"data": imagenet.DATA, "variants": imagenet.VARIANTS, "starts": imagenet.STARTS},
            {"variants": imagenet.ON_FEATURES},
            prints=False,
        ),
    },
    Part(
        "figures 5 to 7, from the rows and the pretrainings",
        drawn_by("experiments.papers.ccnn.figures"),
        {"data": SEEDS},
        {"data": ("mnist-test",)},
    ),
)
