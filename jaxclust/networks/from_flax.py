"""The one border between flax.nnx modules and networks as pure functions."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.ops.batches import scaled
from jaxclust.types import Network, NetworkFactory, Shape, Variables


def from_flax(module: Callable[..., nnx.Module]) -> NetworkFactory:
    """A network factory from a flax.nnx module, for ``method.replace(network=...)``.

    Args:
      module: ``module(shape, embedding, rngs=nnx.Rngs)`` makes the module for images of shape
        (h, w, c) and ``embedding`` features. The module has ``encode(images) -> features`` for
        float32 images (n, h, w, c) in [0, 1] and features (n, embedding). To be pretrained it has
        ``reconstruct(images) -> (reconstruction, features)`` too, and it may have
        ``maps(images) -> {name: array}`` for pictures of its inner maps.

    Returns:
      ``factory(shape, embedding, **settings) -> Network``, cached, with the module's name.

    Raises:
      UsageError: from the factory, where the module has no ``encode``.
    """

    @lru_cache
    def factory(shape: Shape, embedding: int, **settings: Any) -> Network:
        return as_network(partial(module, shape, embedding, **settings))

    factory.__name__ = getattr(module, "__name__", type(module).__name__)
    return factory


def as_network(build: Callable[..., nnx.Module]) -> Network:
    """A module's methods as pure functions of plain dicts.

    Args:
      build: ``build(rngs=nnx.Rngs)`` makes a module with the methods that ``from_flax`` states.
    """
    model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    if not callable(getattr(model, "encode", None)):
        rule = "network: must have a method encode(images)"
        raise UsageError(f"{rule}, got {type(model).__name__} without")
    graph, _ = nnx.split(model)

    def init(key):
        params, stats = nnx.state(build(rngs=nnx.Rngs(params=key)), nnx.Param, nnx.BatchStat)
        return Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(stats))

    def merged(variables, train):
        model = nnx.merge(graph, nnx.State(variables.params), nnx.State(variables.stats))
        model.train() if train else model.eval()
        return model

    def stats_of(model):
        return nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

    def encode(variables, images, train):
        model = merged(variables, train)
        return model.encode(scaled(images)), stats_of(model)

    def reconstruct(variables, images, train):
        model = merged(variables, train)
        return *model.reconstruct(scaled(images)), stats_of(model)

    def activations(variables, images):
        return merged(variables, False).maps(scaled(images))

    return Network(
        init,
        encode,
        reconstruct if hasattr(model, "reconstruct") else None,
        activations if hasattr(model, "maps") else None,
    )
