"""Pages of ``jaxclust report``, and what is on them."""

import json
from html.parser import HTMLParser

import numpy as np

from jaxclust.cli.main import main
from jaxclust.runs import collect
from jaxclust.runs.files import write_labels
from run_folders import make

SMALL = "--pretraining.epochs 2 --pretraining.batch 64 --batch 64 --update-interval 4 --max-steps 8 --restarts 2"


class Page(HTMLParser):
    """Elements, and that each is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
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
        return [attributes for name, attributes in self.found if name == tag]


def idec(out, data):
    """A run of IDEC for moments, seeds 0 and 3."""
    assert (
        main(
            f"fit idec --data {data} --out {out} --seeds 0,3 --over map --no-figures {SMALL}".split()
        )
        == 0
    )
    return out


def chosen(folder):
    """The page of a run whose number of clusters was chosen."""
    run = make(folder / "k-3", "kmeans", [0.5, 0.6], clusters=3)
    write_labels(run / "labels.npy", np.tile(np.arange(100) % 3, (2, 1)))
    rows = [
        {"clusters": k, "stability": value, "reason": None}
        for k, value in ((2, 0.9), (3, 0.895), (4, 0.5))
    ]
    (folder / collect.CLUSTERS).write_text(json.dumps({"chosen": 3, "rows": rows}))
    assert main(["report", str(folder), "--out", str(folder / "auto.html")]) == 0
    return folder / "auto.html"


def large(folder):
    """The page of a run of 31 seeds, more than a table shows."""
    run = make(folder / "run", "dcec", [0.5 + 0.01 * seed for seed in range(31)])
    write_labels(run / "labels.npy", np.random.default_rng(0).integers(0, 10, (31, 100)))
    assert main(["report", str(run), "--out", str(folder / "large.html")]) == 0
    return folder / "large.html"
