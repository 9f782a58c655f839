"""``jaxclust weights METHOD --data LABELLED_SET --out FILE.safetensors``: a backbone trained on a set's labels.

``jaxclust fit METHOD --weights FILE.safetensors --data ANOTHER_SET`` then clusters from it.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxclust import datasets, supervised, train, weights
from jaxclust.algorithms import METHODS
from jaxclust.networks.ccnn import TRANSFERABLE
from jaxclust.types import Network


@dataclasses.dataclass(frozen=True)
class _Options:
    data: str
    """A labelled set: a name (see jaxclust datasets), a folder with a sub-folder for each class, or an .npz."""
    out: Path
    """The .safetensors file to write; must not exist."""
    seed: int = 0
    """Of the first weights and the order of the images."""
    epochs: int = 10
    """Passes over the images."""
    learning_rate: float = 1e-3
    """Adam's step size."""


def command(arguments: Sequence[str]) -> int:
    """Runs ``jaxclust weights``; exit status 0."""
    method = METHODS.get(arguments[0]) if arguments else None
    if method is None or method.network.__name__ not in TRANSFERABLE:
        able = [name for name, one in METHODS.items() if one.network.__name__ in TRANSFERABLE]
        got = repr(arguments[0]) if arguments else "none"
        raise ValueError(f"method: must be one of {', '.join(able)}, got {got}")
    options = tyro.cli(_Options, args=list(arguments[1:]), prog=f"jaxclust weights {arguments[0]}")
    if options.out.exists():
        raise ValueError(f"out: must not exist, got {options.out}")
    dataset = datasets.load(options.data)
    config = supervised.Config(epochs=options.epochs, learning_rate=options.learning_rate)
    accuracy = write(options.out, method.network, dataset, config, options.seed)
    print(f"{options.out}: {arguments[0]}'s backbone, trained on the labels of {dataset.name}, accuracy {accuracy:.4f}")
    return 0


def write(
    path: Path, factory: Callable[..., Network], dataset: datasets.Dataset, config: supervised.Config, seed: int
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
      ValueError: no labels, the file exists, or training met a NaN or inf.
    """
    if dataset.labels is None:
        raise ValueError(f"data: must have labels, got {dataset.name} without")
    config = dataclasses.replace(config, clusters=dataset.classes)
    network = factory(dataset.images.shape[1:], dataset.classes)
    images, keys = jnp.asarray(dataset.images), jnp.stack([jax.random.key(seed)])
    runs = train.start(supervised, config, network, "map", (keys, None), images)
    runs = runs._replace(state=supervised.with_labels(runs.state, dataset.labels))

    def show(event):
        loss, accuracy = event.history["loss"][-1], event.history["accuracy"][-1]
        line = f"epoch {int(event.runs.window[0])} of {config.epochs}: loss {loss:.4g}, accuracy {accuracy:.4f}"
        print(line, file=sys.stderr, flush=True)

    done = train.train(supervised, config, network, keys, images, over="map", runs=runs, callbacks=[show])
    if int(done.runs.failed[0]) >= 0:
        raise ValueError(f"learning_rate: must be lower, {config.learning_rate} led to NaN or inf")
    variables = jax.tree.map(lambda leaf: np.asarray(leaf[0]), done.runs.state.variables)
    weights.write(path, factory, variables, hashlib.sha256(np.asarray(images).tobytes()).hexdigest())
    return float(done.history["accuracy"][-1])
