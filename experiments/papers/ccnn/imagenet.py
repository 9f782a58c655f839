"""CCNN and its baselines from weights trained on ImageNet, as in the paper's table II.

The trunk is SqueezeNet 1.1 or EfficientNet-Lite0, and the adaptation layers on it are drawn from
the seed. Where FC9 and softmax alone are trained, each image goes through the network once for each
seed and start. The variants that train all run whole.
Random starts draw the trunk, too; the adaptation layers are those of the same seed's other start.
"""

import itertools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file, save_file

from experiments import runner
from experiments.experiment import Request
from experiments.papers.ccnn import cells, runs
from experiments.rows import RESULTS as FOLDER
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.engine.weights import with_weights
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.networks.ccnn import (
    ON_IMAGENET,
    ccnn_lite0,
    ccnn_lite0_plain,
    ccnn_squeezenet,
    ccnn_squeezenet_plain,
)
from jaxclust.networks.imagenet_trunk import LEAST_SIDE
from jaxclust.networks.torch_weights import NOTHING, Weights
from jaxclust.runs import start_weights
from jaxclust.types import Json, Method, NetworkFactory, Variables

RESULTS = FOLDER / "ccnn_imagenet.jsonl"
DATA = ("photos-10", "cifar10-test")
"""Folders of pictures in the folder that $JAXCLUST_DATA names."""
SEEDS = range(5)
STARTS = ("imagenet", "random")
PRESETS = {"imagenet": "paper", "random": "random"}
BLOCK = 64
"""Images that go through the network together."""
NO_WEIGHTS = Weights({}, "", NOTHING)


class Backbone(NamedTuple):
    """A trunk with weights from ImageNet.

    Attributes:
      method: CCNN's on it.
      network: with adaptation layers.
      plain: without them.
    """

    method: str
    network: NetworkFactory
    plain: NetworkFactory


BACKBONES = {
    "squeezenet": Backbone("ccnn-squeezenet", ccnn_squeezenet, ccnn_squeezenet_plain),
    "lite0": Backbone("ccnn-lite0", ccnn_lite0, ccnn_lite0_plain),
}


class Variant(NamedTuple):
    """What clusters, and the features that it begins with.

    Attributes:
      method: CCNN's, whose settings are taken; or "kmeans".
      features: "conv8" for the global maxima of conv8; "trunk" for those of the trunk's last map,
        without adaptation layers; "mean" for the means of the trunk's last map.
      changes: the settings that differ.
      backbone: the trunk, by its name in ``BACKBONES``.
    """

    method: str
    features: str
    changes: Mapping[str, Any] = {}
    backbone: str = "squeezenet"


VARIANTS = {
    "ccnn": Variant("ccnn-squeezenet", "conv8"),
    "baseline-i": Variant("ccnn-i", "conv8"),
    "baseline-ii": Variant("ccnn-ii", "conv8"),
    "baseline-iii": Variant("ccnn-iii", "conv8"),
    "plain ccnn": Variant("ccnn-squeezenet", "trunk"),
    "plain baseline-i": Variant("ccnn-i", "trunk"),
    "plain baseline-ii": Variant("ccnn-ii", "trunk"),
    "plain baseline-iii": Variant("ccnn-iii", "trunk"),
    "k-means of maxima": Variant("kmeans", "trunk"),
    "k-means of means": Variant("kmeans", "mean"),
    "train all": Variant("ccnn-squeezenet", "conv8", cells.TRAIN_ALL),
    "baseline-i train all": Variant("ccnn-i", "conv8", cells.TRAIN_ALL),
    "lite0 ccnn": Variant("ccnn-lite0", "conv8", backbone="lite0"),
    "lite0 baseline-i": Variant("ccnn-i", "conv8", backbone="lite0"),
    "lite0 baseline-ii": Variant("ccnn-ii", "conv8", backbone="lite0"),
    "lite0 baseline-iii": Variant("ccnn-iii", "conv8", backbone="lite0"),
    "lite0 k-means of means": Variant("kmeans", "mean", backbone="lite0"),
}
ON_FEATURES = tuple(name for name, variant in VARIANTS.items() if not variant.changes)
"""The variants that need the first features alone."""


def run(request: Request) -> bool:
    """Runs the cells that have no rows; the request's folder keeps features and checkpoints."""
    for data, start in itertools.product(request.data, request.starts):
        dataset = load(data)
        every = [cell_of(dataset, variant, start, request) for variant in request.variants]
        left = [cell for cell in every if not runner.is_done(cell)]
        whole = [cell for cell in left if cell.key["variant"] not in ON_FEATURES]
        on_features = [cell for cell in left if cell not in whole]
        for backbone in BACKBONES:
            own = [c for c in on_features if VARIANTS[c.key["variant"]].backbone == backbone]
            if own and not _run_on_features(own, dataset, (backbone, start), request):
                return False
        if not all(runner.run(cell) for cell in whole):
            return False
    return True


