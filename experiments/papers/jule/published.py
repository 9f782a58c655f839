"""JULE's tables 3 to 6 (Yang, Parikh, Batra 2016): NMI(sqrt), the mean of three runs."""

from collections.abc import Mapping, Sequence

from experiments.papers.jule.cells import LAYERS, OTHERS
from experiments.tables import Layout, Published

RUNS = 3
"""Runs behind each of the paper's numbers (section 4.1.3)."""
TITLES = (*OTHERS, "jule-sf", "jule-rc")


def _titled(titles: Sequence[str], published: Mapping[str, Sequence[float | None]]) -> Published:
    """Scores by title, from scores in the order of the titles."""
    return {
        data: {title: (score,) for title, score in zip(titles, scores, strict=True)}
        for data, scores in published.items()
    }


PAPER = _titled(
    TITLES,
    {
        "coil20": (
            *(0.775, 0.860, 0.673, 0.877, 0.768),
            *(0.512, 0.954, 0.945, 0.950, 1.000, 1.000),
        ),
        "coil100-32": (
            *(0.822, 0.872, 0.706, 0.833, 0.861),
            *(0.711, 0.963, 0.954, 0.964, 0.978, 0.985),
        ),
        "usps-11000": (
            *(0.447, 0.409, 0.342, 0.681, 0.382),
            *(0.579, 0.774, 0.854, 0.840, 0.858, 0.913),
        ),
        "mnist-test": (
            *(0.528, 0.528, 0.445, 0.756, 0.386),
            *(0.662, 0.810, 0.864, 0.853, 0.876, 0.915),
        ),
        "mnist": (
            *(0.500, 0.476, 0.416, 0.706, 0.411),
            *(0.686, 0.017, 0.017, 0.017, 0.906, 0.913),
        ),
    },
)
"""Table 3."""
LAYOUT = Layout(PAPER, ("nmi_sqrt",), RUNS)
PAPER_FEATURES = _titled(
    OTHERS,
    {
        "coil20": (0.926, 0.915, 0.959, 0.950, 0.963, 0.896, 1.000, 1.000, 1.000),
        "coil100-32": (0.919, 0.898, 0.922, 0.905, 0.900, 0.884, 0.989, 0.985, 0.990),
        "usps-11000": (0.758, 0.753, 0.741, 0.780, 0.705, 0.783, 0.910, 0.913, 0.914),
        "mnist-test": (0.908, 0.878, 0.911, 0.912, 0.910, 0.901, 0.893, 0.915, 0.909),
        "mnist": (0.927, 0.931, 0.906, 0.932, 0.930, 0.918, 0.919, 0.913, 0.907),
    },
)
"""Table 4."""
PAPER_TRANSFERS = _titled(
    LAYERS,
    {
        "transfer coil20-32 to coil100-32": (0.924, 0.927, 0.939, 0.934),
        "transfer coil100-32 to coil20-32": (0.944, 0.949, 0.957, 0.951),
        "transfer mnist-test to usps-11000": (0.874, 0.892, 0.907, 0.908),
        "transfer usps-11000 to mnist-test": (0.872, 0.873, 0.886, None),
    },
)
"""Tables 5 and 6."""
