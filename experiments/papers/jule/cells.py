"""The cells of JULE's tables: data sets with their seeds, JULE's settings, pairs of transfer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments import runner
from experiments.experiment import Request
from experiments.rows import RESULTS as FOLDER
from experiments.rows import Columns
from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.methods import checks, registry
from jaxclust.types import Method

RESULTS = FOLDER / "jule.jsonl"
# All of MNIST is hours a seed on a CPU.
SEEDS = {
    "digits": range(3),
    "coil20-32": range(3),
    "usps-11000": range(3),
    "mnist-test": range(3),
    "coil20": range(3),
    "coil100-32": range(1),
    "mnist": range(1),
}
SPECTRAL = ("sc-njw", "sc-st", "sc-ls", "n-cuts")
OTHERS = ("kmeans", *SPECTRAL, "ac-link", "ac-zell", "ac-gdl", "ac-pic")
"""The methods beside JULE in tables 3 and 4."""
SPECTRAL_SEEDS = range(5)
"""Seeds of SPECTRAL on pixels, which share the eigenvectors."""
PIXELS = "pixels"
"""Input of JULE's rows."""
UNIT_PIXELS = "pixels of unit length"
"""Input of the other rows of table 3."""
FEATURES = "features"
"""Input of the rows of table 4: the features of JULE's network on the same images."""
FEATURES_OF = "features of "
"""Begins the input of the rows of tables 5 and 6, whose network was trained on another set."""


class Variant(NamedTuple):
    """Settings of JULE: a preset with changes."""

    preset: str = "printed"
    changes: Mapping[str, Any] = {}


VARIANTS = {
    # The loss, negatives and rate of the authors' Caffe code, which the paper used.
    "paper": Variant("paper"),
    "default": Variant("default"),
    # The text to the letter.
    "printed": Variant(),
    # The loss and criterion of their Torch code, with its SGD, and with its affinities of merged
    # clusters.
    "torch": Variant("torch"),
    "torch-sgd": Variant("torch", {"dampening": 0.9}),
    "torch-fast": Variant("torch", {"dampening": 0.9, "affinity": "fast"}),
    # One change at a time; and a margin with the negatives that the code draws.
    "pixels-first": Variant(changes={"first_merge": "pixels"}),
    "random-negatives": Variant(changes={"negatives": "random"}),
    "gamma-1": Variant(changes={"gamma": 1.0}),
    "margin": Variant(changes={"margin": 0.2}),
    "margin-random": Variant(changes={"margin": 0.2, "negatives": "random"}),
    "dampening": Variant(changes={"dampening": 0.9}),
    "one-rate": Variant(changes={"restart_rate": False}),
    "epochs-10": Variant(changes={"epochs": 10}),
    "epochs-40": Variant(changes={"epochs": 40}),
    "centred": Variant(changes={"center_features": True}),
    "isolated": Variant(changes={"join_isolated": False}),
    "exponential": Variant(changes={"sample_affinity": "exponential"}),
}
TRANSFERS = (
    ("coil20-32", "coil100-32"),
    ("coil100-32", "coil20-32"),
    ("mnist-test", "usps-11000"),
    ("usps-11000", "mnist-test"),
)
"""Tables 5 and 6: a network trained on the first set clusters the second."""
LAYERS = ("data", "top", "top-1", "top-2")
"""What the second set is clustered by: its images, the inner product, the two blocks below it."""


def changes(variant: str) -> Columns:
    """The settings of a variant that are not the printed ones."""
    printed = registry.method("jule", "printed").config
    method = registry.method("jule", VARIANTS[variant].preset)
    return checks.changes(printed, method.with_settings(VARIANTS[variant].changes).config)


def method_of(variant: str, clusters: int | None) -> Method:
    """JULE under a variant."""
    chosen = VARIANTS[variant]
    method = registry.method("jule", chosen.preset, clusters=clusters)
    return method.with_settings(chosen.changes)


def cell_of(dataset: Dataset, variant: str, request: Request) -> runner.Cell:
    """JULE under a variant on a data set."""
    method = method_of(variant, dataset.classes)
    options = engine.Options(directory=request.folder / dataset.name / variant)
    key = {"data": dataset.name, "input": PIXELS, "variant": variant}
    seeds = SEEDS[dataset.name]
    preset = VARIANTS[variant].preset
    return runner.Cell(RESULTS, key, dataset, method, seeds, request, options, preset)
