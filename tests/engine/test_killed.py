"""Runs killed at random moments and resumed end as if nothing had happened.

A run is killed by SIGKILL, or asked to end by SIGTERM or SIGINT, in turn. Every other SIGKILL waits
for a checkpoint that is half written. The test kills five runs;
``python tests/engine/test_killed.py 100`` kills 100, which takes about 75 minutes on two cores.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from jaxclust.runs.files import read_json_lines

# A checkpoint after each window, so that most moments are near one.
COMMAND = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
from jaxclust.cli.main import main
from jaxclust.engine import driver, phase
phase.CHECKPOINT_SECONDS, driver.CHUNK_SECONDS = 0.0, 0.0
sys.exit(main())
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
FLAGS = (
    "--clusters 10 --seeds 2 --pretraining.epochs 20 --pretraining.batch 64 --batch 64 "
    "--update-interval 5 --max-steps 100 --tolerance 0 --restarts 2 --over shard "
    "--no-figures --no-baseline --resume"
)


def begin(data: Path, out: Path, cache: Path) -> subprocess.Popen:
    """Starts the run, or goes on with it."""
    arguments = f"fit idec --data {data} --out {out} {FLAGS}".split()
    # Compiled programs are kept, so that the starts spend their time on what is tested.
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, "-c", COMMAND, *arguments]
    # A shell's background job ignores SIGINT, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    return process


def ending(out: Path) -> tuple:
    """What must be equal: labels, history, and the rows but for what was measured."""
    measured = {"seconds", "compile_seconds", "peak_memory_mb"}
    lines = read_json_lines(out / "results.jsonl")
    rows = [{name: line[name] for name in line.keys() - measured} for line in lines]
    return (
        np.load(out / "labels.npy", allow_pickle=False).tolist(),
        (out / "history.csv").read_text(),
        rows,
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def kills(folder: Path, images: np.ndarray, times: int, seed: int = 0):
    """Kills ``times`` runs, each once, and resumes them.

    Yields:
      For each run the signal, the moment of the kill in seconds, whether a checkpoint was half
      written then, and whether the run ended as one that was not killed.
    """
    data = folder / "data.npz"
    cache = folder / "cache"
    np.savez(data, images=images)
    finish(begin(data, folder / "warm", cache))
    clock = time.monotonic()
    finish(begin(data, folder / "whole", cache))
    seconds = time.monotonic() - clock
    whole = ending(folder / "whole")
    draw = random.Random(seed)
    for number in range(times):
        out = folder / f"killed-{number}"
        by = SIGNALS[number % len(SIGNALS)]
        waits = by == signal.SIGKILL and number % 8 < 4
        killed = None
        half = False
        # A run that had ended before its moment, or a checkpoint just in place, is another try.
        while killed is None or half < waits:
            shutil.rmtree(out, ignore_errors=True)
            moment = draw.uniform(0, seconds)
            killed, half = kill(begin(data, out, cache), by, moment, out if waits else None)
        finish(begin(data, out, cache))
        yield by, killed, half, ending(out) == whole
        shutil.rmtree(out)


def kill(
    process: subprocess.Popen, by: signal.Signals, moment: float, out: Path | None
) -> tuple[float | None, bool]:
    """Kills a run after so many seconds.

    Args:
      process: the run.
      by: the signal.
      moment: in seconds.
      out: the run's folder, to wait until a checkpoint there is half written; or None.

    Returns:
      When it was killed, None if it had ended, and whether a checkpoint was half written.
    """
    clock = time.monotonic()
    while process.poll() is None and time.monotonic() - clock < moment:
        time.sleep(0.001)
    while process.poll() is None and out is not None and not half_written(out):
        pass
    killed = time.monotonic() - clock
    process.send_signal(by)
    _, errors = process.communicate()
    if by != signal.SIGKILL and process.returncode > 0:
        assert process.returncode == 128 + by, errors
        assert "Traceback" not in errors
    # Python itself, before it has loaded the command, ends by the signal.
    if process.returncode not in (128 + by, -by):
        assert process.returncode == 0, errors
        killed = None
    return killed, out is not None and half_written(out)


def half_written(out: Path) -> bool:
    """Whether a checkpoint is being written, and is not yet renamed into its place."""
    return any(out.glob("checkpoint/*/*orbax-checkpoint-tmp*"))


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(tmp_path, few_digits):
    ends = list(kills(tmp_path, few_digits[0], 5))
    assert [equal for *_, equal in ends] == [True] * 5, ends


def main() -> None:
    """Prints a line for each kill; the exit status is 1 unless all runs end alike."""
    from sklearn.datasets import load_digits

    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    images = np.round(load_digits().images[:300] * (255 / 16)).astype(np.uint8)
    alike = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (by, moment, half, equal) in enumerate(kills(Path(folder), images, times), 1):
            alike += equal
            where = ", a checkpoint half written" if half else ""
            end = "equal" if equal else "NOT EQUAL"
            print(f"{number:3}: {by.name} after {moment:.2f} s{where}; {end}", flush=True)
    print(f"{alike} of {times} endings equal")
    sys.exit(alike < times)


if __name__ == "__main__":
    main()
