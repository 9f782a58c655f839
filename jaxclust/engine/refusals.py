"""What a method refuses, found before a run has a folder."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data.sources import Source
from jaxclust.engine.devices import Over, check_over
from jaxclust.engine.lanes import traced_once
from jaxclust.types import Algorithm, Method, Network


def check(method: Method, images: jax.ShapeDtypeStruct, over: Over) -> None:
    """Traces the first step of each phase without running it.

    What the step refuses is refused before a run has a folder.

    Args:
      method: what clusters.
      images: their shape (n, h, w, c) and dtype.
      over: how lanes run.

    Raises:
      UsageError: an argument breaks its rule.
    """
    phases = tuple(method.phases())
    for _, algorithm, config in phases:
        check_over(over, algorithm.schedule(config, images.shape[0]))
    _trace(phases, method.build(images.shape[1:]), images)


def check_values(method: Method, images: np.ndarray | Source) -> None:
    """Refuses images whose values the method cannot take; a stream has bytes, which all can.

    Raises:
      UsageError: an image breaks a rule of the method.
    """
    if method.algorithm.check_values is not None and not isinstance(images, Source):
        method.algorithm.check_values(method.config, np.asarray(images))


@functools.lru_cache(maxsize=64)
def _trace(
    phases: tuple[tuple[str, Algorithm, Any], ...],
    network: Network,
    images: jax.ShapeDtypeStruct,
) -> None:
    """Traces the first step of each phase, once in a process: a trace takes up to seconds."""
    variables = None
    for _, algorithm, config in phases:
        schedule = algorithm.schedule(config, images.shape[0])
        key = jax.eval_shape(lambda: jax.random.key(0))
        init = traced_once(algorithm.init, config, network)
        state = jax.eval_shape(init, key, variables, images)
        if algorithm.step is not None and schedule.max_windows > 0:
            batch = jax.ShapeDtypeStruct((schedule.batch, *images.shape[1:]), images.dtype)
            rows = jax.ShapeDtypeStruct((schedule.batch,), jnp.int32)
            step = traced_once(algorithm.step, config, network)
            jax.eval_shape(step, key, state, batch, rows)
        variables = state.variables
