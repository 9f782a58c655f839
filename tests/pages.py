"""Pages of ``jaxclust report``, and what is on them."""

from html.parser import HTMLParser

import numpy as np

from jaxclust.cli.main import main
from jaxclust.runs.files import write_labels
from jaxclust.runs.sweeps import Choice, Stability, write_choice
from run_folders import make


class Page(HTMLParser):
    """The elements and the text of a page, each of which is closed where it should be.

    ``found`` has the tag and attributes of each element, ``text`` what a reader sees.
    """

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.found = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open and self.open[-1] not in ("script", "style") else ""

    def all(self, tag):
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


def chosen(folder):
    """The page of a run whose number of clusters was chosen."""
    run = make(folder / "k-3", "kmeans", [0.5, 0.6], clusters=3)
    write_labels(run / "labels.npy", np.tile(np.arange(100) % 3, (2, 1)))
    stabilities = {2: 0.9, 3: 0.895, 4: 0.5}
    rows = tuple(Stability(k, value, None) for k, value in stabilities.items())
    write_choice(folder, Choice(3, rows, ()))
    assert main(["report", str(folder), "--out", str(folder / "auto.html")]) == 0
    return folder / "auto.html"


def large(folder):
    """The page of a run of 31 seeds, which are more than a table shows."""
    run = make(folder / "run", "dcec", [0.5 + 0.01 * seed for seed in range(31)])
    write_labels(run / "labels.npy", np.random.default_rng(0).integers(0, 10, (31, 100)))
    assert main(["report", str(run), "--out", str(folder / "large.html")]) == 0
    return folder / "large.html"
