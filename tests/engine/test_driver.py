"""The driver: chunks, seeds, devices, failure; with DCEC on a small network, and a toy algorithm that can fail."""

import types
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import devices, driver
from jaxclust.methods import dcec
from jaxclust.networks import cae, sae
from jaxclust.types import Schedule

pytestmark = pytest.mark.optimized

CONFIG = dcec.Config(
    clusters=10, batch=64, update_interval=7, max_steps=28, tolerance=0.0, restarts=2
)
NETWORK = sae((8, 8, 1), 6, (24,))


def keys(*seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def run(images, seeds=(0, 1), **options):
    return driver.train(dcec, CONFIG, NETWORK, keys(*seeds), jnp.asarray(images), **options)


def lane(tree, place):
    return jax.tree.map(lambda leaf: leaf[place], tree)


def plain(runs):
    return jax.tree.map(np.asarray, runs._replace(key=jax.random.key_data(runs.key)))


@pytest.fixture(scope="module")
def whole(few_digits):
    """Uninterrupted runs of two seeds."""
    return {
        over: run(few_digits[0], over=over, windows_per_chunk=4)
        for over in ("vmap", "map", "shard")
    }


@pytest.mark.parametrize("over", ["vmap", "map", "shard"])
@pytest.mark.parametrize("lengths", [(1, 1, 1, 1), (3, 1)])
def test_chunking_changes_nothing(whole, few_digits, over, lengths):
    runs, history = None, None
    for length in lengths:
        part = run(
            few_digits[0],
            over=over,
            windows_per_chunk=length,
            runs=runs,
            history=history,
            callbacks=[lambda event: True],
        )
        runs, history = part.runs, part.history
    assert part.finished
    chex.assert_trees_all_equal(plain(part.runs), plain(whole[over].runs))
    order = [np.lexsort((h["window"], h["lane"])) for h in (history, whole[over].history)]
    for name in history:
        np.testing.assert_array_equal(history[name][order[0]], whole[over].history[name][order[1]])


def test_a_history_of_other_columns_is_refused(few_digits):
    part = run(few_digits[0], over="map", windows_per_chunk=1, callbacks=[lambda event: True])
    older = {name: column for name, column in part.history.items() if name != "changed"}
    with pytest.raises(
        ValueError, match="history: must have this version's columns to go on, differs in changed"
    ):
        run(few_digits[0], over="map", windows_per_chunk=1, runs=part.runs, history=older)


def test_adaptive_chunks_change_nothing(whole, few_digits):
    adaptive = run(few_digits[0], over="vmap")
    chex.assert_trees_all_equal(plain(adaptive.runs), plain(whole["vmap"].runs))


@pytest.mark.parametrize("over", ["map", "shard"])
def test_a_lane_is_its_solo_run(whole, few_digits, over):
    for place, seed in enumerate((0, 1)):
        solo = run(few_digits[0], seeds=(seed,), over="map")
        chex.assert_trees_all_equal(plain(lane(whole[over].runs, place)), plain(lane(solo.runs, 0)))


def test_two_devices_agree_with_one(whole):
    assert jax.device_count() == 2
    chex.assert_trees_all_equal(plain(whole["shard"].runs), plain(whole["map"].runs))


@pytest.mark.parametrize("windows", [4, 3, None])
def test_lanes_that_two_devices_share_are_as_exact(whole, few_digits, windows):
    """Three lanes on two devices: one is cut, and begins on the later device."""
    out = run(few_digits[0], seeds=(7, 1, 8), over="shard", windows_per_chunk=windows)
    alone = run(few_digits[0], seeds=(7, 1, 8), over="map", windows_per_chunk=4)
    chex.assert_trees_all_equal(plain(out.runs), plain(alone.runs))
    chex.assert_trees_all_equal(plain(lane(out.runs, 1)), plain(lane(whole["map"].runs, 1)))
    for h in (out.history, alone.history):
        assert sorted(zip(h["lane"].tolist(), h["window"].tolist(), strict=True)) == [
            (lane, window) for lane in range(3) for window in range(4)
        ]
    order = [np.lexsort((h["window"], h["lane"])) for h in (out.history, alone.history)]
    for name in alone.history:
        np.testing.assert_array_equal(out.history[name][order[0]], alone.history[name][order[1]])


@pytest.mark.parametrize("windows", [1, 2, 3, 64])
@pytest.mark.parametrize(
    ("lanes", "among"), [(1, 1), (2, 2), (3, 2), (5, 2), (4, 3), (7, 4), (20, 16)]
)
def test_turns_share_windows_evenly_and_a_lane_is_in_one_place_at_a_time(lanes, among, windows):
    shares = devices.turns(lanes, windows, among)
    lengths = [sum(count for _, count in share) for share in shares]
    assert sum(lengths) == lanes * windows
    assert max(lengths) - min(lengths) <= 1
    # Where each window of a lane runs, and when: a cut lane begins on the later device.
    times = {lane: [] for lane in range(lanes)}
    for share in reversed(shares):
        now = 0
        for lane, count in share:
            assert count > 0
            times[lane] += range(now, now + count)
            now += count
    for lane, when in times.items():
        assert len(when) == windows
        assert when == sorted(set(when)), lane


def test_windows_that_lanes_share_evenly():
    assert [devices.evenly(lanes) for lanes in range(6)] == [1, 1, 1, 2, 1, 2]


def test_convolutions_are_as_exact(few_digits):
    network = cae((8, 8, 1), 6, (2, 3, 4))

    def run(seeds, over, **options):
        images = jnp.asarray(few_digits[0][:130])
        return driver.train(dcec, CONFIG, network, keys(*seeds), images, over=over, **options)

    whole = run((0, 1), "shard", windows_per_chunk=4)
    half = run((0, 1), "shard", windows_per_chunk=2, callbacks=[lambda event: True])
    rest = run((0, 1), "shard", windows_per_chunk=1, runs=half.runs)
    solo = run((1,), "map")
    chex.assert_trees_all_equal(plain(rest.runs), plain(whole.runs))
    chex.assert_trees_all_equal(plain(lane(whole.runs, 1)), plain(lane(solo.runs, 0)))


def test_a_vmapped_lane_is_its_solo_run_to_rounding(few_digits):
    together = run(few_digits[0], over="vmap", windows_per_chunk=1, callbacks=[lambda event: True])
    for place, seed in enumerate((0, 1)):
        solo = run(
            few_digits[0],
            seeds=(seed,),
            over="map",
            windows_per_chunk=1,
            callbacks=[lambda event: True],
        )
        ours, theirs = plain(lane(together.runs, place)), plain(lane(solo.runs, 0))
        chex.assert_trees_all_close(ours.state.variables, theirs.state.variables, atol=2e-5)
        chex.assert_trees_all_close(ours.state.centroids, theirs.state.centroids, atol=2e-4)


def test_chunk_compiles_once(few_digits):
    chunk = driver.chunk.__wrapped__
    chunk.clear_cache()
    for seeds in ((0, 1), (5, 6)):
        run(few_digits[0], seeds=seeds, over="vmap", windows_per_chunk=3)
    run(few_digits[0], seeds=(0, 1), over="vmap")
    assert chunk._cache_size() == 1


def test_seeds_differ(whole):
    centroids = np.asarray(whole["vmap"].runs.state.centroids)
    assert not np.allclose(centroids[0], centroids[1])


def test_history_has_a_row_for_each_window(whole):
    history = whole["vmap"].history
    assert sorted(zip(history["lane"].tolist(), history["window"].tolist(), strict=True)) == [
        (lane, window) for lane in range(2) for window in range(4)
    ]
    assert np.isfinite(history["loss"]).all()


def test_bad_arguments(few_digits):
    with pytest.raises(ValueError, match="over: must be vmap, map, shard or data, got 'pmap'"):
        run(few_digits[0], over="pmap")
    with pytest.raises(ValueError, match="windows_per_chunk: must be from 1 to 64, got 0"):
        run(few_digits[0], windows_per_chunk=0)


# A toy algorithm: counts its steps, notes its rows, and fails or stops where its config says.


class ToyConfig(NamedTuple):
    order: str = "sequential"
    bad_step: int = -1  # this step's loss is NaN
    bad_refresh: int = -1  # the refresh after this many steps makes the state inf
    stop_after: int = 10**6  # steps
    bad_seed: int = 0  # only lanes whose key is this seed's


class ToyState(NamedTuple):
    steps: jax.Array
    mine: jax.Array  # whether this lane is the one that fails or stops
    seen: jax.Array  # rows of each step
    value: jax.Array


class ToyInfo(NamedTuple):
    loss: jax.Array


class ToyRefresh(NamedTuple):
    steps_seen: jax.Array


def _toy_init(config, network, key, variables, images):
    mine = jnp.any(jax.random.key_data(key) == jax.random.key_data(_init_key(config.bad_seed)))
    return ToyState(jnp.int32(0), mine, jnp.full((12, 3), -1, jnp.int32), jnp.float32(0))


def _init_key(seed):
    return jax.random.split(jax.random.key(seed))[1]


def _toy_step(config, network, key, state, batch, rows):
    bad = state.mine & (state.steps == config.bad_step)
    loss = jnp.where(bad, jnp.nan, jnp.mean(batch.astype(jnp.float32)))
    seen = state.seen.at[state.steps].set(rows)
    return ToyState(state.steps + 1, state.mine, seen, state.value + 1), ToyInfo(loss)


def _toy_refresh(config, network, key, state, images):
    bad = state.mine & (state.steps == config.bad_refresh)
    stop = state.mine & (state.steps >= config.stop_after)
    return state._replace(value=jnp.where(bad, jnp.inf, state.value)), stop, ToyRefresh(state.steps)


TOY = types.ModuleType("toy")
TOY.schedule = lambda config, n: Schedule(3, 4, 3, config.order)
TOY.init, TOY.step, TOY.refresh = _toy_init, _toy_step, _toy_refresh
IMAGES = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1)


