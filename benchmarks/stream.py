"""Memory and time of a streamed run over the number of images: ``python -m benchmarks.stream --help``.

Files of 28x28 images are made from MNIST, each image moved by up to 3 pixels; ``jaxclust fit ccnn --stream`` runs in
a process for each, one epoch, one seed. Anonymous memory (RssAnon of /proc) is read while they run: pages of
the mapped file belong to the file.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from experiments import common
from jaxclust.data import datasets
from jaxclust.runs.files import read_rows

RESULTS = Path(__file__).parents[1] / "experiments" / "results" / "stream.jsonl"
COUNTS = (100_000, 300_000, 1_000_000)
SHIFT = 3
POLL_SECONDS = 0.02


def moved(path: Path, n: int) -> None:
    """Writes n images, uint8 (n, 28, 28), each one of MNIST's moved at random, the rest of it black."""
    mnist = datasets.load("mnist").images[..., 0]
    draw = np.random.default_rng(0)
    beside = path.with_name(f".{path.name}.part")
    out = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=(n, 28, 28))
    for first in range(0, n, len(mnist)):
        part = mnist[: n - first]
        padded = np.pad(part, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
        corner = draw.integers(0, 2 * SHIFT + 1, (len(part), 2))
        rows, columns = (corner[:, i, None] + np.arange(28) for i in (0, 1))
        out[first : first + len(part)] = padded[
            np.arange(len(part))[:, None, None], rows[:, :, None], columns[:, None]
        ]
    out.flush()
    beside.rename(path)


def measure(n: int, folder: Path, flags: list[str]) -> dict:
    """One run in a process of its own: a row."""
    file, out = folder / f"moved-{n}.npy", folder / f"run-{n}"
    if not file.exists():
        moved(file, n)
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "jaxclust.cli",
        "fit",
        "ccnn",
        "--stream",
        "--data",
        str(file),
        "--out",
        str(out),
    ]
    command += ["--clusters", "10", "--seeds", "1", "--preset", "random", "--epochs", "1", *flags]
    clock, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        lines = status.read_text().splitlines()
        peak = max(peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"the run on {n} images ended with {process.returncode}")
    wall = time.perf_counter() - clock
    (row,) = read_rows(out / "results.jsonl")
    return {
        "images": n,
        "flags": " ".join(flags),
        "anonymous_mb": round(peak * 1024 / 1e6),
        "wall_s": round(wall, 1),
        "training_s": row["seconds"],
        "compile_s": row["compile_seconds"],
        "images_per_s": round(n / row["seconds"]),
        "failed": row["failed"],
        "versions": row["versions"],
        "device": row["device"],
    }


def table() -> str:
    """The rows as Markdown."""
    lines = [
        [
            "images",
            "anonymous memory, MB",
            "training, s",
            "images a second",
            "with labels and compilation, s",
        ]
    ]
    for row in common.rows(RESULTS):
        cells = [
            row["images"],
            row["anonymous_mb"],
            row["training_s"],
            row["images_per_s"],
            row["wall_s"],
        ]
        lines.append([f"{cell:,}" for cell in cells])
    return common.markdown(lines)


def main() -> None:
    """Runs the counts whose rows are missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--counts",
        default=",".join(map(str, COUNTS)),
        help="images, by comma (default: %(default)s)",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/stream"), help="of files and runs (%(default)s)"
    )
    parser.add_argument("--flags", default="", help="further flags of jaxclust fit")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    if not options.table:
        options.folder.mkdir(parents=True, exist_ok=True)
        present = {(row["images"], row["flags"]) for row in common.rows(RESULTS)}
        for n in map(int, options.counts.split(",")):
            if (n, options.flags) not in present:
                common.add(RESULTS, [measure(n, options.folder, options.flags.split())])
    print(table())


if __name__ == "__main__":
    main()
