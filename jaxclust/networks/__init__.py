"""Networks as pairs of pure functions.

Factories are cached: equal arguments give the identical network. ``from_flax`` makes a factory from
a module of one's own.
"""

from jaxclust.networks.autoencoders import cae, grouped_sae, pixels, sae, tied_sae
from jaxclust.networks.ccnn import (
    ccnn,
    ccnn_alexnet,
    ccnn_alexnet_plain,
    ccnn_lite0,
    ccnn_norm,
    ccnn_resnet18,
    ccnn_squeezenet,
)
from jaxclust.networks.dctl import dctl
from jaxclust.networks.fcae import fcae
from jaxclust.networks.from_flax import from_flax
from jaxclust.networks.jule import jule

__all__ = [
    "cae",
    "ccnn",
    "ccnn_alexnet",
    "ccnn_alexnet_plain",
    "ccnn_lite0",
    "ccnn_norm",
    "ccnn_resnet18",
    "ccnn_squeezenet",
    "dctl",
    "fcae",
    "from_flax",
    "grouped_sae",
    "jule",
    "pixels",
    "sae",
    "tied_sae",
]