def _run_on_features(
    made: Sequence[runner.Cell],
    dataset: datasets.Dataset,
    network: tuple[str, str],
    request: Request,
) -> bool:
    """Runs cells of one set on the first features of a backbone and a start; False without time."""
    inputs: list[Mapping[str, np.ndarray]] = []
    for seed in SEEDS:
        features = features_of(dataset, (*network, seed), request)
        if features is None:
            return False
        inputs.append(features)
    for cell in made:
        if time.monotonic() > request.deadline:
            return False
        which = VARIANTS[cell.key["variant"]].features
        runs.run_on_features(cell, [features[which] for features in inputs], [None for _ in SEEDS])
    return True


def load(name: str) -> datasets.Dataset:
    """A folder of pictures in color, under its own name."""
    folder = Path(os.environ.get("JAXCLUST_DATA", "")) / name
    if not folder.is_dir():
        raise UsageError(f"data: {name} must be a folder in $JAXCLUST_DATA, and is not there")
    return datasets.load(folder, channels=3)._replace(name=name)


def method_of(variant: str, start: str, clusters: int | None) -> Method:
    """A variant's method with its settings, on the network of its features."""
    name, features, changes, trunk = VARIANTS[variant]
    backbone = BACKBONES[trunk]
    if name == "kmeans":
        return registry.method(name, "paper", clusters=clusters)
    own = registry.method(backbone.method, PRESETS[start], clusters=clusters)
    if name != own.name:
        # The baselines' own settings, on this network; nothing is pretrained here.
        config = registry.method(name, PRESETS[start], clusters=clusters).config
        own = own.replace(name=name, config=config)
    own = own.with_settings(changes)
    if features == "conv8":
        return own
    return own.replace(network=backbone.plain).with_settings({"fc9": "glorot"})


def cell_of(dataset: datasets.Dataset, variant: str, start: str, request: Request) -> runner.Cell:
    """A variant on a set of pictures from one start."""
    method = method_of(variant, start, dataset.classes)
    key = {"data": dataset.name, "variant": variant, "start": start}
    backbone = VARIANTS[variant].backbone
    name = ON_IMAGENET[BACKBONES[backbone].network]
    trunk: list[Json] = [name, LEAST_SIDE, VARIANTS[variant].features]
    options = engine.Options()
    if variant not in ON_FEATURES:
        place = f"{dataset.name}-{start}-{variant.replace(' ', '-')}"
        directory = request.folder / "imagenet" / place
        options = engine.Options(directory=directory, weights=weights_of(backbone, start))
    cell = runner.Cell(RESULTS, key, dataset, method, SEEDS, request, options)
    return cell.replace(preset=PRESETS[start], extra={"start": start, "trunk": trunk})


def weights_of(backbone: str, start: str) -> Weights:
    """The trunk's weights; none for a random start, where all layers are drawn alike."""
    network = BACKBONES[backbone].network
    return start_weights.imagenet(network) if start == "imagenet" else NO_WEIGHTS


def features_of(
    dataset: datasets.Dataset, which: tuple[str, str, int], request: Request
) -> Mapping[str, np.ndarray] | None:
    """The first features of all images under a seed's network; None where time ran out.

    Args:
      dataset: the images.
      which: the backbone, the start and the seed.
      request: with the folder that keeps features, and the deadline.

    Returns:
      By the names that ``Variant.features`` has, float32 (n, d).
    """
    backbone, start, seed = which
    begins = "" if backbone == "squeezenet" else f"{backbone}-"
    place = f"{begins}{dataset.name}-{start}-{seed}"
    path = request.folder / "imagenet" / f"{place}.safetensors"
    if path.exists():
        return load_file(path)
    images = dataset.images
    network = BACKBONES[backbone].network(images.shape[1:], dataset.classes)
    keys = engine.lane_keys((seed,))["pretrain"]
    variables = jax.tree.map(
        lambda leaf: leaf[0], with_weights(network, keys, weights_of(backbone, start))
    )
    assert network.activations is not None  # CCNN's networks have them.
    maps_of = network.activations

    @jax.jit
    def pooled(variables: Variables, block: jax.Array) -> dict[str, jax.Array]:
        maps = maps_of(variables, block)
        trunk = maps["trunk"]
        return {
            "conv8": maps["features"],
            "trunk": jnp.max(trunk, axis=(1, 2)),
            "mean": jnp.mean(trunk, axis=(1, 2)),
        }

    parts = []
    for first in range(0, len(images), BLOCK):
        if time.monotonic() > request.deadline:
            return None
        rows = np.arange(first, first + BLOCK) % len(images)
        parts.append(jax.device_get(pooled(variables, images[rows])))
        if first % (16 * BLOCK) == 0:
            done = f"{first} of {len(images)} images"
            print(f"{place}: {done}", file=sys.stderr, flush=True)
    made = {
        name: np.concatenate([part[name] for part in parts])[: len(images)] for name in parts[0]
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    save_file(made, unfinished)
    os.replace(unfinished, path)
    return made
