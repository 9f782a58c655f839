"""DCTL's tables 1 and 2 (Goel et al. 2022) on the paper's Extended Yale B."""

from collections.abc import Mapping

from experiments.tables import Layout, Published

PAPER: Published = {
    "yaleb": {
        "kmeans": (0.098, 0.131, 0.014),
        "dkm": (0.087, 0.125, 0.010),
        "dcn": (0.098, 0.151, 0.016),
        "aekm": (0.103, 0.103, 0.018),
        "dcec": (0.295, 0.453, 0.173),
        "dctl": (0.349, 0.448, 0.132),
        "dctl-piecewise": (0.320, 0.432, 0.123),
        "dctl-1-layer": (0.146, 0.204, 0.033),
        "dctl-1-layer-piecewise": (0.135, 0.193, 0.031),
    }
}
"""ACC, NMI and ARI."""
LAYOUT = Layout(PAPER, ("acc", "nmi", "ari"))
PAPER_SECONDS: Mapping[str, Mapping[str, int]] = {
    "yaleb": {
        "kmeans": 1769,
        "dkm": 7789,
        "dcn": 5436,
        "aekm": 2536,
        "dcec": 24367,
        "dctl": 2417,
    }
}
