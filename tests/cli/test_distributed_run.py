"""Two processes of the command make the run of one; where one dies the other says so and ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from commands import SMALL, error
from jaxclust.cli import distributed
from jaxclust.cli.main import main
from jaxclust.runs.reading import open_run

# A checkpoint after each window, and a process that is dead is missed soon.
COMMAND = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jaxclust.cli import distributed
from jaxclust.cli.main import main
from jaxclust.engine import driver, phase
phase.CHECKPOINT_SECONDS, driver.CHUNK_SECONDS = 0.0, 0.0
distributed.HEARTBEAT_SECONDS = 3
distributed.TELL_SECONDS = 60
sys.exit(main())
"""
QUICK = "--no-figures --no-baseline"
EPOCHS = "--pretraining.batch 64 --pretraining.epochs"
STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def none_left():
    """Ends the processes that a test which failed has left."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()


@pytest.fixture(scope="module")
def few(tmp_path_factory, few_digits):
    """Files of 300 digits: with classes for memory, and without for a stream."""
    folder = tmp_path_factory.mktemp("few")
    np.savez(folder / "few.npz", images=few_digits[0], labels=few_digits[1])
    np.save(folder / "few.npy", few_digits[0])
    return folder


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def begin(words, count=2, own=("", "")):
    """Starts the processes of a run; ``own`` are words of each of them alone."""
    port = free_port()
    there = f"--distributed --coordinator 127.0.0.1:{port} --processes {count}"
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", COMMAND),
                *f"fit {words} {there} --process {number} {own[number]}".split(),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        for number in range(count)
    ]
    STARTED.extend(processes)
    return processes


def end(processes, seconds=280):
    """What processes print, and asserts that all of them end well."""
    texts = [process.communicate(timeout=seconds) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), texts
    return texts


def files(out):
    return {str(path.relative_to(out)) for path in out.rglob("*") if "checkpoint" not in path.parts}


def rows(out):
    """The rows of a run without what differs between any two starts."""
    varying = ("peak_memory_mb", "device", "config_hash")
    return [
        {k: v for k, v in row.items() if "seconds" not in k and k not in varying}
        for row in map(json.loads, (out / "results.jsonl").read_text().splitlines())
    ]


def assert_same_content(one, two):
    """Files of two runs are the same but for times."""
    assert files(one) == files(two)
    for name in files(one):
        if name == "results.jsonl":
            assert rows(one) == rows(two)
        elif name not in ("config.json", ".lock"):
            assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_two_processes_give_the_labels_of_one_and_process_0_alone_writes(few, tmp_path):
    words = f"kmeans --data {few}/few.npz --seeds 3 {QUICK} --over map"
    assert main(f"fit {words} --out {tmp_path}/one --quiet".split()) == 0
    (_, told), other = end(begin(f"{words} --out {tmp_path}/two"))
    assert "seeds" in told
    assert other == ("", "")
    one, two = (open_run(tmp_path / name) for name in ("one", "two"))
    np.testing.assert_array_equal(one.labels, two.labels)
    assert_same_content(tmp_path / "one", tmp_path / "two")
    assert not list((tmp_path / "two" / "checkpoint").glob("process-*"))
    images = np.load(few / "few.npz")["images"]
    np.testing.assert_array_equal(one.predict(images).cluster, two.predict(images).cluster)
    assert main(f"fit {words} --out {tmp_path}/two --resume --quiet".split()) == 0


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_run_goes_on(few, tmp_path):
    words = f"sae-kmeans --data {few}/few.npz --seeds 3 {EPOCHS} 8 {QUICK} --over map"
    assert main(f"fit {words} --out {tmp_path}/one --quiet".split()) == 0
    out = tmp_path / "two"
    processes = begin(f"{words} --out {out}")
    while not list(out.glob("checkpoint/process-1-of-2/*/[0-9]*")):
        assert processes[0].poll() is None, processes[0].communicate()
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    _, told = processes[0].communicate(timeout=60)
    assert time.monotonic() - killed < 20
    assert processes[0].returncode == distributed.STATUS
    line = "process 1 of this run has ended; the same command with --resume in each process goes on"
    assert told.splitlines()[-1] == f"jaxclust: {line}"
    assert "coordination" not in told
    processes[1].communicate()
    rest = f"fit {words} --out {out} --resume"
    assert main(f"{rest} --quiet".split()) == 2  # It began in two processes.
    end(begin(f"{words} --out {out} --resume"))
    np.testing.assert_array_equal(
        *(np.load(tmp_path / name / "labels.npy") for name in ("one", "two"))
    )
    # Where process 0 dies the other knows it at once, without a checkpoint that could be read.
    processes = begin(f"{words} --out {tmp_path}/three")
    while not list((tmp_path / "three").glob("checkpoint/process-1-of-2/*/[0-9]*")):
        assert processes[1].poll() is None, processes[1].communicate()
        time.sleep(0.05)
    processes[0].kill()
    _, told = processes[1].communicate(timeout=60)
    assert processes[1].returncode == distributed.STATUS
    assert told == f"jaxclust: {line.replace('process 1', 'process 0')}\n"
    processes[0].communicate()


@pytest.mark.slow
def test_ctrl_c_in_one_process_stops_both_with_their_checkpoints(few, tmp_path):
    words = f"sae-kmeans --data {few}/few.npz --seeds 2 {EPOCHS} 99999 {QUICK}"
    processes = begin(f"{words} --out {tmp_path}/run")
    while not list((tmp_path / "run").glob("checkpoint/process-1-of-2/*/[0-9]*")):
        assert processes[0].poll() is None, processes[0].communicate()
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    texts = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [143, 143], texts
    assert "go on with --resume" in texts[0][0]


@pytest.mark.slow
def test_a_stream_over_two_processes_gives_the_labels_of_one(few, tmp_path):
    words = f"ccnn-norm --data {few}/few.npy --stream --clusters 10 --seeds 3 --preset random"
    words += " --epochs 2 --over map"
    assert main(f"fit {words} --out {tmp_path}/one --quiet".split()) == 0
    end(begin(f"{words} --out {tmp_path}/two"))
    assert_same_content(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_all_labelings_of_a_method_are_those_of_one_process(few, tmp_path):
    words = f"jule --data {few}/few.npz --seeds 3 --preset quick {QUICK} --over map"
    assert main(f"fit {words} --out {tmp_path}/one --quiet".split()) == 0
    end(begin(f"{words} --out {tmp_path}/two"))
    one = open_run(tmp_path / "one")
    assert len(one.labelings) > 1
    assert not (one.labels == next(iter(reversed(one.labelings.values())))).all()
    assert_same_content(tmp_path / "one", tmp_path / "two")
    # What a finished run lacks is made again by process 0.
    (tmp_path / "two" / "clusters.csv").unlink()
    end(begin(f"{words} --out {tmp_path}/two --resume"))
    assert_same_content(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_processes_with_other_settings_are_refused_and_each_says_why(few, tmp_path):
    words = f"idec --data {few}/few.npz --seeds 2 {SMALL} {QUICK} --out {tmp_path}/run"
    both = begin(words, own=("", "--restarts 1"))
    texts = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [2, 2], texts
    line = "settings: must be the same in each process, process 1 differs in config.restarts"
    assert texts[0].splitlines()[-1].startswith(f"jaxclust: {line}")
    assert texts[1].startswith(f"jaxclust: process 0 of this run: {line}"), texts
    assert not (tmp_path / "run").exists()
    both = begin(words, own=("", f"--data {few}/none.npz"))
    texts = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [2, 2], texts
    assert texts[0].splitlines()[-1].startswith("jaxclust: process 1 of this run: data: ")
    assert texts[1].startswith("jaxclust: data: ")


@pytest.mark.slow
def test_a_process_that_finds_no_other_says_so_and_can_be_stopped(tmp_path):
    command = f"{COMMAND[: COMMAND.index('sys.exit')]}\ndistributed.TELL_SECONDS = 1\n"
    command += "distributed.CONNECT_SECONDS = 4\nsys.exit(main())"
    where = f"127.0.0.1:{free_port()}"
    words = f"fit kmeans --data digits --out {tmp_path}/run --distributed --coordinator {where}"
    words = [sys.executable, "-c", command, *words.split(), "--processes", "2", "--process"]

    def started(number):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        STARTED.append(subprocess.Popen([*words, number], **pipes))
        return STARTED[-1]

    for number in "01":
        alone = started(number)
        _, told = alone.communicate(timeout=60)
        waits = f"jaxclust: waits for 2 processes at {where}"
        rule = f"distributed: must find 2 processes at {where} within 4 s, and did not"
        assert told.splitlines() == [waits, f"jaxclust: {rule}; nothing was begun"]
        assert alone.returncode == 2
    alone = started("1")
    assert alone.stderr is not None
    assert "waits for" in alone.stderr.readline()
    alone.send_signal(signal.SIGTERM)
    _, told = alone.communicate(timeout=3)
    assert len(told.splitlines()) == 1
    assert "interrupted" in told
    assert alone.returncode == 143


@pytest.mark.slow
def test_a_process_that_is_stopped_while_another_waits_for_it_stops_both(few, tmp_path):
    words = f"sae-kmeans --data {few}/few.npz --seeds 3 {EPOCHS} 99999 {QUICK} --out {tmp_path}/run"
    # Process 0 ends its own part soon, and waits for that of process 1, without a limit of its own.
    both = begin(words, own=("--max-seconds 5", ""))
    while not list((tmp_path / "run").glob("checkpoint/process-1-of-2/*/[0-9]*")):
        assert both[0].poll() is None, both[0].communicate()
        time.sleep(0.05)
    time.sleep(6)
    both[1].send_signal(signal.SIGTERM)
    texts = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [143, 143], texts
    assert "stopped by SIGTERM with a checkpoint" in texts[0][0]


@pytest.mark.slow
def test_with_fewer_seeds_than_processes_they_share_each_step(few, tmp_path):
    words = f"idec --data {few}/few.npz --seeds 1 {SMALL} --restarts 2 {QUICK}"
    assert main(f"fit {words} --out {tmp_path}/one --quiet --over map".split()) == 0
    end(begin(f"{words} --out {tmp_path}/two"))
    one, two = (open_run(tmp_path / name) for name in ("one", "two"))
    assert two.settings.over == "data"
    assert (one.labels == two.labels).mean() > 0.95
    end(begin(f"{words} --out {tmp_path}/two --resume"))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("--coordinator a:1", "coordinator: must come with --distributed, got a:1 without"),
        ("--process 1", "process: must come with --distributed, got 1 without"),
        (
            "--distributed --coordinator a:1",
            "coordinator: must be given together with --processes and --process, got none of "
            "processes, process",
        ),
        (
            "--distributed --coordinator a --processes 2 --process 0",
            "coordinator: must be HOST:PORT, such as 10.0.0.1:7788, got 'a'",
        ),
        (
            "--distributed --coordinator a:1 --processes 2 --process 2",
            "process: must be from 0 to 1 of 2 processes, got 2",
        ),
        (
            "--distributed --coordinator a:1 --processes 1 --process 0",
            "processes: must be at least 2 with --distributed, got 1",
        ),
        (
            "--distributed --clusters auto",
            "clusters: must be a number with --distributed, got auto",
        ),
        (
            "--distributed --pretrained old",
            "pretrained: must not be given with --distributed, got old",
        ),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_work(more, line, capsys, tmp_path):
    words = f"fit idec --data digits --out {tmp_path}/run {more}".split()
    assert error(capsys, words) == f"jaxclust: {line}"
    assert not (tmp_path / "run").exists()


def test_a_command_that_finds_no_other_process_is_refused(tmp_path):
    words = f"fit kmeans --data digits --out {tmp_path}/run --distributed".split()
    ended = subprocess.run([sys.executable, "-c", COMMAND, *words], capture_output=True, text=True)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "found no other process" in ended.stderr


def test_a_port_that_is_in_use_is_refused_at_once(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = f"fit kmeans --data digits --out {tmp_path}/run --distributed --processes 2"
        words += f" --process 0 --coordinator 127.0.0.1:{port}"
        told = error(capsys, words.split())
    assert told.startswith(f"jaxclust: coordinator: must be a free port of process 0, got {port}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("unhealthy (stopped sending heartbeats):\n3\n", "process 3 of this run"),
        ("PollForError: Socket closed", "process 0 of this run"),
        ("coordination: something else", "another process of this run"),
    ],
)
def test_the_line_names_the_process_that_has_ended_where_it_is_known(text, who):
    assert distributed.lost_line(text).startswith(f"{who} has ended; ")
