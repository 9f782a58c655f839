"""``jaxclust weights METHOD``: trains a network's first layers on another set's labels."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxclust.cli import options
from jaxclust.cli.parse import parse
from jaxclust.data import datasets
from jaxclust.errors import UsageError, did_you_mean
from jaxclust.methods import pretraining_supervised
from jaxclust.methods.registry import METHODS
from jaxclust.networks import torch_weights
from jaxclust.networks.ccnn import TRANSFERABLE
from jaxclust.runs import backbone


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains a method's network on the labels of another set, and keeps its first layers.

    Attributes:
      method: A method with a network whose first layers can be kept; CCNN's have one.
      data: A labeled set: a name, a folder with a sub-folder for each class, or an .npz file.
      out: The .safetensors file to write; it must not exist.
      seed: Decides the first weights and the order of the images.
      epochs: Passes over the images.
      learning_rate: Adam's step size.
    """

    method: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="METHOD")]
    data: Annotated[str, tyro.conf.arg(metavar="LABELED")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.safetensors")]
    seed: int = 0
    epochs: int = 10
    learning_rate: float = 1e-3


def command(words: list[str]) -> int:
    """Trains and writes the file; the exit status is 0.

    Raises:
      UsageError: the method has no such network, or an option breaks its rule.
    """
    given = parse(Options, words, "jaxclust weights")
    able = [name for name, method in METHODS.items() if method.network in TRANSFERABLE]
    if given.method not in able:
        hint = did_you_mean(given.method, able)
        raise UsageError(f"method: must be one of {', '.join(able)}, got {given.method!r}{hint}")
    torch_weights.check_place(given.out)
    dataset = datasets.load(given.data)
    options.tell(dataset.summary, dataset.unreadable, quiet=False)
    config = pretraining_supervised.Config(epochs=given.epochs, learning_rate=given.learning_rate)
    network = METHODS[given.method].network
    accuracy = backbone.write(given.out, network, dataset, config, given.seed)
    trained = f"trained on the labels of {dataset.name}, accuracy {accuracy:.4f}"
    print(f"{given.out}: {given.method}'s backbone, {trained}")
    return 0
