"""What docs/results.md says first: methods of the five papers beside the papers' numbers."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.papers.ccnn import cells as ccnn
from experiments.papers.ccnn.published import LAYOUT as CCNN
from experiments.papers.dbc import cells as dbc
from experiments.papers.dbc.published import LAYOUT as DBC
from experiments.papers.dcec import cells as dcec
from experiments.papers.dcec.published import LAYOUT as DCEC
from experiments.papers.dctl import cells as dctl
from experiments.papers.dctl.published import LAYOUT as DCTL
from experiments.papers.jule import cells as jule
from experiments.papers.jule.published import LAYOUT as JULE
from experiments.tables import Layout

SCORES = {
    "acc": "ACC",
    "nmi": "NMI",
    "nmi_sqrt": "NMI(sqrt)",
    "nmi_max": "NMI(max)",
    "ari": "ARI",
}


class Headline(NamedTuple):
    """A method of one of the five papers, as the page begins with it.

    Attributes:
      title: what the page calls it.
      results: the file of its rows.
      data: data sets.
      layout: the paper's numbers, of which scores they are, and of how many runs.
      name: what the paper's numbers call the method.
      columns: what its rows have.
    """

    title: str
    results: Path
    data: Collection[str]
    layout: Layout
    name: str
    columns: Mapping[str, str]


_JULE = {"method": "jule-rc", "input": jule.PIXELS}
_VARIANTS = {
    "JULE-RC": "paper",
    "JULE-RC, `--preset default`": "default",
    "JULE-RC, `--preset printed`": "printed",
    "JULE-RC, `--preset torch`": "torch",
}
HEADLINES = (
    Headline("DCEC", dcec.RESULTS, dcec.SEEDS, DCEC, "dcec", {"method": "dcec"}),
    *(
        Headline(title, jule.RESULTS, jule.SEEDS, JULE, "jule-rc", _JULE | {"variant": variant})
        for title, variant in _VARIANTS.items()
    ),
    Headline("DBC", dbc.RESULTS, dbc.SEEDS, DBC, "dbc", {"method": "dbc"}),
    *(
        Headline(
            f"CCNN, {start}",
            ccnn.RESULTS,
            ccnn.SEEDS,
            CCNN,
            "ccnn",
            {"variant": "ccnn", "start": start},
        )
        for start in ccnn.STARTS
    ),
    Headline("DCTL", dctl.RESULTS, dctl.SEEDS, DCTL, "dctl", {"method": "dctl"}),
)
