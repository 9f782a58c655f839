"""Networks as pairs of pure functions; factories are cached, so equal arguments give the identical network."""

from jaxclust.networks.autoencoders import cae, pixels, sae
from jaxclust.networks.dctl import dctl
from jaxclust.networks.fcae import fcae
from jaxclust.networks.jule import jule

__all__ = ["cae", "dctl", "fcae", "jule", "pixels", "sae"]
