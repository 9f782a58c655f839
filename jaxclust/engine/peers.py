"""What the processes of one run tell each other, beside the numbers that they share in a step.

``jax.distributed`` joins the processes. Its key-value store, which lives in process 0, carries
everything here. So nothing has to be on a disk that all of them see, and a process that waits for
another one can be stopped.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jaxclust.types import Json

T = TypeVar("T")

PIECE_BYTES = 4 * 2**20
"""Bytes that one entry of the store holds."""
AHEAD = 8
"""Pieces that may wait in the store, which is memory of process 0."""
LOOK_SECONDS = 0.05
"""How often a sender looks whether a piece was taken, once the receiver takes them."""
WAIT_SECONDS = 0.5
"""How long a call waits for an entry before Python may answer a signal."""
PREFIX = "jaxclust"


class Peers(NamedTuple):
    """The place of this process among those of a run.

    Attributes:
      process: its number, from 0. Process 0 writes the run's folder.
      processes: how many there are, at least 2.
    """

    process: int
    processes: int

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.process == 0

    @property
    def others(self) -> range:
        """The numbers of all processes but process 0."""
        return range(1, self.processes)

    def share(self, seeds: Sequence[int], process: int | None = None) -> tuple[int, ...]:
        """The seeds that a process trains, in order: neighbors, as evenly as can be.

        Args:
          seeds: of the run, at least as many as there are processes.
          process: which; None for this one.
        """
        number = self.process if process is None else process
        first = len(seeds) * number // self.processes
        last = len(seeds) * (number + 1) // self.processes
        return tuple(seeds[first:last])


def client() -> Any:
    """The store's client. JAX has no public name for it; Orbax takes it from here, too."""
    from jax._src import distributed

    return distributed.global_state.client


def put(name: str, value: Json) -> None:
    """Makes an entry that every process can read."""
    client().key_value_set(f"{PREFIX}/{name}", json.dumps(value), allow_overwrite=True)


def get(name: str) -> Any:
    """Waits for an entry of ``put``, however long it takes, and returns it."""
    store = client()
    waited = _waited(lambda key, wait: store.blocking_key_value_get(key, wait), name)
    return json.loads(waited)


def peek(name: str) -> Any:
    """An entry of ``put``; None where there is none yet."""
    try:
        return json.loads(client().key_value_try_get(f"{PREFIX}/{name}"))
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" not in str(error):
            raise
        return None


def send(name: str, about: Json, arrays: Mapping[str, np.ndarray]) -> None:
    """Sends named arrays to the process that calls ``receive`` with this name.

    An array is read piece by piece, so that one that is mapped from a file need not fit in memory.

    Args:
      name: of the message; each can be sent once.
      about: what else the receiver has to know.
      arrays: of kinds that NumPy or ml_dtypes have.
    """
    store = client()
    heads: list[Json] = [
        [key, array.dtype.name, list(array.shape)] for key, array in arrays.items()
    ]
    put(f"{name}/head", {"about": about, "arrays": heads})
    if not arrays:
        return
    sent = 0
    taken = get(f"{name}/taken")  # The receiver asks for the first piece, however late that is.
    for array in arrays.values():
        rows = array.reshape(-1)
        step = max(1, PIECE_BYTES // max(1, array.itemsize))
        for first in range(0, rows.size, step):
            while sent - taken >= AHEAD:
                taken = peek(f"{name}/taken")
                if sent - taken >= AHEAD:
                    time.sleep(LOOK_SECONDS)
            piece = np.ascontiguousarray(rows[first : first + step]).tobytes()
            store.key_value_set_bytes(f"{PREFIX}/{name}/{sent}", piece)
            sent += 1


def receive(
    name: str, place: Callable[[str, tuple[int, ...], np.dtype], np.ndarray] | None = None
) -> tuple[Any, dict[str, np.ndarray]]:
    """Waits for what ``send`` sends.

    Args:
      name: of the message.
      place: ``place(key, shape, dtype)`` gives the contiguous array that an array is received into;
        None for a new one.

    Returns:
      What else was sent, and the arrays by name.
    """
    store = client()
    head = get(f"{name}/head")
    put(f"{name}/taken", 0)
    arrays = {}
    taken = 0
    for key, kind, shape in head["arrays"]:
        dtype = jax.numpy.dtype(kind)
        array = np.empty(shape, dtype) if place is None else place(key, tuple(shape), dtype)
        rows = array.reshape(-1)
        step = max(1, PIECE_BYTES // max(1, dtype.itemsize))
        for first in range(0, rows.size, step):
            entry = f"{name}/{taken}"
            piece = _waited(lambda key, wait: store.blocking_key_value_get_bytes(key, wait), entry)
            rows[first : first + step] = np.frombuffer(piece, dtype)
            store.key_value_delete(f"{PREFIX}/{entry}")
            taken += 1
            put(f"{name}/taken", taken)
        arrays[key] = array
    return head["about"], arrays


def meet(peers: Peers, name: str, value: Json = True) -> list[Any]:
    """Waits until every process has called this with the name; returns the values of all."""
    put(f"{name}/{peers.process}", value)
    return [get(f"{name}/{process}") for process in range(peers.processes)]


def any_process(flag: bool) -> bool:
    """Whether a flag is set in one process at least; each process has to call this."""
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def from_first(tree: T) -> T:
    """What process 0 has, in each process; each has to call this with arrays of like shapes."""
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(tree)


def _waited(call: Callable[[str, int], T], name: str) -> T:
    """What a call of the store gives at last, however often it runs out of its own time."""
    while True:
        try:
            return call(f"{PREFIX}/{name}", int(WAIT_SECONDS * 1000))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
