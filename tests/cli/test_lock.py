"""A folder that one process writes to is refused to others, however that process ends."""

import errno
import os
import subprocess
import sys

import filelock
import pytest

from commands import command, error
from jaxclust.errors import UsageError
from jaxclust.runs import lock
from jaxclust.runs.folder import delete_runs

HOLD = """
import sys, time
from pathlib import Path
from jaxclust.runs import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_once_and_left_as_it_was(tmp_path):
    folder = tmp_path / "run"
    with lock.held(folder):
        assert (folder / lock.LOCK).read_text() == f"{os.getpid()}\n"
        assert lock.is_empty(folder)
        rule = f"must be used by one process at a time, process {os.getpid()} writes there now"
        with pytest.raises(UsageError, match=rule), lock.held(folder):
            pass
        with pytest.raises(UsageError, match=rule):
            lock.check_free(folder)
    assert not folder.exists()
    folder.mkdir()
    with lock.held(folder):
        pass
    assert list(folder.iterdir()) == []


def test_the_lock_of_a_process_that_was_killed_is_none(tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match=f"process {process.pid} writes there now"):
        lock.check_free(folder)
    process.kill()
    process.communicate()
    assert (folder / lock.LOCK).exists()
    with lock.held(folder):
        assert (folder / lock.LOCK).read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_on_a_file_system_without_locks_nothing_is_held(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    folder = tmp_path / "run"
    with lock.held(folder):
        lock.check_free(folder)
        assert list(folder.iterdir()) == []
        with lock.held(folder):
            (folder / "file").touch()
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_lock_that_cannot_be_written_is_let_go(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    kept = []  # A lock that nobody has any more is let go of by Python.
    made = filelock.FileLock
    monkeypatch.setattr(
        filelock, "FileLock", lambda *a, **b: kept.append(made(*a, **b)) or kept[-1]
    )
    monkeypatch.setattr(lock.Path, "write_text", full)
    with pytest.raises(UsageError, match="No space left"), lock.held(tmp_path / "run"):
        pass
    assert not kept[0].is_locked
    assert not (tmp_path / "run").exists()


def test_on_windows_the_lock_has_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.sys, "platform", "win32")
    rule = "one process at a time, another process writes there now"
    with lock.held(tmp_path), pytest.raises(UsageError, match=rule), lock.held(tmp_path):
        pass


@pytest.mark.parametrize("flag", ["--resume", "--overwrite", ""])
def test_a_second_fit_is_refused_and_deletes_nothing(finished, data, flag, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    with lock.held(finished):
        line = error(capsys, command(data, finished, flag))
        if flag:
            assert f"process {os.getpid()} writes there now" in line
        with pytest.raises(UsageError, match="writes there now"):
            delete_runs([finished])
    after = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert before == {path: time for path, time in after.items() if path != finished} | {
        path: time for path, time in before.items() if path == finished
    }
