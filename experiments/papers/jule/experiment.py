"""JULE's tables 3 to 6, table 8 and figure 1 (Yang, Parikh, Batra 2016) on real images.

Table 3's other methods get pixels of unit length. Tables 4 to 6 read JULE's checkpoints. COIL-100
is at 32x32 here, at 128x128 in the paper.
"""

from experiments import runner
from experiments.experiment import Experiment, Part, Request, drawn_by
from experiments.papers.jule import codebook, features
from experiments.papers.jule.cells import (
    FEATURES,
    OTHERS,
    RESULTS,
    SEEDS,
    UNIT_PIXELS,
    VARIANTS,
    cell_of,
)
from experiments.papers.jule.tables import text
from jaxclust.data import datasets


def run(request: Request) -> bool:
    """Runs table 3's other methods, then JULE under each variant; False where time ran out."""
    if not features.run(request, UNIT_PIXELS):
        return False
    if "jule" not in request.methods:
        return True
    pairs = ((data, variant) for data in request.data for variant in request.variants)
    cells = (cell_of(datasets.load(data), variant, request) for data, variant in pairs)
    return runner.run_all(cells)


def run_features(request: Request) -> bool:
    """Table 4: clusters the features of JULE's networks; False where time ran out."""
    return all(features.run(request, FEATURES, variant) for variant in request.variants)


_NAMES = {"data": SEEDS, "variants": VARIANTS}
_PAPER = {"variants": ("paper",)}
EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part(
            "table 3, also under other settings",
            run,
            _NAMES | {"methods": (*OTHERS, "jule")},
            _PAPER,
        ),
        "features": Part(
            "table 4: the other methods on JULE's features, from JULE's checkpoints",
            run_features,
            _NAMES | {"methods": OTHERS},
            _PAPER,
        ),
        "codebook": Part("table 8: pictures classified by a codebook of patches", codebook.run),
        "transfer": Part(
            "tables 5 and 6, from JULE's checkpoints", features.transfer, _NAMES, _PAPER
        ),
    },
    Part(
        "figure 1, which runs one seed once more",
        drawn_by("experiments.papers.jule.figures"),
        _NAMES,
        _PAPER | {"data": ("mnist-test",)},
    ),
)
