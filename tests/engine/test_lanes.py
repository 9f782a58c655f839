"""How lanes fail, stop and draw their rows, with a toy algorithm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver
from jaxclust.types import Algorithm, Schedule


class ToyConfig(NamedTuple):
    """What the toy does.

    Attributes:
      order: of the images.
      bad_step: the step whose loss is NaN.
      bad_refresh: the refresh after this many steps makes the state infinite.
      stop_after: steps after which a lane stops.
      bad_seed: the seed of the only lane that fails or stops.
    """

    order: str = "sequential"
    bad_step: int = -1
    bad_refresh: int = -1
    stop_after: int = 10**6
    bad_seed: int = 0


class ToyState(NamedTuple):
    """Counts the steps and notes the rows of each of them.

    Attributes:
      steps: number of steps done.
      chosen: whether this lane is the one that fails or stops.
      seen: rows of each step.
      value: as many as the steps.
    """

    steps: jax.Array
    chosen: jax.Array
    seen: jax.Array
    value: jax.Array


class ToyInfo(NamedTuple):
    loss: jax.Array


class ToyRefresh(NamedTuple):
    steps_seen: jax.Array


def toy_init(config, network, key, variables, images):
    bad_key = jax.random.split(jax.random.key(config.bad_seed))[1]
    chosen = jnp.any(jax.random.key_data(key) == jax.random.key_data(bad_key))
    return ToyState(jnp.int32(0), chosen, jnp.full((12, 3), -1, jnp.int32), jnp.float32(0))


def toy_step(config, network, key, state, batch, rows):
    bad = state.chosen & (state.steps == config.bad_step)
    loss = jnp.where(bad, jnp.nan, jnp.mean(batch.astype(jnp.float32)))
    seen = state.seen.at[state.steps].set(rows)
    return ToyState(state.steps + 1, state.chosen, seen, state.value + 1), ToyInfo(loss)


def toy_refresh(config, network, key, state, images):
    bad = state.chosen & (state.steps == config.bad_refresh)
    stop = state.chosen & (state.steps >= config.stop_after)
    return state._replace(value=jnp.where(bad, jnp.inf, state.value)), stop, ToyRefresh(state.steps)


TOY = Algorithm(
    Config=ToyConfig,
    schedule=lambda config, n: Schedule(3, 4, 3, config.order),
    init=toy_init,
    step=toy_step,
    refresh=toy_refresh,
    embed=lambda config, network, state, images: images,
    name="toy",
)
IMAGES = jnp.arange(7, dtype=jnp.uint8).reshape(7, 1, 1, 1)


def toy(over="vmap", seeds=(0, 1, 2), options=None, **config):
    """The toy's whole training."""
    program = driver.Program(TOY, ToyConfig(**config), None, over)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    begun = driver.begin(program, keys, None, IMAGES)
    return driver.train(program, begun, IMAGES, **(options or {}))


@pytest.mark.parametrize("over", ["vmap", "map", "shard"])
def test_a_seed_that_meets_nan_stops_and_the_others_go_on(over):
    out = toy(over, bad_step=6, bad_seed=1)
    assert out.finished
    assert out.lanes.failed.tolist() == [-1, 6, -1]
    assert out.lanes.window.tolist() == [3, 2, 3]
    # The failed lane stands at its last whole window, and is finite.
    assert out.lanes.state.steps.tolist() == [12, 4, 12]
    assert np.isfinite(out.lanes.state.value).all()


def test_a_state_that_turns_infinite_between_steps_is_a_failure():
    out = toy(bad_refresh=8, bad_seed=2)
    assert out.lanes.failed.tolist() == [-1, -1, 7]
    assert out.lanes.state.value.tolist() == [12, 12, 4]


@pytest.mark.parametrize("over", ["vmap", "map", "shard"])
def test_a_seed_stops_by_its_own_rule(over):
    out = toy(over, stop_after=4, bad_seed=0)
    assert out.lanes.stopped.tolist() == [True, False, False]
    assert out.lanes.state.steps.tolist() == [4, 12, 12]
    assert np.bincount(out.history["lane"]).tolist() == [1, 3, 3]


def test_sequential_rows_run_through_the_images_and_wrap_around():
    seen = np.asarray(toy().lanes.state.seen)
    np.testing.assert_array_equal(seen[0].ravel(), np.arange(36) % 7)


def test_shuffled_rows_are_a_new_permutation_each_window():
    seen = np.asarray(toy(order="shuffled").lanes.state.seen)
    for rows in seen.reshape(3, 3, 12):  # lane, window, the rows of its 4 steps
        for window in rows:
            assert sorted(window[:7]) == list(range(7))
            np.testing.assert_array_equal(window[7:], window[:5])
        assert not np.array_equal(rows[0], rows[1])
    assert not np.array_equal(seen[0], seen[1])


def test_every_callback_is_called_and_any_can_stop():
    calls = []
    callbacks = [lambda event: calls.append("a") or True, lambda event: calls.append("b")]
    toy(seeds=(0,), options={"windows_per_chunk": 1, "callbacks": callbacks})
    assert calls == ["a", "b"]
