"""Memory and time of a streamed run over the number of images: ``python -m benchmarks.stream``.

Files of 28x28 images are made from MNIST, each image moved by up to 3 pixels. ``jaxclust fit ccnn
--stream`` clusters each file in a process of its own, one epoch and one seed. Anonymous memory
(RssAnon in /proc) is read while the process runs: pages of the mapped file do not count there. A
row is appended to ``experiments/results/stream.jsonl`` for each number of images that has none; the
table in docs/results.md is made from these rows.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.rows import append_row, read_rows
from jaxclust.data import datasets
from jaxclust.engine.clocks import Stopwatch
from jaxclust.runs.rows import read_results

COUNTS = (100_000, 300_000, 1_000_000)
SHIFT = 3
POLL_SECONDS = 0.02


class Row(NamedTuple):
    """A streamed run.

    Attributes:
      images: number of images.
      flags: further flags of the command.
      anonymous_mb: largest anonymous memory, MB of 10^6 bytes.
      wall_s: seconds of the whole process.
      training_s: seconds of training, without compilation.
      compile_s: seconds of compiling.
      images_per_s: images a second of training.
      failed: the step at which the seed met a NaN or inf; None for none.
      versions: of the packages that decide the numbers.
      device: what the run ran on.
    """

    images: int
    flags: str
    anonymous_mb: int
    wall_s: float
    training_s: float
    compile_s: float
    images_per_s: int
    failed: int | None
    versions: dict[str, str]
    device: str


def moved(path: Path, n: int) -> None:
    """Writes n images, uint8 (n, 28, 28), each an image of MNIST moved at random on black."""
    mnist = datasets.load("mnist").images[..., 0]
    draw = np.random.default_rng(0)
    beside = path.with_name(f".{path.name}.part")
    out = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=(n, 28, 28))
    for first in range(0, n, len(mnist)):
        part = mnist[: n - first]
        padded = np.pad(part, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
        corner = draw.integers(0, 2 * SHIFT + 1, (len(part), 2))
        rows = corner[:, 0, None] + np.arange(28)
        columns = corner[:, 1, None] + np.arange(28)
        images = np.arange(len(part))[:, None, None]
        out[first : first + len(part)] = padded[images, rows[:, :, None], columns[:, None]]
    out.flush()
    beside.rename(path)


def measure(n: int, folder: Path, flags: list[str]) -> Row:
    """The row of one run in a process of its own.

    Args:
      n: number of images.
      folder: for the file of images and the run.
      flags: further flags of the command.
    """
    file = folder / f"moved-{n}.npy"
    out = folder / f"run-{n}"
    if not file.exists():
        moved(file, n)
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "jaxclust", "fit", "ccnn", "--stream", "--data", str(file)]
    command += ["--out", str(out), "--clusters", "10", "--seeds", "1"]
    command += ["--preset", "random", "--epochs", "1", *flags]
    watch = Stopwatch()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    status = Path(f"/proc/{process.pid}/status")
    peak = 0
    while process.poll() is None:
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon"):
                peak = max(peak, int(line.split()[1]))
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"the run on {n} images ended with {process.returncode}")
    wall = watch.read().seconds
    (result,) = read_results(out)
    assert result.seconds is not None  # The run has just been timed.
    assert result.compile_seconds is not None
    return Row(
        images=n,
        flags=" ".join(flags),
        anonymous_mb=round(peak * 1024 / 1e6),
        wall_s=round(wall, 1),
        training_s=result.seconds,
        compile_s=result.compile_seconds,
        images_per_s=round(n / result.seconds),
        failed=result.failed,
        versions=result.versions or {},
        device=result.device or "",
    )


def main() -> None:
    """Runs the numbers of images whose rows are missing, and prints and keeps their rows."""
    parser = argparse.ArgumentParser(
        description="Memory and time of a streamed run over the number of images."
    )
    counts = ",".join(map(str, COUNTS))
    parser.add_argument(
        "--counts", default=counts, help="numbers of images, by comma (default: %(default)s)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("runs/stream"),
        help="folder for files and runs (default: %(default)s)",
    )
    parser.add_argument("--flags", default="", help="further flags of jaxclust fit")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    present = {(row["images"], row["flags"]) for row in read_rows("stream")}
    for n in map(int, options.counts.split(",")):
        if (n, options.flags) not in present:
            row = measure(n, options.folder, options.flags.split())._asdict()
            append_row("stream", row)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
