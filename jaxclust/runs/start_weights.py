"""The weights that a network's first layers begin with, from a file or from a package."""

from pathlib import Path

from jaxclust.data.features import cache_folder
from jaxclust.errors import UsageError
from jaxclust.networks import pretrained_weights, torch_weights
from jaxclust.networks.ccnn import ON_IMAGENET
from jaxclust.networks.imagenet_trunk import attribute
from jaxclust.networks.torch_weights import NOTHING, Weights
from jaxclust.types import Network, NetworkFactory, network_name

IMAGENET = "imagenet"
"""In a path's place, the weights that an installed package has."""


def read(path: Path, factory: NetworkFactory, network: Network) -> Weights:
    """Reads the first layers of a network.

    Args:
      path: a .safetensors file, see ``torch_weights.read``; or ``IMAGENET`` for a factory of
        ``ON_IMAGENET``.
      factory: made the network.
      network: the arrays must have its shapes.

    Raises:
      UsageError: the package is not installed or its file is not the known one, the file cannot be
        used, or the network takes no weights from there.
    """
    if factory not in ON_IMAGENET:
        if str(path) == IMAGENET and not path.exists():
            known = ", ".join(network_name(known) for known in ON_IMAGENET)
            rule = f"weights: {IMAGENET} must be for a network of {known}"
            raise UsageError(f"{rule}, got {network_name(factory)}")
        return torch_weights.read(path, factory, network)
    if str(path) != IMAGENET:
        raise UsageError(f"weights: must be {IMAGENET} for {network_name(factory)}, got {path}")
    return imagenet(factory)


def imagenet(factory: NetworkFactory) -> Weights:
    """The trunk of a network of ``ON_IMAGENET``, as an installed package has it.

    Raises:
      UsageError: the package is not installed, or its file is not the known one.
    """
    name = ON_IMAGENET[factory]
    try:
        arrays = pretrained_weights.load(name, cache_folder() / "weights")
    except UsageError as error:
        raise UsageError(f"weights: {str(error).removeprefix('features: ')}") from error
    places = {("params", "backbone", attribute(key)): value for key, value in arrays.items()}
    return Weights(places, pretrained_weights.PACKAGES[name].arrays_digest, NOTHING)
