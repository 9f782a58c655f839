"""How a run over several processes begins, goes on and is put together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine.clocks import Times
from jaxclust.engine.lanes import Lanes
from jaxclust.engine.peers import Peers
from jaxclust.engine.phase import Phase
from jaxclust.errors import UsageError
from jaxclust.runs import spread
from jaxclust.runs.plan import Plan


def plan(processes, over=None):
    return Plan((0, 1, 2), over=over, peers=None if processes == 1 else Peers(0, processes))


@pytest.mark.parametrize(
    ("made", "going", "refused"),
    [
        (["process-0-of-2", "process-1-of-2"], plan(2), None),
        (["process-1-of-2"], plan(3), "processes: must be 2 to go on with .*, got 3"),
        (["process-0-of-2"], plan(1), "processes: must be 2 to go on with .*, got 1"),
        (["pretrain"], plan(2), "processes: must be 1 to go on with .*, got 2"),
        (["pretrain"], plan(2, "data"), None),
        (["process-0-of-2"], plan(2, "data"), "processes: must be 2 to go on with .*, got 1"),
        (["pretrain"], plan(1), None),
        ([], plan(4), None),
    ],
)
def test_a_run_goes_on_in_as_many_processes_as_it_began(made, going, refused, tmp_path):
    for name in made:
        (tmp_path / "checkpoint" / name).mkdir(parents=True)
    if refused is None:
        spread.check_begun(tmp_path / "checkpoint", going)
        return
    with pytest.raises(UsageError, match=refused):
        spread.check_begun(tmp_path / "checkpoint", going)


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
    other = other._replace(lanes=spread._plain(other.lanes))
    joined = spread._joined_phase([phase((2,), (2.0, 4.0)), other], (2, 5, 7))
    np.testing.assert_array_equal(joined.lanes.state["weights"][:, 0], [2, 5, 7])
    keys = jnp.stack([jax.random.key(seed) for seed in (2, 5, 7)])
    data = jax.random.key_data(joined.lanes.key)
    np.testing.assert_array_equal(data, jax.random.key_data(keys))
    np.testing.assert_array_equal(joined.history["lane"], [0, 1, 2])
    np.testing.assert_array_equal(joined.history["loss"], [2, 5, 7])
    assert joined.times == Times(3.0, 4.0)
    assert joined.about == {"seeds": [2, 5, 7], "over": "map"}


def test_a_process_whose_seeds_had_no_window_adds_nothing_to_the_history():
    parts = [phase((2,), (2.0, 4.0), history=False), phase((5, 7), (3.0, 1.0))]
    joined = spread._joined_phase(parts, (2, 5, 7))
    np.testing.assert_array_equal(joined.history["lane"], [1, 2])
