"""Networks as pairs of pure functions; factories are cached, so equal arguments give the identical network."""

from jaxclust.networks.autoencoders import cae, pixels, sae, tied_sae
from jaxclust.networks.ccnn import ccnn, ccnn_alexnet, ccnn_alexnet_plain, ccnn_norm, ccnn_resnet18
from jaxclust.networks.dctl import dctl
from jaxclust.networks.fcae import fcae
from jaxclust.networks.jule import jule

__all__ = [
    "cae",
    "ccnn",
    "ccnn_alexnet",
    "ccnn_alexnet_plain",
    "ccnn_norm",
    "ccnn_resnet18",
    "dctl",
    "fcae",
    "jule",
    "pixels",
    "sae",
    "tied_sae",
]
