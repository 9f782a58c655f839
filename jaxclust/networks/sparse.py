"""A network that is a few steps of sparse coding, unrolled: LISTA, Gregor and LeCun 2010."""

from functools import lru_cache

import jax
import jax.numpy as jnp

from jaxclust.networks.shapes import check_sizes
from jaxclust.ops.batches import scaled
from jaxclust.ops.neighbor_graph import unit
from jaxclust.ops.products import dot
from jaxclust.ops.sparse_coding import shrunk, step_constant
from jaxclust.types import Network, Params, Shape, Variables


@lru_cache
def unrolled(shape: Shape, embedding: int, atoms: int = 128, stages: int = 2) -> Network:
    """Codes ``a_0 = h(x W)``, ``a_i = h(x W + a_(i-1) S)``, with pixels x of unit length.

    h moves values towards 0 by the thresholds of its stage. ``of_dictionary`` gives the weights
    with which the stages are the first steps of ``ops.sparse_coding.ista``. The network has no
    decoder.

    Args:
      shape: (h, w, c) of the images.
      embedding: ignored; every factory is called with it.
      atoms: number of codes, which is that of the features.
      stages: number of steps after the first.

    Raises:
      UsageError: a size, ``atoms`` or ``stages`` is below 1.
    """
    del embedding
    check_sizes(shape, atoms, (stages,))
    width = shape[0] * shape[1] * shape[2]

    def init(key: jax.Array) -> Variables:
        random = jax.random.normal(key, (atoms, width), jnp.float32)
        return Variables(of_dictionary(unit(random), 0.1, stages), {})

    def encode(variables: Variables, images: jax.Array, train: bool) -> tuple[jax.Array, dict]:
        del train
        params = variables.params
        x = unit(scaled(images).reshape(images.shape[0], -1))
        drive = dot(x, params["encoder"]["kernel"])
        codes = shrunk(drive, params["stage0"]["threshold"])
        for i in range(1, stages + 1):
            inputs = drive + dot(codes, params["mutual"]["kernel"])
            codes = shrunk(inputs, params[f"stage{i}"]["threshold"])
        return codes, variables.stats

    return Network(init, encode)


def of_dictionary(atoms: jax.Array, penalty: float, stages: int) -> Params:
    """The params with which the network makes the first steps of ``ista``.

    Args:
      atoms: of unit length, float32, (p, d).
      penalty: lambda of the sparse coding.
      stages: as of the network.
    """
    constant = step_constant(atoms)
    count = atoms.shape[0]
    mutual = jnp.eye(count, dtype=jnp.float32) - dot(atoms, atoms.T) / constant
    thresholds = jnp.full((count,), penalty, jnp.float32) / constant
    params: Params = {"encoder": {"kernel": atoms.T / constant}, "mutual": {"kernel": mutual}}
    return params | {f"stage{i}": {"threshold": thresholds} for i in range(stages + 1)}


def is_unrolled(params: Params, stages: int) -> bool:
    """Whether params are those of ``unrolled`` with a number of stages."""
    names = {"encoder", "mutual"} | {f"stage{i}" for i in range(stages + 1)}
    return params.keys() == names
