"""DCEC's table 1 (Guo et al. 2017): ACC and NMI of one run."""

from experiments.tables import Layout, Published

PAPER: Published = {
    "usps": {
        "kmeans": (0.6682, 0.6266),
        "sae-kmeans": (0.6165, 0.5727),
        "dec": (0.6928, 0.7018),
        "idec": (0.7210, 0.7323),
        "cae-kmeans": (0.7415, 0.7330),
        "dec-conv": (0.7790, 0.8108),
        "dcec": (0.7900, 0.8257),
    },
    "mnist-test": {
        "kmeans": (0.5463, 0.5018),
        "sae-kmeans": (0.6681, 0.5959),
        "dec": (0.6994, 0.6769),
        "idec": (0.7145, 0.6940),
        "cae-kmeans": (0.7900, 0.7255),
        "dec-conv": (0.8483, 0.8262),
        "dcec": (0.8529, 0.8361),
    },
    "mnist": {
        "kmeans": (0.5424, 0.4852),
        "sec": (0.8037, None),
        "sae-kmeans": (0.7817, 0.7146),
        "dec": (0.8408, 0.8128),
        "idec": (0.8421, 0.8381),
        "cae-kmeans": (0.8490, 0.7927),
        "dec-conv": (0.8863, 0.8759),
        "dcec": (0.8897, 0.8849),
    },
}
LAYOUT = Layout(PAPER)
