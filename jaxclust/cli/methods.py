"""``jaxclust methods``: what METHOD can be."""

import dataclasses

from jaxclust.cli.parse import parse
from jaxclust.methods.registry import METHODS


@dataclasses.dataclass(frozen=True)
class Options:
    """Lists the methods, each with its presets."""


def command(words: list[str]) -> int:
    """Prints the list; the exit status is 0."""
    parse(Options, words, "jaxclust methods")
    width = max(map(len, METHODS))
    for name, method in METHODS.items():
        print(f"{name:{width}} {method.about} (presets: {', '.join(method.presets)})")
        if method.caution:
            print(f"{'':{width}} note: {method.caution}")
    return 0
