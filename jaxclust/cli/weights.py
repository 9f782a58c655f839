"""TODO"""

import dataclasses
from pathlib import Path

from jaxclust.cli import options as cli_options
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS
from jaxclust.networks import torch_weights


@dataclasses.dataclass(frozen=True)
class _Weights:
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


def _weights(arguments: list[str]) -> int:
    from jaxclust.methods import pretraining_supervised
    from jaxclust.networks.ccnn import TRANSFERABLE
    from jaxclust.runs import backbone

    able = [name for name, method in METHODS.items() if method.network.__name__ in TRANSFERABLE]
    if not arguments or arguments[0] not in able:
        raise UsageError(
            f"method: must be one of {', '.join(able)}, got {arguments[0] if arguments else 'none'!r}"
        )
    name, *rest = arguments
    options = cli_options.one_line(
        _Weights,
        rest,
        prog=f"jaxclust weights {name}",
        description="First layers trained on a set's labels.",
    )
    torch_weights.check_place(options.out)
    dataset = datasets.load(options.data)
    config = pretraining_supervised.Config(
        epochs=options.epochs, learning_rate=options.learning_rate
    )
    accuracy = backbone.write(options.out, METHODS[name].network, dataset, config, options.seed)
    print(
        f"{options.out}: {name}'s backbone, trained on the labels of {dataset.name}, accuracy {accuracy:.4f}"
    )
    return 0
