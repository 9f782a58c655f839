"""A window of one lane, compiled: its steps, then ``refresh``; whole or piece by piece."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxclust.engine import devices
from jaxclust.engine.lanes import Bounds, Going, Lanes, Part, Program, traced_once
from jaxclust.types import Key, Schedule


def step_infos(program: Program, lanes: Lanes, images: jax.Array) -> dict[str, jax.Array]:
    """Zeros for what each step of a window says of each lane, by name: (lanes, steps_per_window).

    Args:
      program: what runs.
      lanes: all lanes.
      images: as for ``driver.begin``.
    """
    schedule = program.schedule(images.shape[0])

    assert program.algorithm.step is not None
    step = traced_once(program.algorithm.step, program.config, program.network)

    def infos_of(lane: Lanes, images: jax.Array):
        rows = jnp.zeros(schedule.batch, jnp.int32)
        return step(lane.key, lane.state, images[rows], rows)[1]

    infos = jax.eval_shape(jax.vmap(infos_of, (0, None)), lanes, images)._asdict()
    steps = schedule.steps_per_window
    return {name: jnp.zeros((*info.shape, steps), info.dtype) for name, info in infos.items()}


def advance(
    program: Program, schedule: Schedule, going: Going, images: jax.Array, bounds: Bounds
) -> tuple[Going, dict[str, jax.Array]]:
    """The steps of a lane's window that the bounds name, and its ``refresh`` after the last.

    However a window is cut, the same compiled loop makes its steps: the numbers do not change.

    Returns:
      The lane, and the window's infos; zeros where it has not ended.
    """
    algorithm, config, network, over = program
    assert algorithm.step is not None  # An algorithm without steps has no windows.
    step = traced_once(algorithm.step, config, network)
    run, part = going
    n = images.shape[0]
    order_key, step_key, refresh_key = jax.random.split(run.key, 3)
    first = run.window * schedule.steps_per_window
    steps = first + jnp.arange(schedule.steps_per_window, dtype=jnp.int32)
    rows = _rows(schedule, jax.random.fold_in(order_key, run.window), steps, n)

    def body(carry):
        place, state, infos = carry
        key = jax.random.fold_in(step_key, steps[place])
        batch = images[rows[place]]
        if over == "data":
            batch = devices.split(batch)
        state, info = step(key, state, batch, rows[place])
        info = info._asdict()
        infos = {name: infos[name].at[place].set(info[name]) for name in infos}
        return place + 1, state, infos

    # The bounds are shared by all lanes: under vmap, too, each step runs without a selection.
    begun = (bounds.first, part.state, part.infos)
    _, state, infos = jax.lax.while_loop(lambda carry: carry[0] < bounds.last, body, begun)
    part = Part(state, infos)

    def close(run: Lanes, part: Part) -> tuple[Going, dict[str, jax.Array]]:
        state, infos = part
        whole = [jnp.isfinite(info) for info in infos.values()]
        finite_steps = functools.reduce(jnp.logical_and, whole)
        means = {name: jnp.mean(info.astype(jnp.float32)) for name, info in infos.items()}
        stop = jnp.asarray(False)
        if algorithm.refresh is not None:
            key = jax.random.fold_in(refresh_key, run.window)
            refresh = traced_once(algorithm.refresh, config, network)
            state, stop, more = refresh(key, state, images)
            means |= more._asdict()
        # What the infos do not show at a step, the state shows at the window's end.
        failed = jnp.where(
            jnp.all(finite_steps),
            jnp.where(finite((state, means)), jnp.int32(-1), steps[-1]),
            steps[jnp.argmin(finite_steps)],
        )
        whole = failed < 0
        state = jax.tree.map(lambda new, old: jnp.where(whole, new, old), state, run.state)
        run = Lanes(run.key, state, run.window + 1, stop & whole, failed)
        return Going(run, Part(state, infos)), means

    nothing = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(close, run, part)[1]
    )
    return jax.lax.cond(
        bounds.last >= schedule.steps_per_window,
        close,
        lambda run, part: (Going(run, part), nothing),
        run,
        part,
    )


def _rows(schedule: Schedule, order_key: Key, steps: jax.Array, n: int) -> jax.Array:
    """The images' places in each of a window's batches, int32 (steps, batch).

    A batch that passes the last image goes on from the first.
    """
    if schedule.order == "sequential":
        # (step * batch) mod n, in a form that does not overflow.
        return (
            (steps % n)[:, None] * schedule.batch + jnp.arange(schedule.batch, dtype=jnp.int32)
        ) % n
    places = jnp.arange(steps.size * schedule.batch, dtype=jnp.int32) % n
    permutation = jax.random.permutation(order_key, jnp.arange(n, dtype=jnp.int32))
    return permutation[places].reshape(steps.size, schedule.batch)


def finite(tree: Any) -> jax.Array:
    """Whether every float in the tree is finite; bool ()."""
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return functools.reduce(
        jnp.logical_and, [jnp.all(jnp.isfinite(leaf)) for leaf in floats], jnp.asarray(True)
    )
