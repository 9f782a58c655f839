"""What JULE's experiments run: data sets with their seeds, JULE's settings, the pairs of transfer."""

import dataclasses
from pathlib import Path
from typing import Any

from jaxclust.data import datasets
from jaxclust.methods.registry import METHODS, configured

RESULTS = Path(__file__).parent / "results" / "jule.jsonl"

# Seeds of each data set. All of MNIST is hours a seed on a CPU.
SEEDS = {
    "digits": range(3),
    "coil20-32": range(3),
    "usps-11000": range(3),
    "mnist-test": range(3),
    "coil20": range(3),
    "coil100-32": range(1),
    "mnist": range(1),
}
OTHERS = ("kmeans", "ac-link", "ac-zell", "ac-gdl", "ac-pic")

CODE = METHODS["jule"].presets["code"]
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    # The authors' Torch code at its defaults, without and with its SGD and its affinities of merged clusters.
    "code": CODE,
    "code-sgd": CODE | {"dampening": 0.9},
    "code-fast": CODE | {"dampening": 0.9, "affinity": "fast"},
    # The hinge, negatives and rate of their Caffe code, which the paper used.
    "caffe": METHODS["jule"].presets["caffe"],
    # One change at a time; a margin with the negatives that the code draws.
    "pixels-first": {"first_merge": "pixels"},
    "random-negatives": {"negatives": "random"},
    "gamma-1": {"gamma": 1.0},
    "margin": {"margin": 0.2},
    "margin-random": {"margin": 0.2, "negatives": "random"},
    "dampening": {"dampening": 0.9},
    "one-rate": {"restart_rate": False},
    "epochs-10": {"epochs": 10},
    "epochs-40": {"epochs": 40},
    "centred": {"centre_features": True},
    "isolated": {"join_isolated": False},
    "exponential": {"sample_affinity": "exponential"},
}
# Tables 5 and 6: a network trained on the first clusters the second, by the images themselves, the inner product, and
# the two blocks below it.
TRANSFERS = (
    ("coil20-32", "coil100-32"),
    ("coil100-32", "coil20-32"),
    ("mnist-test", "usps-11000"),
    ("usps-11000", "mnist-test"),
)
LAYERS = ("data", "top", "top-1", "top-2")


def settings(data: str, variant: str) -> tuple[datasets.Dataset, Any]:
    """The images, and JULE's settings for them."""
    dataset = datasets.load(data)
    config, _ = configured("jule", clusters=dataset.classes)
    return dataset, dataclasses.replace(config, **VARIANTS[variant])
