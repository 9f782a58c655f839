"""How a run over several processes begins, goes on and ends."""

import dataclasses
import threading
import time

import numpy as np
import pytest

from jaxclust.data.datasets import Dataset, Fingerprint
from jaxclust.engine import peers
from jaxclust.engine.fit import Options
from jaxclust.engine.peers import Peers
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.runs import spread
from jaxclust.runs.plan import Plan
from jaxclust.runs.settings import make_settings
from peer_store import Store


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
        (tmp_path / "checkpoint" / name / "pretrain").mkdir(parents=True)
    if refused is None:
        spread.check_begun(tmp_path / "checkpoint", going)
        return
    with pytest.raises(UsageError, match=refused):
        spread.check_begun(tmp_path / "checkpoint", going)
    # A finished run only gets files beside its results made again.
    (tmp_path / "results.jsonl").touch()
    spread.check_begun(tmp_path / "checkpoint", going)


@pytest.fixture
def store(monkeypatch):
    made = Store()
    monkeypatch.setattr(peers, "client", lambda: made)
    monkeypatch.setattr(peers, "WAIT_SECONDS", 0.01)
    return made


def settings(**changes):
    method = registry.method("kmeans", clusters=3)
    data = Fingerprint("few", (30, 8, 8, 1), "uint8", "a" * 64)
    made = make_settings(method, "default", data, (0, 1, 2), "map")
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "versions", "refused"),
    [
        ({}, {}, None),
        ({"over": "shard", "origin": {"data": "/elsewhere"}}, {}, None),
        ({"data": Fingerprint("other", (30, 8, 8, 1), "uint8", "a" * 64)}, {}, None),
        ({}, {"opencv-python-headless": "4"}, None),
        ({"data": Fingerprint("few", (30, 8, 8, 1), "uint8", "b" * 64)}, {}, "data.sha256"),
        ({"config": {"clusters": 4}}, {}, "config.clusters"),
        ({"over": "vmap"}, {}, "over .*'map' -> 'vmap'"),
        ({}, {"jax": "0.0"}, "versions.jax"),
    ],
)
def test_processes_must_have_the_same_settings(changes, versions, refused, store, monkeypatch):
    own = {"jax": "1.0", "numpy": "2.0"}
    monkeypatch.setattr(spread, "package_versions", lambda: own | versions)
    peers.put("settings/1", spread._comparable(settings(**changes)))
    monkeypatch.setattr(spread, "package_versions", lambda: own)
    if refused is None:
        spread.check_same(plan(2), settings())
        return
    with pytest.raises(UsageError, match=f"process 1 differs in .*{refused}"):
        spread.check_same(plan(2), settings())


def test_a_process_that_was_given_other_seeds_is_refused(store):
    spread.agreed(plan(2))
    other = dataclasses.replace(plan(2), peers=Peers(1, 2))
    assert spread.agreed(other).seeds == (0, 1, 2)
    nobody = dataclasses.replace(other, seeds=(5,), choose_seeds=True)
    assert spread.agreed(nobody).seeds == (0, 1, 2)
    with pytest.raises(UsageError, match=r"seeds: must be the same .*, got \[5, 6\]"):
        spread.agreed(dataclasses.replace(other, seeds=(5, 6)))
    with pytest.raises(UsageError, match="over: must be the same .*, got vmap"):
        spread.agreed(dataclasses.replace(other, over="vmap"))


def test_processes_start_their_devices_together_and_the_fewest_cores_decide(store, monkeypatch):
    used = []
    monkeypatch.setattr(spread, "use_devices", lambda *told: used.append(told))
    monkeypatch.setattr(spread.os, "cpu_count", lambda: 8)
    images = Dataset("few", np.zeros((30, 8, 8, 1), np.uint8), None)
    method = registry.method("kmeans", clusters=3)
    start = threading.Thread(target=spread.start_devices, args=(method, images, plan(2)))
    start.start()
    time.sleep(0.1)
    assert not used  # It waits for the other, which may still read images.
    peers.put("cores/1", 4)
    start.join()
    assert used == [(None, 2, 4)]


def test_the_rest_of_other_processes_is_deleted_where_a_run_is_finished(tmp_path):
    for name in ("cluster", "process-1-of-2"):
        (tmp_path / "checkpoint" / name).mkdir(parents=True)
    spread.end(plan(1), tmp_path, False)
    assert len(list((tmp_path / "checkpoint").iterdir())) == 2
    spread.end(plan(1), tmp_path, True)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["cluster"]


@pytest.mark.parametrize("anew", [True, False])
def test_a_process_deletes_its_old_part_where_process_0_begins_anew(
    anew, store, tmp_path, monkeypatch
):
    old = tmp_path / "process-1-of-2" / "cluster"
    old.mkdir(parents=True)
    found = []
    monkeypatch.setattr(spread.engine, "fit", lambda *_: found.append(old.exists()))
    monkeypatch.setattr(spread.parts, "sent", lambda *_: None)
    peers.put(spread.BEGUN, {"place": str(tmp_path), "anew": anew})
    peers.put(spread.DONE, False)
    other = dataclasses.replace(plan(2), peers=Peers(1, 2))
    spread.follow(registry.method("kmeans"), np.zeros(3), other, settings(), Options())
    assert found == [not anew]


def test_a_process_that_cannot_write_its_checkpoints_is_refused_before_it_trains(
    store, tmp_path, monkeypatch
):
    (tmp_path / "checkpoint").touch()
    monkeypatch.setattr(spread.engine, "fit", lambda *_: pytest.fail("it has trained"))
    peers.put(spread.BEGUN, {"place": str(tmp_path / "checkpoint"), "anew": True})
    other = dataclasses.replace(plan(2), peers=Peers(1, 2))
    with pytest.raises(UsageError, match="out: .*process-1-of-2 must be a folder that process 1"):
        spread.follow(registry.method("kmeans"), np.zeros(3), other, settings(), Options())
