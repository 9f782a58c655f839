"""TODO"""

from flax import nnx

from jaxclust.ops.batches import scaled
from jaxclust.types import Network, Variables


def as_network(build) -> Network:
    """A module with ``encode``, ``reconstruct`` and ``maps``, each of scaled images, as pure functions of plain dicts.

    Args:
      build: ``build(rngs=nnx.Rngs)`` makes the module.
    """
    graph, _ = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))

    def init(key):
        params, stats = nnx.state(build(rngs=nnx.Rngs(params=key)), nnx.Param, nnx.BatchStat)
        return Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(stats))

    def module(variables, train):
        model = nnx.merge(graph, nnx.State(variables.params), nnx.State(variables.stats))
        model.train() if train else model.eval()
        return model

    def stats_of(model):
        return nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

    def encode(variables, images, train):
        model = module(variables, train)
        return model.encode(scaled(images)), stats_of(model)

    def reconstruct(variables, images, train):
        model = module(variables, train)
        return *model.reconstruct(scaled(images)), stats_of(model)

    def activations(variables, images):
        return module(variables, False).maps(scaled(images))

    return Network(init, encode, reconstruct, activations)
