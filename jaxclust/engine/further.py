"""What goes on with lanes after a run: passes over new images."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine import driver, programs
from jaxclust.engine.fit import lane_keys
from jaxclust.types import Key, Method


def pass_keys(seeds: tuple[int, ...], number: int) -> Key:
    """The keys of a further pass, typed, (lanes,): those of no other pass and of no run.

    Args:
      seeds: of the lanes.
      number: of the pass, from 0.
    """
    # A run takes the first two that its keys are split into.
    own = jax.vmap(lambda key: jax.random.split(key, 3)[2])(lane_keys(seeds)["cluster"])
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(own)


def pass_over(method: Method, states: Any, keys: Key, images: np.ndarray) -> tuple[Any, np.ndarray]:
    """One pass over new images, of a method that streams: its steps on them, and a refresh.

    It is one window of the driver, to which the new images are all images, as a block of a stream
    is. Batches of the same size share one compiled program.

    Args:
      method: one whose ``Algorithm.streams`` is true, and whose settings have ``epochs``.
      states: of the lanes, with a leading axis, as training left them.
      keys: typed, (lanes,), new for each pass.
      images: uint8 or float32 in [0, 1], (n, h, w, c), n at least 1.

    Returns:
      The states after the pass, and for each lane the step at which it met a NaN or inf, -1 for
      none; int32 (lanes,). The state of such a lane is the one before the pass.
    """
    programs.keep()
    config = dataclasses.replace(method.config, epochs=1)
    program = driver.Program(method.algorithm, config, method.build(images.shape[1:]), "map")
    count = len(keys)
    lanes = driver.Lanes(
        key=keys,
        state=states,
        window=jnp.zeros(count, jnp.int32),
        stopped=jnp.zeros(count, bool),
        failed=jnp.full(count, -1, jnp.int32),
    )
    begun = driver.Training(lanes, {}, False)
    ended = driver.train(
        program,
        begun,
        jnp.asarray(images),
        callbacks=[lambda event: True],
        windows_per_chunk=1,
    ).lanes
    return ended.state, np.asarray(ended.failed)
