"""Weights from a file: when they are refused, and how a network begins with them."""

import hashlib

import jax
import numpy as np

from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.networks.torch_weights import Weights, placed
from jaxclust.types import Key, Network, Variables


def check_weights(weights: Weights, *digests: str | None, data: str = "") -> None:
    """Refuses weights that the labels of the images to cluster have trained.

    These cases are caught: the same pixels in the same order, and the same folder, however it is
    read and scaled. So are named sets of which one is a part or another version of the other (mnist
    and mnist-test). Another set's part, order, scale or storage is not recognized.

    Args:
      weights: as read.
      *digests: ``pixels_digest`` of the images, ``picture_sets.listing_digest`` of their folder;
        None where it is not known.
      data: what the user called the images; it may be a named set, also of tensorflow-datasets.

    Raises:
      UsageError: one of them is of what trained the weights.
    """
    trained_on = (weights.trained_on.images, weights.trained_on.folder)
    same = any(digest is not None and digest in trained_on for digest in digests)
    family = datasets.family(weights.trained_on.named_set or "")
    if same or (family is not None and family == datasets.family(data)):
        raise UsageError(
            "weights: must not have been trained on the labels of the images to cluster"
        )


def pixels_digest(images: np.ndarray) -> str:
    """SHA-256 of the images' pixels in their order."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def with_weights(network: Network, keys: Key, weights: Weights) -> Variables:
    """A network's arrays with the first layers from a file.

    Args:
      network: the network.
      keys: typed keys of the pretraining, (lanes,). The layers that the file does not have are
        those that the pretraining would draw from them.
      weights: the first layers, the same in all lanes.

    Returns:
      The arrays with a leading axis of lanes.
    """
    draw = jax.jit(jax.vmap(lambda key: network.init(jax.random.split(key)[1])))
    return placed(draw(keys), weights)
