"""Cells of a sweep as tasks of a Dask cluster: what waits for what, who gets a GPU, the folder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from commands import error
from jaxclust.cli import cluster, workers
from jaxclust.cli.main import main
from jaxclust.runs.lock import held
from jaxclust.runs.sweeps import SWEEP, SweepCell, read_sweep

SMALL = "--preset quick --seeds 2 --no-figures"


def cell(method, shares=None, data="few.npz", status="waiting"):
    return SweepCell("few", method, f"few/{method}", ["--data", data], shares, status)


def test_cells_of_one_pretraining_wait_for_the_first_of_them_and_no_others_do():
    planned = [
        cell("kmeans"),
        cell("dec", "a"),
        cell("idec", "a"),
        cell("dcec", "b"),
        cell("dcn", "a", data="other.npz"),
    ]
    jobs = cluster.plan_jobs(planned, [[]] * 5, [None] * 5)
    assert [job.after for job in jobs] == [None, None, 1, None, None]
    assert [job.number for job in jobs] == [0, 1, 2, 3, 4]


def test_finished_cells_have_no_job_and_their_pretraining_is_used(tmp_path):
    planned = [cell("dec", "a", status="finished"), cell("idec", "a"), cell("dcec", "a")]
    jobs = cluster.plan_jobs(planned, [[], ["--seeds", "5"], []], [None, tmp_path, tmp_path])
    assert [job.after for job in jobs] == [None, None]
    assert jobs[0].more == ("--seeds", "5", "--pretrained", str(tmp_path))


def test_a_cluster_here_has_one_worker_for_each_gpu_or_for_two_cores():
    assert workers.local_workers(8, [], 2)["n_workers"] == 1
    assert workers.local_workers(8, [], 8)["n_workers"] == 4
    assert workers.local_workers(2, [], 8)["n_workers"] == 2
    gpus = workers.local_workers(8, ["0", "3"], 8)
    assert (gpus["n_workers"], gpus["resources"]) == (2, {"GPU": 1})
    assert gpus["env"] == {workers.LOCAL_GPUS: "0,3"}


def test_workers_that_were_started_here_have_a_gpu_each(monkeypatch):
    assert workers.own_gpu(1, ["0", "3"]) == {"CUDA_VISIBLE_DEVICES": "3"}
    assert workers.own_gpu("tcp://10.0.0.1:1234", ["0", "3"]) == {}
    assert workers.own_gpu(1, []) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert workers.gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert workers.gpus() == []


def test_a_scheduler_that_cannot_be_is_refused_before_any_work(tmp_path, capsys, monkeypatch):
    words = f"fit --methods kmeans --data digits --out {tmp_path}/all --scheduler"
    assert "must be local or an address" in error(capsys, f"{words} nowhere".split())
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "jaxclust[cluster]" in error(capsys, f"{words} local".split())
    assert not (tmp_path / "all").exists()


def test_several_methods_in_several_processes_are_refused(tmp_path, capsys):
    words = f"fit --methods kmeans,dec --data digits --out {tmp_path}/all --distributed"
    assert "distributed: must be with one method" in error(capsys, words.split())


class Told:
    """An event or a variable of Dask as a task sees it."""

    def __init__(self, values=(0,), stop=False):
        self.values = list(values)
        self.stop = stop

    def get(self, timeout):
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]

    def is_set(self):
        return self.stop


@pytest.mark.parametrize("stopped", [True, False])
def test_a_task_stops_its_cell_where_the_command_is_silent_or_says_so(stopped, monkeypatch):
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(cluster, "SILENT_SECONDS", 99 if stopped else 0.2)
    process = subprocess.Popen(["sleep", "20"])
    began = time.monotonic()
    # It is not silent while the numbers change.
    beat = Told((0,)) if stopped else Told(range(20))
    assert cluster._waited(process, Told(stop=stopped), beat) == -signal.SIGTERM
    assert (time.monotonic() - began > 0.5) is not stopped


def test_a_moved_cell_waits_until_its_folder_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.02)
    free = threading.Event()
    with held(tmp_path):
        thread = threading.Thread(
            target=lambda: (cluster._await_lock(tmp_path, Told()), free.set())
        )
        thread.start()
        assert not free.wait(0.1)
    thread.join(5)
    assert free.is_set()


@pytest.fixture
def dask():
    return pytest.importorskip("distributed", reason="Dask is not installed")


@pytest.fixture(scope="module")
def few(tmp_path_factory, few_digits):
    folder = tmp_path_factory.mktemp("few")
    np.savez(folder / "few.npz", images=few_digits[0], labels=few_digits[1])
    np.savez(folder / "plain.npz", images=few_digits[0][:100])
    return folder


def test_no_old_run_is_deleted_where_no_scheduler_answers(dask, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.3)
    words = f"fit --methods kmeans --data digits --seeds 2 --quiet --out {tmp_path}/all"
    there = "--scheduler tcp://127.0.0.1:9"
    assert "that answers" in error(capsys, f"{words} {there}".split())
    assert not (tmp_path / "all").exists()
    old = tmp_path / "all" / "digits" / "kmeans"
    old.mkdir(parents=True)
    settings = {"method": "kmeans", "data": {"name": "digits", "shape": [9, 8, 8, 1]}, "seeds": [0]}
    settings |= {"over": "map", "config": {"clusters": 10}, "pretraining": None}
    (old / "config.json").write_text(json.dumps(settings))
    (old / "labels.npy").touch()
    assert "that answers" in error(capsys, f"{words} --overwrite {there}".split())
    assert (old / "labels.npy").exists()
    assert not (tmp_path / "all" / SWEEP).exists()


def test_only_a_lost_worker_is_called_so(dask, tmp_path):
    class Future:
        def __init__(self, error):
            self.error = error

        def exception(self):
            return self.error

    ended = cluster._how_ended(cell("dec"), tmp_path, Future(ValueError("wrong\nvalue")))
    assert (ended.status, ended.reason) == ("failed", "its task failed: wrong value")
    lost = dask.KilledWorker("task", SimpleNamespace(address="tcp://10.0.0.1:1"), 3)
    ended = cluster._how_ended(cell("dec"), tmp_path, Future(lost))
    assert ended.reason.startswith("its worker was lost: ")


@pytest.mark.slow
def test_a_local_cluster_makes_the_folder_of_a_sweep_here(dask, few, tmp_path):
    words = f"fit --methods kmeans,n-cuts --data {few}/few.npz,{few}/plain.npz {SMALL} --quiet"
    assert main(f"{words} --out {tmp_path}/here".split()) == 1
    assert main(f"{words} --out {tmp_path}/there --scheduler local".split()) == 1
    here, there = (read_sweep(tmp_path / name / SWEEP) for name in ("here", "there"))
    assert [cell.status for cell in there] == ["finished", "finished", "failed", "failed"]
    for one, other in zip(here, there, strict=True):
        assert (one.folder, one.status, one.arguments) == (
            other.folder,
            other.status,
            other.arguments,
        )
        assert one.reason == other.reason
        if one.status == "finished":
            labels = (tmp_path / name / one.folder / "labels.npy" for name in ("here", "there"))
            np.testing.assert_array_equal(*map(np.load, labels))


@pytest.mark.slow
def test_ctrl_c_ends_a_sweep_on_a_cluster_with_its_checkpoints(dask, few, tmp_path):
    words = f"fit --methods idec,dec --data {few}/few.npz --seeds 2 --no-figures"
    words += f" --pretraining.epochs 100000 --out {tmp_path}/all --scheduler local"
    # A shell's background job ignores SIGINT, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxclust", *words.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    while not (tmp_path / "all" / "few" / "idec" / "config.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    time.sleep(10)
    os.killpg(process.pid, signal.SIGINT)  # As a terminal does.
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    line = "jaxclust: interrupted; the same command with --resume goes on from the last checkpoint"
    assert [text for text in errors.splitlines() if "seeds" not in text][-1] == line, errors
    assert "Traceback" not in errors
    time.sleep(1)
    left = subprocess.run(["pgrep", "-f", f"{tmp_path}/all"], capture_output=True, text=True)
    assert left.stdout == ""
