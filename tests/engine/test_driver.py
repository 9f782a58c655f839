"""The driver's chunks, seeds and devices, with DCEC on small networks."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dcec
from jaxclust.networks import cae, sae

pytestmark = pytest.mark.optimized

CONFIG = dcec.Config(
    clusters=10, batch=64, update_interval=7, max_steps=28, tolerance=0.0, restarts=2
)
NETWORK = sae((8, 8, 1), 6, (24,))


def program(over, network=NETWORK):
    return driver.Program(dcec.ALGORITHM, CONFIG, network, over)


def keys(*seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


@functools.cache
def pretrained(network):
    """Arrays for ten seeds, drawn by one program: what draws them takes long to compile."""
    return jax.jit(jax.vmap(network.init))(keys(*range(10)))


def run(images, over, seeds=(0, 1), begun=None, network=NETWORK, **options):
    """Runs seeds from their start, or goes on with a training that has begun."""
    images = jnp.asarray(images)
    if begun is None:
        # The small network is drawn in the program, as it was when lanes were first held to their
        # solo runs: XLA compiles a single lane with given arrays in another way, to rounding.
        variables = None if network is NETWORK else lane(pretrained(network), np.array(seeds))
        begun = driver.begin(program(over, network), keys(*seeds), variables, images)
    return driver.train(program(over, network), begun, images, **options)


def stop(event):
    """A callback that ends a training after its first chunk."""
    return True


def lane(tree, place):
    return jax.tree.map(lambda leaf: leaf[place], tree)


def plain(lanes):
    """Lanes as NumPy arrays, with their keys' data."""
    return jax.tree.map(np.asarray, lanes._replace(key=jax.random.key_data(lanes.key)))


def assert_same_history(history, expected):
    assert history.keys() == expected.keys()
    orders = [np.lexsort((columns["window"], columns["lane"])) for columns in (history, expected)]
    for name in expected:
        np.testing.assert_array_equal(history[name][orders[0]], expected[name][orders[1]])


@pytest.fixture(scope="module")
def whole(few_digits):
    """Uninterrupted trainings of two seeds."""
    return {
        over: run(few_digits[0], over, windows_per_chunk=4) for over in ("vmap", "map", "shard")
    }


@pytest.mark.parametrize("over", ["vmap", "map", "shard"])
@pytest.mark.parametrize("lengths", [(1, 1, 1, 1), (3, 1)])
def test_chunking_changes_nothing(whole, few_digits, over, lengths):
    part = None
    for length in lengths:
        part = run(few_digits[0], over, begun=part, windows_per_chunk=length, callbacks=[stop])
    assert part.finished
    chex.assert_trees_all_equal(plain(part.lanes), plain(whole[over].lanes))
    assert_same_history(part.history, whole[over].history)


def test_a_history_of_other_columns_is_refused(few_digits):
    part = run(few_digits[0], "map", windows_per_chunk=1, callbacks=[stop])
    older = {name: column for name, column in part.history.items() if name != "changed"}
    with pytest.raises(
        ValueError, match="history: must have this version's columns to go on, differs in changed"
    ):
        run(few_digits[0], "map", begun=part._replace(history=older), windows_per_chunk=1)


def test_adaptive_chunks_change_nothing(whole, few_digits):
    adaptive = run(few_digits[0], "vmap")
    chex.assert_trees_all_equal(plain(adaptive.lanes), plain(whole["vmap"].lanes))


@pytest.fixture(scope="module")
def solo(few_digits):
    """Each of the two seeds alone."""
    return [run(few_digits[0], "map", seeds=(seed,)) for seed in (0, 1)]


@pytest.mark.parametrize("over", ["map", "shard"])
def test_a_lane_is_its_solo_run(whole, solo, over):
    for place in (0, 1):
        together = plain(lane(whole[over].lanes, place))
        chex.assert_trees_all_equal(together, plain(lane(solo[place].lanes, 0)))


