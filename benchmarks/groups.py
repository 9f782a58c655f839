"""Groups of real pictures by ``jaxclust group``: ``python -m benchmarks.groups``.

Each case is the command in a process of its own with an empty cache, so that the features are
computed. The folders' names are the known kinds, which only the score looks at. "halves" groups
every second picture, and adds the others with ``--add``. "100,000 files" are pictures of
cifar10-test, each ten times, moved by up to 4 pixels; their command is killed after a third of the
files, and begun again. A row is appended to ``experiments/results/groups.jsonl`` for each case that
has none; docs/results.md has the table.
"""

import argparse
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.rows import append_row, read_rows
from jaxclust.evaluation import agreement, metrics
from jaxclust.runs.rows import device_name
from jaxclust.types import Json

COPIES = 10
SHIFT = 4
KILLED_AT = 1 / 3
"""Share of the files after which the largest case is killed."""


class Case(NamedTuple):
    """A folder of pictures and the options of the command.

    Attributes:
      name: of the row.
      data: the folder in $JAXCLUST_DATA.
      words: the options of ``jaxclust group``.
      baseline: ACC of k-means on pixels is measured, too.
    """

    name: str
    data: str
    words: tuple[str, ...] = ()
    baseline: bool = False


CASES = (
    Case("photos-10, 10 groups", "photos-10", ("--clusters", "10"), True),
    Case("photos-10, estimated number", "photos-10"),
    Case("photos-10, SqueezeNet", "photos-10", ("--clusters", "10", "--features", "squeezenet")),
    Case("photos-10, one half", "photos-10", ("--clusters", "10")),
    Case("photos-10, the other half added", "photos-10", ("--clusters", "10", "--add", "other")),
    Case("cifar10-test, 10 groups", "cifar10-test", ("--clusters", "10"), True),
    Case("cifar10-test, estimated number", "cifar10-test"),
    Case("100,000 files, killed and begun again", "cifar10-test", ("--clusters", "10")),
)


def halves(source: Path, folder: Path) -> None:
    """Links every second file of each kind into ``half``, the rest into ``other``."""
    for place, path in enumerate(sorted(source.glob("*/*"))):
        target = folder / ("half", "other")[place % 2] / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to(path.resolve())


def moved(source: Path, folder: Path) -> None:
    """Writes each picture COPIES times, moved at random around its border, as .png files."""
    from PIL import Image

    if (folder / "whole").exists():
        return
    draw = np.random.default_rng(0)
    for path in sorted(source.glob("*/*")):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(Image.open(path).convert("RGB"))
        for copy, shift in enumerate(draw.integers(-SHIFT, SHIFT + 1, (COPIES, 2))):
            image = Image.fromarray(np.roll(pixels, shift, (0, 1)))
            image.save(folder / path.parent.name / f"{path.stem}-{copy}.png", compress_level=1)
    (folder / "whole").write_text("")


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
      seconds: of the process.
      peak_mb: its largest memory, MB of 10^6 bytes.
      errors: what it wrote to stderr.
    """

    seconds: float
    peak_mb: int
    errors: str


def run(words: list[str], folder: Path, kill_at: int | None = None) -> Ended:
    """Runs ``jaxclust`` in a folder.

    Args:
      words: what follows ``jaxclust``.
      folder: its current directory, which has its cache, too.
      kill_at: number of pictures after which the process is killed.
    """
    environment = dict(os.environ, JAXCLUST_CACHE=str(folder / "cache"))
    root = str(Path(__file__).parents[1])
    environment["PYTHONPATH"] = root
    log = folder / "errors.txt"
    begin = time.monotonic()
    with log.open("w") as errors:
        command = [sys.executable, "-m", "jaxclust", *words]
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=errors)
        while kill_at is not None and process.poll() is None and _done(log) < kill_at:
            time.sleep(0.5)
        if kill_at is not None:
            process.send_signal(signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    if kill_at is None and status:
        raise SystemExit(f"{' '.join(words)} ended with {status}: {log.read_text()[-500:]}")
    return Ended(seconds, round(usage.ru_maxrss * 1024 / 1e6), log.read_text())


def _done(log: Path) -> int:
    """The number of pictures that the progress bar of features shows."""
    found = re.findall(r"features[^\n\r|]*\|[^|]*\| (\d+)/", log.read_text())
    return int(found[-1]) if found else 0


def measure(case: Case, folder: Path) -> dict[str, Json]:
    """The row of a case, made in a folder."""
    source = Path(os.environ["JAXCLUST_DATA"]).resolve() / case.data
    pictures = source
    row: dict[str, Json] = {
        "case": case.name,
        "command": " ".join(("group", case.data, *case.words)),
    }
    if "half" in case.name:
        halves(source, folder)
        pictures = folder / "half"
    if "100,000" in case.name:
        pictures = folder / "moved"
        moved(source, pictures)
    out = folder / case.name.replace(", ", "-").replace(" ", "-")
    words = ["group", str(pictures), *case.words, "--out", str(out)]
    if "added" in case.name:
        run([*words[:4], "--out", str(out)], folder)  # The groups that the others are added to.
    elif "100,000" not in case.name:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
    else:
        files = sum(1 for _ in pictures.glob("*/*.png"))
        killed = run(words, folder, int(KILLED_AT * files))
        row |= {"killed_after_s": round(killed.seconds, 1), "killed_at": int(KILLED_AT * files)}
    ended = run(words, folder)
    row |= {"wall_s": round(ended.seconds, 1), "peak_mb": ended.peak_mb} | scores(
        out, "added" in case.name
    )
    if case.baseline:
        row["kmeans_on_pixels_acc"] = on_pixels(source)
    return row | {"device": device_name()}


def scores(out: Path, added: bool) -> dict[str, Json]:
    """Number of pictures and groups, and scores against the folders' names.

    Args:
      out: the folder of results.
      added: score the added pictures alone, by the matching of groups to kinds of the others.
    """
    with (out / "groups.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    names = [line["file"].split("/")[-2] for line in lines]
    kinds = np.unique(names, return_inverse=True)[1]
    groups = np.array([int(line["group"]) for line in lines])
    others = np.array([line["file"].startswith("..") for line in lines])
    counted = others if added else ~others
    found = metrics.scores(kinds[counted], groups[counted])
    if added:
        count = int(max(kinds.max(), groups.max())) + 1
        matching = agreement.numbering(groups[~others], kinds[~others], count)
        found["acc"] = float(np.mean(matching[groups[others]] == kinds[others]))
    row: dict[str, Json] = {"pictures": int(counted.sum()), "groups": len(np.unique(groups))}
    return row | {name: round(found[name], 4) for name in ("acc", "nmi", "ari")}


def on_pixels(source: Path) -> float:
    """Mean ACC of k-means on the pixels, five seeds."""
    import jaxclust as jc

    data = jc.load(source)
    scored = jc.fit("kmeans", data, seeds=5, progress=False).scores(data.labels)
    return round(float(np.mean([row.acc or 0.0 for row in scored.rows])), 4)


def main() -> None:
    """Runs the cases whose rows are missing, and prints and keeps their rows."""
    parser = argparse.ArgumentParser(description="Groups of real pictures by jaxclust group.")
    parser.add_argument(
        "--cases", default="", help="run only those with this in their name (default: all)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("runs/groups"),
        help="folder for files, caches and results (default: %(default)s)",
    )
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    present = {str(row["case"]) for row in read_rows("groups")}
    for case in CASES:
        if options.cases in case.name and case.name not in present:
            row = measure(case, folder)
            append_row("groups", row)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
