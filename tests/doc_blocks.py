"""Code blocks of the README and of the site's pages, and how they run on few images.

A block of Python runs in its page's namespace, after the blocks before it. A line of shell that
begins with ``jaxclust`` runs in this process, with few images, seeds and steps. A line that does
not run is named in ``SKIPPED`` with its reason.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from jaxclust.methods import registry

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "notebooks"),
]
"""The pages with blocks; those of the notebooks are made by running the notebooks."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = (
    *("jaxclust", "python", "pip", "git", "make", "cp", "chromium", "export"),
    "JAX_PLATFORMS=cpu",
)
"""First words of a block of shell. Another block without a language is what a program printed."""
SKIPPED = {
    "git clone": "needs a network",
    "pip install": "changes the environment",
    "cp jaxclust": "copies a module to begin with",
    "cp tests": "copies tests to begin with",
    "make ": "makes an environment, or runs all tests",
    "export ": "a setting for a GPU",
    "chromium ": "draws a picture of the whole report",
    "python -c ": "names the devices of a GPU",
    "python -m experiments": "makes rows for hours, or rewrites docs/results.md",
    "python -m benchmarks": "measures for minutes",
    "python tests/doc_words.py": "has a test of its own",
    "python tests/engine/test_memory.py": "fits for two hours; its test is shorter",
    "python tests/engine/test_killed.py": "stops runs for an hour; its test stops five",
    "python -m pytest": "runs tests",
    "jaxclust fit kmeans --data photos --features onnx:model.onnx": "tests/runs has a network",
    "jaxclust fit dcec --data digits --seeds 10 --distributed": "tests/cli has two processes",
    "jaxclust fit --methods kmeans,cae-kmeans,dcec --data digits,usps --seeds 10 --out runs/all "
    "--scheduler": "tests/cli has a cluster",
    "jaxclust weights ccnn": "trains on a named set for minutes",
    "jaxclust fit ccnn --data mnist-test --weights fashion.safetensors": "needs those weights",
}
"""Beginnings of lines that do not run, and why."""
NOT_RUN = {"docs/developer/architecture.md": "tests/examples/test_tour.py runs its block"}
"""Pages whose Python does not run here, and why."""
SMALL = {
    "batch": "60",
    "update_interval": "2",
    "max_steps": "4",
    "restarts": "1",
    "max_epochs": "1",
    "pretraining.epochs": "1",
    "pretraining.batch": "64",
}
"""Settings that a line of ``jaxclust fit`` gets where its method has them."""
FILES = {"digits", "usps", "usps-11000", "mnist-test"}
"""Named sets in whose place stands a file of few images with the same name."""


class Block(NamedTuple):
    """A block of a page.

    Attributes:
      kind: "python", "shell" or "text".
      text: what it holds.
      line: number of its first line in the page.
    """

    kind: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The blocks of a page.

    Raises:
      ValueError: a block has a language that is not known here.
    """
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        line = text[: match.start(2)].count("\n") + 1
        kind = match[1]
        if kind == "":
            words = match[2].split(maxsplit=1)
            kind = "shell" if words and words[0] in SHELL else "text"
        if kind not in ("python", "shell", "text"):
            raise ValueError(
                f"{page.name}:{line}: a block must be python, text or bare, got {kind}"
            )
        found.append(Block(kind, match[2], line))
    return found


def lines(block: Block) -> list[str]:
    """The commands of a block of shell, without comments and settings of the environment."""
    commands = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words:
            commands.append(shlex.join(words))
    return commands


def skipped(line: str) -> str | None:
    """Why a line does not run, or None where it runs."""
    for start, reason in SKIPPED.items():
        if line.startswith(start.rstrip()):
            return reason
    return None


def small(line: str) -> list[str]:
    """The words after ``jaxclust`` of a line, for few images, seeds and steps."""
    words = shlex.split(line)[1:]
    for place, word in enumerate(words):
        if word == "--data":
            names = words[place + 1].split(",")
            files = [f"{name}.npz" if name in FILES else name for name in names]
            words[place + 1] = ",".join(files)
        if word == "--seeds" and words[place + 1].isdigit():
            words[place + 1] = str(min(int(words[place + 1]), 3))
    if words[0] != "fit" or "--help" in words:
        return words
    if "--seeds" not in words:
        words += ["--seeds", "3"]
    names = [words[1]] if not words[1].startswith("-") else ["best"]
    if "--methods" in words:
        names = words[words.index("--methods") + 1].split(",")
    else:
        words.append("--no-figures")
    settings = {setting for name in names for setting in registry.get(name).settings()}
    if "--stream" in words or "reliable" in settings:
        settings -= {"batch"}  # CCNN's batch is a multiple of its reliable images.
    for name, value in SMALL.items():
        option = "--" + name.replace("_", "-")
        if name in settings and option not in words:
            words += [option, value]
    return words
