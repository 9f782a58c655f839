"""Backbones trained on one set's labels, from which another set is clustered."""

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data import datasets
from jaxclust.engine import driver, fit
from jaxclust.errors import UsageError
from jaxclust.methods import pretraining_supervised as supervised
from jaxclust.networks import torch_weights
from jaxclust.types import NetworkFactory


def write(
    path: Path,
    factory: NetworkFactory,
    dataset: datasets.Dataset,
    config: supervised.Config,
    seed: int,
) -> float:
    """Trains a network on a set's labels and writes its backbone.

    Args:
      path: the .safetensors file to write; must not exist.
      factory: of the network, ``factory(shape, classes)``.
      dataset: images with labels.
      config: how it is trained; ``clusters`` becomes the number of classes.
      seed: decides the first weights and the order of the images.

    Returns:
      The accuracy in training, over the last epoch.

    Raises:
      UsageError: labels are missing, the file exists or has no folder, or training met a NaN or
        inf.
    """
    torch_weights.check_place(path)
    if dataset.labels is None:
        raise UsageError(f"data: must have labels, got {dataset.name} without")
    missing = int((dataset.labels < 0).sum())
    if missing:
        rule = f"data: must have a label of each image, {dataset.name} lacks"
        raise UsageError(f"{rule} {missing} of {len(dataset.labels)}")
    config = dataclasses.replace(config, clusters=dataset.classes)
    network = factory(dataset.images.shape[1:], dataset.classes)
    program = driver.Program(supervised.ALGORITHM, config, network, "map")
    images = jnp.asarray(dataset.images)
    begun = driver.begin(program, jnp.stack([jax.random.key(seed)]), None, images)
    untrained = jax.tree.map(lambda leaf: np.asarray(leaf[0]), begun.lanes.state.variables)
    torch_weights.check_room(path, factory, untrained)
    state = supervised.with_labels(begun.lanes.state, jnp.asarray(dataset.labels))
    begun = begun._replace(lanes=begun.lanes._replace(state=state))

    def show(event: driver.Event) -> None:
        epoch = int(event.lanes.window[0])
        loss = event.history["loss"][-1]
        accuracy = event.history["accuracy"][-1]
        line = f"epoch {epoch} of {config.epochs}: loss {loss:.4g}, accuracy {accuracy:.4f}"
        print(line, file=sys.stderr, flush=True)

    done = driver.train(program, begun, images, callbacks=[show])
    if int(done.lanes.failed[0]) >= 0:
        raise UsageError(f"learning_rate: must be lower, {config.learning_rate} led to NaN or inf")
    variables = jax.tree.map(lambda leaf: np.asarray(leaf)[0], done.lanes.state.variables)
    trained_on = torch_weights.TrainedOn(
        fit.pixels_digest(dataset.images),
        dataset.folder_digest,
        dataset.name if dataset.name in datasets.NAMES else None,
    )
    torch_weights.write(path, factory, variables, trained_on)
    return float(done.history["accuracy"][-1])
