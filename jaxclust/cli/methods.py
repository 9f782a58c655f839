"""``jaxclust methods``: what METHOD can be, by kind."""

import dataclasses

from jaxclust.cli.parse import parse
from jaxclust.methods.registry import METHODS
from jaxclust.types import KINDS


@dataclasses.dataclass(frozen=True)
class Options:
    """Lists the methods, each with its presets."""


def command(words: list[str]) -> int:
    """Prints the list; the exit status is 0."""
    parse(Options, words, "jaxclust methods")
    width = max(map(len, METHODS))
    for number, (kind, about) in enumerate(KINDS.items()):
        print(f"{'' if number == 0 else chr(10)}{kind}: {about}")
        for name, method in METHODS.items():
            if method.kind != kind:
                continue
            print(f"{name:{width}} {method.about} (presets: {', '.join(method.presets)})")
            if method.caution:
                print(f"{'':{width}} note: {method.caution}")
    return 0
