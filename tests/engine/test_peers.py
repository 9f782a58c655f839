"""Messages between processes: arrays arrive as they were sent, piece by piece; seeds are shared."""

import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import part_files, peers
from jaxclust.engine.peers import Peers


class Store:
    """The key-value store of ``jax.distributed`` as far as ``peers`` uses it."""

    def __init__(self):
        self.entries = {}
        self.most = 0

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.entries
        self.entries[key] = value

    def key_value_set_bytes(self, key, value):
        self.entries[key] = value
        self.most = max(self.most, sum(isinstance(one, bytes) for one in self.entries.values()))

    def key_value_try_get(self, key):
        if key not in self.entries:
            raise jax.errors.JaxRuntimeError("NOT_FOUND: no such key")
        return self.entries[key]

    def blocking_key_value_get(self, key, wait):
        until = time.monotonic() + wait / 1000
        while key not in self.entries:
            if time.monotonic() > until:
                raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: too late")
            time.sleep(0.001)
        return self.entries[key]

    blocking_key_value_get_bytes = blocking_key_value_get

    def key_value_delete(self, key):
        del self.entries[key]


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
    time.sleep(0.1)  # The sender waits: nobody takes its pieces.
    place = np.full((12, 100), -1, np.float32)

    def placed(key, shape, dtype):
        return place[1:11] if key == "many" else np.empty(shape, dtype)

    about, received = peers.receive("part/1", placed)
    sender.join()
    assert about == {"finished": True}
    assert store.most == peers.AHEAD
    assert not [value for value in store.entries.values() if isinstance(value, bytes)]
    for name, array in arrays.items():
        np.testing.assert_array_equal(received[name], array)
        assert (received[name].dtype, received[name].shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(place[[0, 11]], -1)


def test_an_entry_that_is_not_there_is_waited_for_or_none(store):
    assert peers.peek("stop") is None
    threading.Timer(0.05, peers.put, ("stop", True)).start()
    assert peers.get("stop") is True


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
