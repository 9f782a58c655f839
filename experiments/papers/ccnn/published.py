"""CCNN's table IV (Hsu and Lin 2018): NMI(sqrt)."""

from experiments.tables import Layout, Published

PAPER: Published = {"mnist-train": {"ccnn": (0.876,)}, "mnist-test": {"ccnn": (0.916,)}}
LAYOUT = Layout(PAPER, ("nmi_sqrt",))
