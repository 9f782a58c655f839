"""What tables of comparisons are made of: titles, rows of text, numbers and intervals as text."""

from typing import NamedTuple

TITLES = {
    "acc": "ACC",
    "nmi": "NMI",
    "nmi_sqrt": "NMI (geometric)",
    "nmi_max": "NMI (max)",
    "ari": "ARI",
}
WORST = "failed or missing as chance"
"""Title of the columns in which failed and missing seeds count as chance."""


class Table(NamedTuple):
    """A table of text.

    Attributes:
      title: the table's title.
      header: names of the columns.
      rows: the cells of each row, as many as there are columns.
      names: how many of the first columns hold text; the others hold numbers.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    names: int = 1


def number(value: float | None, sign: bool = False) -> str:
    """Four digits, as papers print scores; "-" for None."""
    return "-" if value is None else f"{value:{'+' if sign else ''}.4f}"


def interval(low: float | None, high: float | None, sign: bool = False) -> str:
    """An interval as "[low, high]"; "-" stands for an end that the seeds cannot give."""
    return "-" if low is None and high is None else f"[{number(low, sign)}, {number(high, sign)}]"


def probability(p: float | None) -> str:
    """p with two significant digits."""
    return "-" if p is None else "<.0001" if p < 1e-4 else f"{p:.2g}"
