"""``jaxclust datasets``: the named image sets, and which of them are here."""

import dataclasses

from jaxclust.cli.parse import parse
from jaxclust.data import datasets


@dataclasses.dataclass(frozen=True)
class Options:
    """Lists the named image sets, where they are from, and whether they are here."""


def command(words: list[str]) -> int:
    """Prints the list; the exit status is 0."""
    parse(Options, words, "jaxclust datasets")
    print(datasets.table())
    return 0
