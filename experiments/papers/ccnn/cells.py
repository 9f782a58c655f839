"""The cells of CCNN's tables: variants, data sets with their seeds, starts, and their settings."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments import runner
from experiments.experiment import Request
from experiments.rows import RESULTS as FOLDER
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.engine.checkpoint import settings_json
from jaxclust.methods import pretraining_supervised as supervised
from jaxclust.methods import registry
from jaxclust.networks import torch_weights
from jaxclust.networks.ccnn import ccnn_plain
from jaxclust.runs import backbone
from jaxclust.types import Json, Method, network_name

RESULTS = FOLDER / "ccnn.jsonl"
CURVES = FOLDER / "ccnn_curves.jsonl"
SEEDS = {
    "digits": range(10),
    "usps": range(10),
    "mnist-test": range(10),
    "fashion-mnist": range(3),
    "coil100-32": range(3),
    "mnist-train": range(3),
}
PRESETS = {"random": "random", "reconstruction": "paper", "supervised": "paper"}
STARTS = tuple(PRESETS)
"""Random weights; a reconstruction of the set's images; a backbone that another set's labels, never
the target's, have trained, in place of ImageNet."""
SOURCE = "fashion-mnist"
"""The set whose labels train the supervised start."""
SOURCES = {"fashion-mnist": "mnist"}
"""Another one where SOURCE is the target. Gray images are repeated for a target in color."""
SUPERVISED = supervised.Config(epochs=5)
SUPERVISED_SEED = 0


class Variant(NamedTuple):
    """A method of the package with changed settings.

    Attributes:
      method: its name.
      changes: the settings that differ.
      plain: whether the network has no adaptation layers.
    """

    method: str = "ccnn"
    changes: Mapping[str, Any] = {}
    plain: bool = False


TRAIN_ALL = {"trainable": "all", "learning_rate": 0.001}
_GLOROT = {"fc9": "glorot"}
VARIANTS = {
    # Table II.
    "ccnn": Variant(),
    "baseline-i": Variant("ccnn-i"),
    "baseline-ii": Variant("ccnn-ii"),
    "baseline-iii": Variant("ccnn-iii"),
    # Table V. Without adaptation layers FC9 cannot be the identity, so it is drawn with them too.
    "random fc9": Variant("ccnn", _GLOROT),
    "random fc9 baseline-ii": Variant("ccnn-ii", _GLOROT),
    "random fc9 baseline-iii": Variant("ccnn-iii", _GLOROT),
    "plain ccnn": Variant("ccnn", _GLOROT, plain=True),
    "plain baseline-ii": Variant("ccnn-ii", _GLOROT, plain=True),
    "plain baseline-iii": Variant("ccnn-iii", _GLOROT, plain=True),
    # Figure 6.
    **{f"k_m {k}": Variant(changes={"reliable": k}) for k in (1, 2, 5, 25, 50)},
    # What the paper leaves open.
    **{f"rate {rate}": Variant(changes={"learning_rate": rate}) for rate in (0.001, 0.1, 1.0)},
    # Where steps are longer there is more to compensate.
    **{
        f"baseline-i rate {rate}": Variant("ccnn-i", {"learning_rate": rate}) for rate in (0.1, 1.0)
    },
    "train all": Variant(changes=TRAIN_ALL),
    **{
        f"train all rate {rate}": Variant(changes=TRAIN_ALL | {"learning_rate": rate})
        for rate in (0.01, 0.1)
    },
    "train and compensate all": Variant(changes=TRAIN_ALL | {"compensation": "all"}),
    "baseline-i train all": Variant("ccnn-i", TRAIN_ALL),
    # From random weights, where the head alone is trained, running statistics are still 0 and 1.
    "batch norm": Variant("ccnn-norm"),
    "batch norm train all": Variant("ccnn-norm", TRAIN_ALL),
    "batch norm train all batch statistics": Variant(
        "ccnn-norm", TRAIN_ALL | {"batch_statistics": True}
    ),
    "superscripts": Variant(changes={"backtrack": "previous"}),
    "printed gradient": Variant(changes={"gradient": "printed"}),
    "count all": Variant(changes={"count": "assigned"}),
    "count from 1": Variant(changes={"start_count": 1}),
    "update with all": Variant(changes={"update_with": "all"}),
    "update with reliable": Variant(changes={"update_with": "reliable"}),
    "nearest of each cluster": Variant(changes={"select": "balanced"}),
}
TABLE_2 = ("ccnn", "baseline-i", "baseline-ii", "baseline-iii")


def dataset_of(name: str) -> datasets.Dataset:
    """A named set, or "mnist-train", the first 60,000 images of mnist."""
    if name != "mnist-train":
        return datasets.load(name)
    mnist = datasets.load("mnist")
    labels = runner.labels_of(mnist)
    return mnist._replace(name=name, images=mnist.images[:60_000], labels=labels[:60_000])


def method_of(variant: str, start: str, clusters: int | None) -> Method:
    """A variant's method with its settings."""
    name, changes, plain = VARIANTS[variant]
    # 30 epochs from random weights, 10 from pretrained ones (section IV.C).
    method = registry.method(name, PRESETS[start], clusters=clusters).with_settings(changes)
    if start == "supervised":
        method = method.with_settings({"pretraining.epochs": 0})
    return method.replace(network=ccnn_plain) if plain else method


def cell_of(dataset: datasets.Dataset, variant: str, start: str, request: Request) -> runner.Cell:
    """A variant on a data set from one start, without the weights that it starts from."""
    method = method_of(variant, start, dataset.classes)
    place = request.folder / dataset.name / start
    options = engine.Options(
        directory=place / variant.replace(" ", "-"),
        pretrained=place / network_name(method.network),
    )
    source = SOURCES.get(dataset.name, SOURCE)
    weights: list[Json] = [source, settings_json(SUPERVISED), SUPERVISED_SEED]
    extra: dict[str, Json] = {"weights": weights} if start == "supervised" else {}
    key = {"data": dataset.name, "variant": variant, "start": start}
    seeds = SEEDS[dataset.name]
    cell = runner.Cell(RESULTS, key, dataset, method, seeds, request, options)
    return cell.replace(preset=PRESETS[start], extra=extra)


def with_weights(cell: runner.Cell) -> runner.Cell:
    """A cell with the weights that it starts from, which are made where they are missing."""
    if cell.key["start"] != "supervised":
        return cell
    folder = cell.request.folder / "weights"
    shape = cell.dataset.images.shape[1:]
    factory = cell.method.network
    source = SOURCES.get(cell.dataset.name, SOURCE)
    made = hashlib.sha256(repr((SUPERVISED, SUPERVISED_SEED)).encode()).hexdigest()[:8]
    path = folder / f"{network_name(factory)}-{source}-{shape[2]}-{made}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        labeled = datasets.load(source)
        labeled = labeled._replace(images=np.repeat(labeled.images, shape[2], axis=3))
        backbone.write(path, factory, labeled, SUPERVISED, seed=SUPERVISED_SEED)
    weights = torch_weights.read(path, factory, factory(shape, 10))
    return cell.with_options(weights=weights)
