"""Networks as pairs of pure functions; factories are cached, so equal arguments give the identical network."""

from jaxclust.networks.autoencoders import cae, pixels, sae

__all__ = ["cae", "pixels", "sae"]
