"""The cells of DCTL's tables: methods, what is changed, data sets with their seeds, and inputs.

Every method gets dense SIFT features reduced to 300 by PCA: as vectors of 300 (k-means, AEKM, DCN,
DKM), or as the grid of 15 x 20 that those vectors are laid out on (DCEC, DCTL). k-means, DCEC and
DCTL also run on the pixels. Extended Yale B has 38 persons and 2,432 images here, 28 and 16,128 in
the paper.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments import runner
from experiments.experiment import Request
from experiments.rows import RESULTS as FOLDER
from experiments.rows import Columns
from jaxclust.data import datasets, features
from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.methods import registry
from jaxclust.networks import cae
from jaxclust.networks import dctl as dctl_network
from jaxclust.types import Method

RESULTS = FOLDER / "dctl.jsonl"
ROUNDS = FOLDER / "dctl_rounds.jsonl"
SEEDS = {name: range(10) for name in ("yaleb", "digits", "coil100-32")}


class Spec(NamedTuple):
    """What a cell is made of, beside its data set.

    Attributes:
      method: a method of the package.
      changes: its settings that differ.
      pixels: whether it gets the images themselves.
      features: how its features are made of images, where not as those of all others.
    """

    method: str = "dctl"
    changes: Mapping[str, Any] = {}
    pixels: bool = False
    features: Callable[[np.ndarray], np.ndarray] | None = None


def _scaled() -> dict[str, float]:
    """DCN's step sizes for features, of its pretraining and its clustering.

    DCN's own are for MNIST's images in [0, 1], whose mean squared length is 88.03. Those of biases
    do not depend on it.
    """
    dcn = registry.method("dcn", "paper")
    ratio = 88.03 / features.DIMENSIONS
    scaled = {}
    for prefix, config in (("", dcn.config), ("pretraining.", dcn.pretraining)):
        scaled[f"{prefix}learning_rate"] = ratio * config.learning_rate
        scaled[f"{prefix}bias_rate"] = config.bias_rate / ratio
    return scaled


TABLE_1 = {
    "kmeans": Spec("kmeans"),
    "kmeans-pixels": Spec("kmeans", pixels=True),
    "dkm": Spec("dkm"),
    "dkm-annealed": Spec("dkm-annealed"),
    "dcn": Spec("dcn", _scaled()),
    "aekm": Spec("aekm"),
    "dcec": Spec("dcec"),
    "dctl": Spec(),
    "dcec-pixels": Spec("dcec", pixels=True),
    "dctl-pixels": Spec(pixels=True),
}
NAMED = ("dcec-pixels", "dctl-pixels")
"""Cells that take hours; they run only where they are named."""
TABLE_2 = {
    "dctl-1-layer": Spec(changes={"layers": 1}),
    "dctl-1-layer-piecewise": Spec(changes={"layers": 1, "joint": False}),
    "dctl": Spec(),
    "dctl-piecewise": Spec(changes={"joint": False}),
}
CONTROL = "dctl-untrained"
"""k-means on what DCTL's first filters give, which nothing has trained. A seed's filters are those
that DCTL with the same seed begins with."""
OPEN: Mapping[str, Columns] = {
    "adam": {"z_update": "adam"},
    "adam-10-steps": {"z_update": "adam", "inner_steps": 10, "learning_rate": 1e-3},
    "mean": {"residual": "mean"},
    "l1": {"z_update": "adam", "psi": "l1"},
    "l1-weight-1": {"z_update": "adam", "psi": "l1", "psi_weight": 1.0},
    "nonnegative": {"z_update": "adam", "psi": "nonnegative"},
    "inner-steps-4": {"inner_steps": 4},
    "inner-steps-10": {"inner_steps": 10},
    "rate-0.001": {"learning_rate": 1e-3},
    "rate-0.1": {"learning_rate": 0.1},
    "fresh-moments": {"moments": "fresh"},
    "tolerance-0.05": {"tolerance": 0.05},
    "tolerance-0.2": {"tolerance": 0.2},
    "tolerance-0.5": {"tolerance": 0.5},
    "restarts-1": {"restarts": 1},
    "p2-restarts-5": {"p2_restarts": 5},
    "separate": {"mixing": "separate"},
    "line": {"layout": "line"},
    "floor": {"pooling": "floor"},
    "orthonormal": {"start": "orthonormal"},
    "1-layer-linear": {"layers": 1, "single": "linear"},
}
"""Changes to what section 4 does not say; a psi other than none is for Adam alone."""
OPEN_INPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "patch-32": lambda images: features.as_images(features.dsift_pca(images, patch=32)),
    "step-4": lambda images: features.as_images(features.dsift_pca(images, step=4)),
    "scale-0.1": lambda images: 0.1 * features.as_images(features.cached(images)),
    "scale-10": lambda images: 10 * features.as_images(features.cached(images)),
}
"""The same for what DCTL gets."""
OPENED = {
    **{f"open-{name}": Spec(changes=changes) for name, changes in OPEN.items()},
    **{f"open-{name}": Spec(features=make) for name, make in OPEN_INPUTS.items()},
}
SPECS = TABLE_1 | TABLE_2 | OPENED
SPECS[CONTROL] = Spec("kmeans", {"restarts": registry.get("dctl").config.restarts})
METHODS = tuple(dict.fromkeys((*TABLE_1, *TABLE_2, CONTROL)))
USUAL = tuple(name for name in METHODS if name not in NAMED)
TOO_SMALL = ("digits", "dctl-pixels")
"""A cell that cannot be: 9 x 9 filters do not fit 8 x 8 pixels."""
GRIDS = (dctl_network, cae)
"""Networks that see where a feature stands."""


def changed_from(name: str) -> str:
    """The cell of which an open choice is a change.

    A psi needs Adam, and one layer is itself a choice.
    """
    changes = SPECS[name].changes
    if "psi" in changes:
        return "open-adam"
    return "dctl-1-layer" if changes.get("layers") == 1 else "dctl"


def method_of(name: str, clusters: int | None) -> Method:
    """A cell's method with its settings, called as in the rows."""
    spec = SPECS[name]
    method = registry.method(spec.method, "paper", clusters=clusters).with_settings(spec.changes)
    return method.replace(name=name, network=dctl_network if name == CONTROL else method.network)


