"""JULE's tables 3 to 6 and 8 from the rows, and table 3 under other settings."""

import dataclasses

from experiments import rows, tables
from experiments.papers.jule import cells, codebook, published
from experiments.tables import Published
from jaxclust.runs.repeat import flag_words
from jaxclust.runs.rows import Row

DATA = tuple(cells.SEEDS)


def text() -> str:
    """All tables."""
    present = rows.read(cells.RESULTS)
    own = [row for row in present if row.input == cells.PIXELS]
    third = [row for row in own if row.variant == "paper"]
    third += [row for row in present if row.input == cells.UNIT_PIXELS]
    sizes = "COIL-100 is at 32x32, the paper's at 128x128"
    title = f"Table 3: NMI(sqrt), on pixels of unit length; {sizes}"
    parts = [_titled(title, third, published.TITLES, published.PAPER)]
    features = [row for row in present if row.input == cells.FEATURES]
    for title, fourth in sorted(_by_title(features, cells.FEATURES).items()):
        title = f"Table 4: NMI(sqrt), on JULE's {title}"
        parts.append(_titled(title, fourth, cells.OTHERS, published.PAPER_FEATURES))
    for title, third in sorted(_by_title(own, "JULE").items()):
        variant = third[0].variant or ""
        if variant != "paper":
            changes = cells.changes(variant).items()
            typed = [word for name, value in changes for word in flag_words(name, value)]
            title = f"{title}: {' '.join(['--preset printed', *typed])}"
            parts.append(_titled(title, third, published.TITLES, published.PAPER))
    parts += [_transfers(present), _codebook()]
    return "\n\n".join(part for part in parts if part)


def _codebook() -> str:
    """Table 8; "" while there are no rows."""
    found = codebook.text()
    if not found:
        return ""
    what = "accuracy on 2,000 pictures of CIFAR-10's test set that are not learned from"
    return f"Table 8: {what}; a codebook of patches, linear SVM\n{found}"


def _titled(title: str, found: list[Row], methods: tuple[str, ...], paper: Published) -> str:
    layout = published.LAYOUT._replace(published=paper)
    return f"{title}\n{tables.table(found, DATA, methods, layout)}"


def _title(what: str, row: Row) -> str:
    """What a row is of, with the variant unless it is the paper's."""
    return what if row.variant == "paper" else f"{what}, {row.variant}"


def _by_title(found: list[Row], what: str) -> dict[str, list[Row]]:
    """Rows by what they are of."""
    titles: dict[str, list[Row]] = {}
    for row in found:
        titles.setdefault(_title(what, row), []).append(row)
    return titles


def _transfers(present: list[Row]) -> str:
    """Tables 5 and 6: a pair of sets stands where other tables have a data set."""
    moved = []
    paper = {}
    for row in present:
        trained = (row.input or "").partition(cells.FEATURES_OF)[2]
        if trained:
            pair = f"transfer {trained} to {row.data}"
            title = _title(pair, row)
            paper[title] = published.PAPER_TRANSFERS[pair]
            moved.append(dataclasses.replace(row, data=title))
    layout = published.LAYOUT._replace(published=paper)
    linkage = "graph degree linkage with criterion (7) on a network trained elsewhere"
    title = f"Tables 5 and 6: NMI(sqrt), {linkage}"
    return f"{title}\n{tables.table(moved, tuple(paper), cells.LAYERS, layout)}"
