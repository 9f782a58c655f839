"""A window that is cut into calls ends with the numbers of one that is not, and can be stopped."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver, pieces, stopping, unfinished
from jaxclust.engine.clocks import Times
from jaxclust.engine.lanes import Part
from jaxclust.engine.pieces import Pace
from jaxclust.methods import dcec
from jaxclust.networks import sae
from jaxclust.types import Schedule

pytestmark = pytest.mark.optimized

CONFIG = dcec.Config(
    clusters=10, batch=64, update_interval=5, max_steps=10, tolerance=0.0, restarts=1
)
PROGRAM = driver.Program(dcec.ALGORITHM, CONFIG, sae((8, 8, 1), 4, (12,)), "shard")
SCHEDULE = Schedule(64, 100, 9, "shuffled")


def test_the_first_call_is_a_step_and_later_ones_aim_at_the_time_of_a_call():
    first = pieces.following(Pace(), 0, 4, SCHEDULE)
    assert (first.steps, first.windows, first.next_step) == (1, 0, 1)
    # Steps of a second: as many as CALL_SECONDS hold, though not many times more than before.
    slow = pieces.following(Pace(5, 3, 1.0), 1, 4, SCHEDULE)
    assert slow.steps == int(pieces.CALL_SECONDS)
    assert pieces.following(Pace(1, 1, 0.05), 1, 4, SCHEDULE).steps == pieces.GROWTH
    # Steps of ten minutes: one at a time.
    assert pieces.following(Pace(5, 1, 600.0), 7, 4, SCHEDULE).steps == 1


def test_a_call_ends_a_window_where_it_can_and_short_windows_run_together():
    rest = pieces.following(Pace(1, 1, 0.001), 1, 4, SCHEDULE)
    assert (rest.steps, rest.windows, rest.next_step) == (99, 1, 0)
    assert pieces.following(Pace(2, 99, 0.001), 0, 4, SCHEDULE) == pieces.whole(4, SCHEDULE)


def begun(images):
    keys = jnp.stack([jax.random.key(seed) for seed in (7, 1, 8)])
    return driver.begin(PROGRAM, keys, None, images)


def plain(lanes):
    return jax.tree.map(np.asarray, lanes._replace(key=jax.random.key_data(lanes.key)))


def in_order(history):
    order = np.lexsort((history["window"], history["lane"]))
    return {name: column[order] for name, column in history.items()}


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0])


@pytest.fixture(scope="module")
def whole(images):
    """Three seeds on two devices, in whole windows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "following", lambda pace, first, n, plan: pieces.whole(n, plan))
        return driver.train(PROGRAM, begun(images), images, windows_per_chunk=2)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_pieces_change_no_bit(images, whole, monkeypatch, seconds):
    monkeypatch.setattr(pieces, "CALL_SECONDS", seconds)
    cut = driver.train(PROGRAM, begun(images), images)
    assert cut.finished
    chex.assert_trees_all_equal(plain(cut.lanes), plain(whole.lanes))
    chex.assert_trees_all_equal(in_order(cut.history), in_order(whole.history))


def test_a_training_stops_within_a_window_and_goes_on_from_there(
    images, whole, monkeypatch, tmp_path
):
    monkeypatch.setattr(pieces, "CALL_SECONDS", 0.0)
    about = {"seeds": [7, 1, 8]}
    place = tmp_path / "cluster"
    training = begun(images)
    stops = 0
    while not training.finished:
        with stopping.within(0.0):  # Long ago: each start makes two calls.
            training = driver.train(PROGRAM, training, images)
        if not stops:
            assert training.pending is not None
            assert training.pending.steps == 2
            assert not training.history
        unfinished.save(place, about, training, Times(1.5, 0.5))
        assert unfinished.path_beside(place).exists() == (training.pending is not None)
        if training.pending is not None:
            template = Part(training.lanes.state, training.pending.part.infos)
            restored = unfinished.restore(place, about, training.lanes, template)
            assert restored is not None
            pending, times = restored
            assert times == Times(1.5, 0.5)
            chex.assert_trees_all_equal(pending.part, training.pending.part)
            training = training._replace(pending=pending)
        stops += 1
        assert stops < 9
    chex.assert_trees_all_equal(plain(training.lanes), plain(whole.lanes))
    chex.assert_trees_all_equal(in_order(training.history), in_order(whole.history))


def test_a_part_of_another_window_or_a_damaged_one_is_left_aside(images, monkeypatch, tmp_path):
    monkeypatch.setattr(pieces, "CALL_SECONDS", 0.0)
    with stopping.within(0.0):
        training = driver.train(PROGRAM, begun(images), images)
    assert training.pending is not None
    part = training.pending.part
    unfinished.save(tmp_path / "c", {"a": 1}, training, Times(1.0, 1.0))
    assert unfinished.restore(tmp_path / "c", {"a": 2}, training.lanes, part) is None
    later = training.lanes._replace(window=training.lanes.window + 1)
    assert unfinished.restore(tmp_path / "c", {"a": 1}, later, part) is None
    path = unfinished.path_beside(tmp_path / "c")
    content = path.read_bytes()
    for damaged in (content[:-9], content[: len(content) // 2], b""):
        path.write_bytes(damaged)
        assert unfinished.restore(tmp_path / "c", {"a": 1}, training.lanes, part) is None
    # A changed byte makes a library raise nearly anything.
    for place in (*range(0, 100), *range(len(content) - 600, len(content))):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        unfinished.restore(tmp_path / "c", {"a": 1}, training.lanes, part)
