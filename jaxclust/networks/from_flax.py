"""Networks from flax.nnx modules: the one place where modules become pure functions."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.ops.batches import scaled
from jaxclust.types import Arrays, Network, NetworkFactory, Shape, Variables, network_name


@lru_cache
def from_flax(module: Callable[..., nnx.Module], embedding_layer: str = "") -> NetworkFactory:
    """A network factory from a flax.nnx module, for ``method.replace(network=...)``.

    Args:
      module: a class or a ``functools.partial`` of one. ``module(shape, embedding, rngs=nnx.Rngs)``
        makes the module for images of shape (h, w, c) and ``embedding`` features. The module has
        ``encode(images) -> features`` for float32 images (n, h, w, c) in [0, 1] and features
        (n, embedding). A module that is to be pretrained also has
        ``reconstruct(images) -> (reconstruction, features)``. It may have
        ``maps(images) -> {name: array}``, which gives its inner maps for figures.
      embedding_layer: the module's attribute that gives the features. Only resets of the weights
        (``reset_epochs``) ask for it, since they leave this layer as it is.

    Returns:
      ``factory(shape, embedding, **settings) -> Network``, cached, with the module's name; the
      settings must be hashable and go to the module.

    Raises:
      UsageError: the factory raises it where the module has no ``encode``.
    """

    def factory(shape: Shape, embedding: int, **settings: Any) -> Network:
        return as_network(partial(module, shape, embedding, **settings), embedding_layer)

    factory.__name__ = network_name(module)
    return lru_cache(factory)


def as_network(build: Callable[..., nnx.Module], embedding_layer: str = "") -> Network:
    """A module's methods as pure functions of plain dicts.

    Args:
      build: ``build(rngs=nnx.Rngs)`` makes a module with the methods that ``from_flax`` names.
      embedding_layer: the module's attribute that gives the features, as in ``Network``.

    Returns:
      The network; ``reconstruct`` and ``activations`` are None where the module lacks the methods
      ``reconstruct`` and ``maps``.

    Raises:
      UsageError: the module has no method ``encode``.
    """
    abstract: Any = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    if not hasattr(abstract, "encode"):
        rule = "network: must have a method encode(images)"
        raise UsageError(f"{rule}, got {type(abstract).__name__} without it")
    graph, _ = nnx.split(abstract)

    def init(key: jax.Array) -> Variables:
        params, stats = nnx.state(build(rngs=nnx.Rngs(params=key)), nnx.Param, nnx.BatchStat)
        return Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(stats))

    def merged(variables: Variables, train: bool) -> Any:
        model = nnx.merge(graph, nnx.State(variables.params), nnx.State(variables.stats))
        model.train() if train else model.eval()
        return model

    def stats_of(model: nnx.Module) -> Arrays:
        return nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

    def encode(variables: Variables, images: jax.Array, train: bool) -> tuple[jax.Array, Arrays]:
        model = merged(variables, train)
        return model.encode(scaled(images)), stats_of(model)

    def reconstruct(
        variables: Variables, images: jax.Array, train: bool
    ) -> tuple[jax.Array, jax.Array, Arrays]:
        model = merged(variables, train)
        reconstruction, features = model.reconstruct(scaled(images))
        return reconstruction, features, stats_of(model)

    def activations(variables: Variables, images: jax.Array) -> dict[str, jax.Array]:
        return merged(variables, False).maps(scaled(images))

    return Network(
        init,
        encode,
        reconstruct if hasattr(abstract, "reconstruct") else None,
        activations if hasattr(abstract, "maps") else None,
        embedding_layer,
    )
