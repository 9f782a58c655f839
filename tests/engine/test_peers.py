"""Messages between processes: arrays arrive as they were sent, piece by piece; seeds are shared."""

import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import part_files, peers
from jaxclust.engine.peers import Peers
from peer_store import Store


@pytest.fixture
def store(monkeypatch):
    made = Store()
    monkeypatch.setattr(peers, "client", lambda: made)
    monkeypatch.setattr(peers, "PIECE_BYTES", 64)
    monkeypatch.setattr(peers, "WAIT_SECONDS", 0.01)
    return made


def test_seeds_are_shared_evenly_in_their_order():
    shares = [Peers(process, 3).share(range(8)) for process in range(3)]
    assert shares == [(0, 1), (2, 3, 4), (5, 6, 7)]
    assert Peers(0, 2).share((4, 9), 1) == (9,)


def test_arrays_arrive_as_they_were_sent_and_few_pieces_wait(store):
    arrays = {
        "many": np.arange(1000, dtype=np.float32).reshape(10, 100),
        "none": np.zeros((0, 3), np.int32),
        "one": np.array(5, np.int32),
        "short": np.asarray(jnp.arange(7, dtype=jnp.bfloat16)),
    }
    sender = threading.Thread(target=peers.send, args=("part/1", {"finished": True}, arrays))
    sender.start()
    time.sleep(0.1)
    assert store.most == 0  # The sender waits: nobody asks for its pieces.
    place = np.full((12, 100), -1, np.float32)

    def placed(key, shape, dtype):
        return place[1:11] if key == "many" else np.empty(shape, dtype)

    about, received = peers.receive("part/1", placed)
    sender.join()
    assert about == {"finished": True}
    assert 1 < store.most <= peers.AHEAD
    assert not [value for value in store.entries.values() if isinstance(value, bytes)]
    for name, array in arrays.items():
        np.testing.assert_array_equal(received[name], array)
        assert (received[name].dtype, received[name].shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(place[[0, 11]], -1)


def test_an_entry_that_is_not_there_is_waited_for_or_none(store):
    assert peers.peek("stop") is None
    threading.Timer(0.05, peers.put, ("stop", True)).start()
    assert peers.get("stop") is True


def test_processes_that_meet_know_what_each_of_them_said(store):
    met = []
    other = threading.Thread(target=lambda: met.append(peers.meet(Peers(1, 2), "cores", 8)))
    other.start()
    time.sleep(0.05)
    assert not met  # It waits for this one.
    assert peers.meet(Peers(0, 2), "cores", 4) == [4, 8]
    other.join()
    assert met == [[4, 8]]


def test_a_dead_store_is_no_missing_entry(store, monkeypatch):
    def dead(key, wait=0):
        raise jax.errors.JaxRuntimeError("UNAVAILABLE: Socket closed")

    monkeypatch.setattr(store, "key_value_try_get", dead)
    monkeypatch.setattr(store, "blocking_key_value_get", dead)
    for read in (peers.peek, peers.get):
        with pytest.raises(jax.errors.JaxRuntimeError, match="UNAVAILABLE"):
            read("stop")


def test_checkpoints_of_other_processes_keep_every_kind_of_array(tmp_path):
    arrays = {
        "runs": {".key": np.arange(4, dtype=np.uint32), "b": np.asarray(jnp.ones(3, jnp.bfloat16))},
        "history": {},
    }
    for window in (2, 11):
        part_files.write(tmp_path / "cluster", window, arrays, {"about": {"seeds": [window]}})
    assert part_files.windows(tmp_path / "cluster") == [2, 11]
    content = part_files.read(tmp_path / "cluster", 11)
    assert content.about == {"seeds": [11]}
    assert content.arrays.keys() == arrays.keys()
    for name, leaf in arrays["runs"].items():
        np.testing.assert_array_equal(content.arrays["runs"][name], leaf)
        assert content.arrays["runs"][name].dtype == leaf.dtype
