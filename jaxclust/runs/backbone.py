"""Backbones trained on one set's labels, from which another set is clustered."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data import datasets
from jaxclust.engine import driver, fit
from jaxclust.methods import pretraining_supervised
from jaxclust.networks import torch_weights
from jaxclust.types import Network


def write(
    path: Path,
    factory: Callable[..., Network],
    dataset: datasets.Dataset,
    config: pretraining_supervised.Config,
    seed: int,
) -> float:
    """Trains a network on a set's labels and writes its backbone.

    Args:
      path: the .safetensors file to write; must not exist.
      factory: of the network, ``factory(shape, classes)``.
      dataset: images with labels.
      config: how it is trained; ``clusters`` becomes the number of classes.
      seed: of the weights and the order.

    Returns:
      The accuracy in training, over the last epoch.

    Raises:
      ValueError: no labels, the file exists or has no folder, or training met a NaN or inf.
    """
    torch_weights.check_place(path)
    if dataset.labels is None:
        raise ValueError(f"data: must have labels, got {dataset.name} without")
    config = dataclasses.replace(config, clusters=dataset.classes)
    network = factory(dataset.images.shape[1:], dataset.classes)
    images, keys = jnp.asarray(dataset.images), jnp.stack([jax.random.key(seed)])
    runs = driver.start(pretraining_supervised, config, network, "map", (keys, None), images)
    runs = runs._replace(state=pretraining_supervised.with_labels(runs.state, dataset.labels))

    def show(event):
        loss, accuracy = event.history["loss"][-1], event.history["accuracy"][-1]
        line = f"epoch {int(event.runs.window[0])} of {config.epochs}: loss {loss:.4g}, accuracy {accuracy:.4f}"
        print(line, file=sys.stderr, flush=True)

    done = driver.train(
        pretraining_supervised,
        config,
        network,
        keys,
        images,
        over="map",
        runs=runs,
        callbacks=[show],
    )
    if int(done.runs.failed[0]) >= 0:
        raise ValueError(f"learning_rate: must be lower, {config.learning_rate} led to NaN or inf")
    variables = jax.tree.map(lambda leaf: np.asarray(leaf[0]), done.runs.state.variables)
    named = dataset.name if dataset.name in datasets.NAMES else None
    torch_weights.write(
        path, factory, variables, fit.pixels_digest(dataset.images), dataset.listing, named
    )
    return float(done.history["accuracy"][-1])