def toy(over="vmap", **config):
    return driver.train(
        TOY, ToyConfig(**config), None, keys(0, 1, 2), jnp.asarray(IMAGES), over=over
    )


@pytest.mark.parametrize("over", ["vmap", "map", "shard"])
def test_a_seed_that_meets_nan_stops_and_the_others_go_on(over):
    out = toy(over, bad_step=6, bad_seed=1)
    assert out.finished
    assert out.runs.failed.tolist() == [-1, 6, -1]
    assert out.runs.window.tolist() == [3, 2, 3]
    # The failed lane stands at its last whole window, and is finite.
    assert out.runs.state.steps.tolist() == [12, 4, 12]
    assert np.isfinite(out.runs.state.value).all()


def test_a_state_that_turns_infinite_between_steps_is_a_failure():
    out = toy(bad_refresh=8, bad_seed=2)
    assert out.runs.failed.tolist() == [-1, -1, 7]
    assert out.runs.state.value.tolist() == [12, 12, 4]


@pytest.mark.parametrize("over", ["vmap", "map", "shard"])
def test_a_seed_stops_by_its_own_rule(over):
    out = toy(over, stop_after=4, bad_seed=0)
    assert out.runs.stopped.tolist() == [True, False, False]
    assert out.runs.state.steps.tolist() == [4, 12, 12]
    assert np.bincount(out.history["lane"]).tolist() == [1, 3, 3]


def test_sequential_rows_run_through_the_images_and_wrap_around():
    seen = np.asarray(toy().runs.state.seen)
    np.testing.assert_array_equal(seen[0].ravel(), np.arange(36) % 7)


def test_shuffled_rows_are_a_new_permutation_each_window():
    seen = np.asarray(toy(order="shuffled").runs.state.seen)
    for rows in seen.reshape(3, 3, 12):  # lane, window, the rows of its 4 steps
        for window in rows:
            assert sorted(window[:7]) == list(range(7))
            np.testing.assert_array_equal(window[7:], window[:5])
        assert not np.array_equal(rows[0], rows[1])
    assert not np.array_equal(seen[0], seen[1])


def test_every_callback_is_called_and_any_can_stop():
    calls = []
    driver.train(
        TOY,
        ToyConfig(),
        None,
        keys(0),
        jnp.asarray(IMAGES),
        windows_per_chunk=1,
        callbacks=[lambda event: calls.append("a") or True, lambda event: calls.append("b")],
    )
    assert calls == ["a", "b"]
