"""Networks that give features of pictures, by the name that --features takes."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxclust.data.features import NETWORKS, cache_folder
from jaxclust.errors import UsageError, did_you_mean

ONNX = "onnx:"
VERSION = "1"
"""The version of the code that computes features; another one leaves the cache unused."""


class Embedder(NamedTuple):
    """A network that is ready to give features.

    Attributes:
      name: as --features takes it.
      shape: (h, w, 3) of the pictures that it takes.
      dimension: number of features.
      batch: pictures at a time.
      identity: a digest of all that decides the features of a picture of this shape.
      embed: features, float32 (n, dimension), of pictures, uint8 (n, h, w, 3).
    """

    name: str
    shape: tuple[int, int, int]
    dimension: int
    batch: int
    identity: str
    embed: Callable[[np.ndarray], np.ndarray]


def is_embedder(name: str) -> bool:
    """Whether a value of --features names a network that takes any picture."""
    return name in NETWORKS or name.startswith(ONNX)


def open_embedder(name: str) -> Embedder:
    """A network by its name.

    Args:
      name: one of ``data.features.NETWORKS``, or onnx:FILE as ``onnx_features`` states.

    Raises:
      UsageError: there is no such network, or its weights are not installed.
    """
    if name in NETWORKS:
        return _pretrained(name)
    if name.startswith(ONNX):
        return _onnx(name)
    rule = f"features: must be one of {', '.join(NETWORKS)}, or {ONNX}FILE"
    raise UsageError(f"{rule}, got {name!r}{did_you_mean(name, NETWORKS)}")


def _pretrained(name: str) -> Embedder:
    import jax

    from jaxclust.networks import pretrained_weights
    from jaxclust.networks.pretrained import FEATURES

    network = FEATURES[name]
    variables = jax.device_put(pretrained_weights.load(name, cache_folder() / "weights"))
    weights = pretrained_weights.PACKAGES[name].arrays_digest
    identity = identity_of(VERSION, name, network.side, weights)
    shape = (network.side, network.side, 3)
    return Embedder(
        name,
        shape,
        network.dimension,
        network.batch,
        identity,
        lambda images: network.embed(variables, images),
    )


def _onnx(name: str) -> Embedder:
    from jaxclust.runs import onnx_features

    address = name.removeprefix(ONNX)
    network = onnx_features.open_network(address)
    _, settings = onnx_features.parse(address)
    identity = identity_of(VERSION, ONNX, network.digest, sorted(settings.items()))
    batch = onnx_features.BATCH
    return Embedder(name, network.shape, network.dimension, batch, identity, network.embed)


def identity_of(*parts: object) -> str:
    """A digest of what decides features."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
