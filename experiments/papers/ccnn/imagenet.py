"""CCNN and its baselines from weights trained on ImageNet, as in the paper's table II.

The trunk is SqueezeNet 1.1, and the adaptation layers on it are drawn from the seed. Only FC9 and
softmax are trained, so that each image goes through the network once for each seed and start.
Random starts draw the trunk, too; the adaptation layers are those of the same seed's other start.
"""

import itertools
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file, save_file

from experiments import runner
from experiments.experiment import Request
from experiments.papers.ccnn import runs
from experiments.rows import RESULTS as FOLDER
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.engine.weights import with_weights
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.networks.ccnn import ccnn_squeezenet, ccnn_squeezenet_plain
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


class Variant(NamedTuple):
    """What clusters, and the features that it begins with.

    Attributes:
      method: CCNN's, whose settings are taken; or "kmeans".
      features: "conv8" for the global maxima of conv8; "trunk" for those of the trunk's last map,
        without adaptation layers; "mean" for the means of the trunk's last map.
    """

    method: str
    features: str


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
}


def run(request: Request) -> bool:
    """Runs the cells that have no rows; features of the seeds are kept in the request's folder."""
    for data, start in itertools.product(request.data, request.starts):
        dataset = load(data)
        cells = [cell_of(dataset, variant, start, request) for variant in request.variants]
        cells = [cell for cell in cells if not runner.is_done(cell)]
        if not cells:
            continue
        features = [features_of(dataset, start, seed, request) for seed in SEEDS]
        for cell in cells:
            if time.monotonic() > request.deadline:
                return False
            which = VARIANTS[cell.key["variant"]].features
            inputs = []
            for made in features:
                if made is None:
                    return False
                inputs.append(made[which])
            runs.run_on_features(cell, inputs, [None for _ in SEEDS])
    return True


def load(name: str) -> datasets.Dataset:
    """A folder of pictures in color, under its own name."""
    folder = Path(os.environ.get("JAXCLUST_DATA", "")) / name
    if not folder.is_dir():
        raise UsageError(f"data: {name} must be a folder in $JAXCLUST_DATA, and is not there")
    return datasets.load(folder, channels=3)._replace(name=name)


def method_of(variant: str, start: str, clusters: int | None) -> Method:
    """A variant's method with its settings, on the network of its features."""
    name, features = VARIANTS[variant]
    if name == "kmeans":
        return registry.method(name, "paper", clusters=clusters)
    own = registry.method("ccnn-squeezenet", PRESETS[start], clusters=clusters)
    if name != own.name:
        # The baselines' own settings, on this network; nothing is pretrained here.
        config = registry.method(name, PRESETS[start], clusters=clusters).config
        own = own.replace(name=name, config=config)
    if features == "conv8":
        return own
    return own.replace(network=ccnn_squeezenet_plain).with_settings({"fc9": "glorot"})


def cell_of(dataset: datasets.Dataset, variant: str, start: str, request: Request) -> runner.Cell:
    """A variant on a set of pictures from one start."""
    method = method_of(variant, start, dataset.classes)
    key = {"data": dataset.name, "variant": variant, "start": start}
    cell = runner.Cell(RESULTS, key, dataset, method, SEEDS, request, engine.Options())
    trunk: list[Json] = ["squeezenet", LEAST_SIDE, VARIANTS[variant].features]
    return cell.replace(preset=PRESETS[start], extra={"start": start, "trunk": trunk})


def features_of(
    dataset: datasets.Dataset, start: str, seed: int, request: Request
) -> Mapping[str, np.ndarray] | None:
    """The first features of all images under a seed's network; None where time ran out.

    Returns:
      By the names that ``Variant.features`` has, float32 (n, d).
    """
    path = request.folder / "imagenet" / f"{dataset.name}-{start}-{seed}.safetensors"
    if path.exists():
        return load_file(path)
    images = dataset.images
    factory: NetworkFactory = ccnn_squeezenet
    network = factory(images.shape[1:], dataset.classes)
    weights = start_weights.imagenet(factory) if start == "imagenet" else NO_WEIGHTS
    keys = engine.lane_keys((seed,))["pretrain"]
    variables = jax.tree.map(lambda leaf: leaf[0], with_weights(network, keys, weights))
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
            print(f"{dataset.name} {start} {seed}: {done}", file=sys.stderr, flush=True)
    made = {
        name: np.concatenate([part[name] for part in parts])[: len(images)] for name in parts[0]
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    save_file(made, unfinished)
    os.replace(unfinished, path)
    return made
