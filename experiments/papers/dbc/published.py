"""DBC's tables 3 to 6 (Li et al. 2017): ACC and NMI(max) of one run.

The numbers of MNIST are of all 70,000 images. DCN's are on the pixels, which it gets here too; on
"processed MNIST" table 3 has 0.93 and 0.85.
"""

from experiments.tables import Layout, Published

PAPER: Published = {
    "mnist": {
        "kmeans": (0.535, 0.531),
        "dcn": (0.58, 0.63),
        "dec": (0.843, None),
        "fcae-kmeans": (0.794, 0.698),
        "dbc": (0.964, 0.917),
    },
    "usps-11000": {
        "kmeans": (0.535, 0.531),
        "fcae-kmeans": (0.667, 0.645),
        "dbc": (0.743, 0.724),
    },
    "coil20": {
        "kmeans": (0.592, 0.767),
        "fcae-kmeans": (0.787, 0.882),
        "dbc": (0.793, 0.895),
    },
    "coil100-32": {
        "kmeans": (0.506, 0.772),
        "fcae-kmeans": (0.766, 0.897),
        "dbc": (0.775, 0.905),
    },
}
LAYOUT = Layout(PAPER, ("acc", "nmi_max"))