def test_two_devices_agree_with_one(whole):
    assert jax.device_count() == 2
    chex.assert_trees_all_equal(plain(whole["shard"].lanes), plain(whole["map"].lanes))


@pytest.fixture(scope="module")
def three(few_digits):
    """Three seeds on one device."""
    return run(few_digits[0], "map", seeds=(7, 1, 8), windows_per_chunk=4)


@pytest.mark.parametrize("windows", [4, 3, None])
def test_lanes_that_two_devices_share_are_as_exact(whole, three, few_digits, windows):
    """One of three lanes on two devices is cut, and begins on the later device."""
    shared = run(few_digits[0], "shard", seeds=(7, 1, 8), windows_per_chunk=windows)
    chex.assert_trees_all_equal(plain(shared.lanes), plain(three.lanes))
    chex.assert_trees_all_equal(plain(lane(shared.lanes, 1)), plain(lane(whole["map"].lanes, 1)))
    for history in (shared.history, three.history):
        assert sorted(zip(history["lane"].tolist(), history["window"].tolist(), strict=True)) == [
            (lane, window) for lane in range(3) for window in range(4)
        ]
    assert_same_history(shared.history, three.history)


@pytest.mark.slow
def test_convolutions_are_as_exact(few_digits):
    images = jnp.asarray(few_digits[0][:130])
    network = cae((8, 8, 1), 6, (2, 3))
    begun = driver.begin(program("map", network), keys(0, 1), None, images)
    second = begun._replace(lanes=lane(begun.lanes, np.array([1])))
    whole = run(images, "shard", begun=begun, network=network, windows_per_chunk=4)
    half = run(images, "shard", begun=begun, network=network, windows_per_chunk=2, callbacks=[stop])
    rest = run(images, "shard", begun=half, network=network, windows_per_chunk=1)
    solo = run(images, "map", begun=second, network=network)
    chex.assert_trees_all_equal(plain(rest.lanes), plain(whole.lanes))
    chex.assert_trees_all_equal(plain(lane(whole.lanes, 1)), plain(lane(solo.lanes, 0)))


def test_a_vmapped_lane_is_its_solo_run_to_rounding(few_digits):
    options = {"windows_per_chunk": 1, "callbacks": [stop]}
    vmapped = run(few_digits[0], "vmap", **options)
    for place, seed in enumerate((0, 1)):
        solo = run(few_digits[0], "map", seeds=(seed,), **options)
        state = plain(lane(vmapped.lanes, place)).state
        expected = plain(lane(solo.lanes, 0)).state
        chex.assert_trees_all_close(state.variables, expected.variables, atol=2e-5)
        chex.assert_trees_all_close(state.centroids, expected.centroids, atol=2e-4)


def test_chunk_compiles_once(few_digits):
    chunk = driver.chunk.__wrapped__
    chunk.clear_cache()
    for seeds in ((0, 1), (5, 6)):
        run(few_digits[0], "vmap", seeds=seeds, windows_per_chunk=3)
    run(few_digits[0], "vmap", seeds=(0, 1))
    assert chunk._cache_size() == 1


def test_seeds_differ(whole):
    centroids = np.asarray(whole["vmap"].lanes.state.centroids)
    assert not np.allclose(centroids[0], centroids[1])


def test_history_has_a_row_for_each_window(whole):
    history = whole["vmap"].history
    assert sorted(zip(history["lane"].tolist(), history["window"].tolist(), strict=True)) == [
        (lane, window) for lane in range(2) for window in range(4)
    ]
    assert np.isfinite(history["loss"]).all()


def test_bad_arguments(few_digits, whole):
    begun = whole["map"]
    images = jnp.asarray(few_digits[0])
    with pytest.raises(ValueError, match="over: must be vmap, map, shard or data, got 'pmap'"):
        driver.train(program("pmap"), begun, images)
    with pytest.raises(ValueError, match="windows_per_chunk: must be from 1 to 64, got 0"):
        driver.train(program("map"), begun, images, windows_per_chunk=0)