def is_dctl(name: str) -> bool:
    """Whether a cell runs DCTL's algorithm."""
    return SPECS[name].method == "dctl"


def dataset_of(data: str, name: str) -> Dataset:
    """What a cell gets, under the data set's name."""
    images = datasets.load(data)
    make = SPECS[name].features
    if SPECS[name].pixels:
        return images
    if make is not None:
        return images._replace(images=make(images.images))
    return features.replaced(images, features.DSIFT_PCA)._replace(name=data)


def input_of(name: str, method: Method, dataset: Dataset) -> str:
    """What a cell gets, in words."""
    height, width, channels = dataset.images.shape[1:]
    if SPECS[name].pixels:
        return f"{height} x {width} pixels{', RGB' if channels == 3 else ''}"
    if method.network not in GRIDS:
        return f"vector of features, {height * width}"
    # DCTL's network lays a grid out as a line itself.
    if is_dctl(name) and method.config.layout == "line":
        return f"1 x {height * width} grid of features"
    return f"{height} x {width} grid of features"


def cell_of(data: str, name: str, request: Request) -> runner.Cell:
    """A method on a data set; its settings are recorded of the images, whatever it gets."""
    images = datasets.load(data)
    dataset = dataset_of(data, name)
    method = method_of(name, images.classes)
    spec = SPECS[name]
    kind = "pixels" if spec.pixels else "features"
    place = request.folder / data
    options = engine.Options(
        directory=place / name,
        pretrained=place / f"pretraining-{kind}-{runner.pretraining_name(method)}",
    )
    own = [] if spec.features is None else [name.removeprefix("open-")]
    made = None if spec.pixels else [*features.SETTINGS, *own]
    columns = {"input": input_of(name, method, dataset)}
    key = {"data": data, "method": name}
    cell = runner.Cell(RESULTS, key, dataset, method, SEEDS[data], request, options)
    extra = {**columns, "features": made}
    return cell.replace(extra=extra, columns=columns, images=images)
