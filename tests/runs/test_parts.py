"""What processes send of their seeds, and how process 0 puts it together."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import peers, stopping
from jaxclust.engine.clocks import Times
from jaxclust.engine.fit import Fit
from jaxclust.engine.lanes import Lanes, with_plain_keys
from jaxclust.engine.peers import Peers
from jaxclust.engine.phase import Phase
from jaxclust.runs import notes, parts
from jaxclust.runs.plan import Plan
from peer_store import Store


def phase(seeds, seconds, history=True):
    lanes = Lanes(
        key=jnp.stack([jax.random.key(seed) for seed in seeds]),
        state={"weights": jnp.array([[seed, 1.0] for seed in seeds])},
        window=jnp.ones(len(seeds), jnp.int32),
        stopped=jnp.zeros(len(seeds), bool),
        failed=jnp.full(len(seeds), -1, jnp.int32),
    )
    columns = {"lane": np.arange(len(seeds), dtype=np.int32), "loss": np.array(seeds, np.float32)}
    about = {"seeds": list(seeds), "over": "map"}
    return Phase(lanes, columns if history else {}, Times(*seconds), True, about)


def test_phases_are_joined_in_the_order_of_the_seeds():
    # What was received has the keys' data in the place of typed keys.
    other = phase((5, 7), (3.0, 1.0))
    other = other._replace(lanes=with_plain_keys(other.lanes))
    joined = parts._joined_phase([phase((2,), (2.0, 4.0)), other], (2, 5, 7))
    np.testing.assert_array_equal(joined.lanes.state["weights"][:, 0], [2, 5, 7])
    keys = jnp.stack([jax.random.key(seed) for seed in (2, 5, 7)])
    data = jax.random.key_data(joined.lanes.key)
    np.testing.assert_array_equal(data, jax.random.key_data(keys))
    np.testing.assert_array_equal(joined.history["lane"], [0, 1, 2])
    np.testing.assert_array_equal(joined.history["loss"], [2, 5, 7])
    assert joined.times == Times(3.0, 4.0)
    assert joined.about == {"seeds": [2, 5, 7], "over": "map"}


def test_a_process_whose_seeds_had_no_window_adds_nothing_to_the_history():
    both = [phase((2,), (2.0, 4.0), history=False), phase((5, 7), (3.0, 1.0))]
    joined = parts._joined_phase(both, (2, 5, 7))
    np.testing.assert_array_equal(joined.history["lane"], [1, 2])


@pytest.fixture
def store(monkeypatch):
    made = Store()
    monkeypatch.setattr(peers, "client", lambda: made)
    monkeypatch.setattr(peers, "WAIT_SECONDS", 0.01)
    yield made
    stopping.forget()


def fit(seeds, finished=True):
    if not finished:
        return Fit({}, False, None, [], {}, {})
    labels = np.array([[seed, 1, 2] for seed in seeds], np.int32)
    failed = [("cluster", 3) if seed == 7 else None for seed in seeds]
    # The second labeling of a method such as JULE.
    labelings = {"": labels, "rc": labels + 10}
    return Fit({"cluster": phase(seeds, (1.0, 2.0))}, True, labels, failed, labelings, {})


def received(part, told=()):
    # Nobody takes the pieces in time, so that they all have to fit.
    store = peers.client()
    store.key_value_set(f"{peers.PREFIX}/part/1/taken", "0", allow_overwrite=True)
    parts.sent(1, part, told)
    return parts.received(1, fit((2,)), Plan((2, 5, 7), peers=Peers(0, 2)), None)


def test_several_labelings_failures_and_notes_arrive(store, monkeypatch):
    monkeypatch.setattr(peers, "AHEAD", 99)
    with notes.told() as told:
        other = received(fit((5, 7)), ["a graph is in two parts"])
    assert told == ["a graph is in two parts"]
    done = parts.joined([fit((2,)), other], (2, 5, 7))
    np.testing.assert_array_equal(done.labelings[""][:, 0], [2, 5, 7])
    np.testing.assert_array_equal(done.labelings["rc"][:, 0], [12, 15, 17])
    np.testing.assert_array_equal(done.labels, done.labelings[""])
    assert done.failed == [None, None, ("cluster", 3)]
    np.testing.assert_array_equal(done.phases["cluster"].history["loss"], [2, 5, 7])


def test_a_signal_that_has_stopped_another_process_stops_this_one(store, monkeypatch):
    monkeypatch.setattr(stopping, "_asked", [signal.SIGTERM])
    parts.sent(1, fit((5, 7), finished=False), [])
    monkeypatch.setattr(stopping, "_asked", [])
    plan = Plan((2, 5, 7), peers=Peers(0, 2))
    assert not parts.received(1, fit((2,)), plan, None).finished
    assert stopping.called() == "SIGTERM"
