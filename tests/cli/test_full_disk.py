"""A full disk: one line, nothing half written under a final name, and the run goes on afterwards.

A small file system in memory is filled to the last page but a few, so that each write of the
command is in turn the one that fails.
"""

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from commands import command, same
from jaxclust.engine import blocks, unfinished
from jaxclust.engine.clocks import Times
from jaxclust.engine.driver import Pending, Training
from jaxclust.engine.lanes import Lanes, Part
from jaxclust.errors import UsageError
from jaxclust.runs import files
from jaxclust.whole_files import whole

MOUNT = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=256m none "$0" && exec "$@"']


@pytest.fixture
def small_disk(tmp_path):
    """A folder to mount on, and what begins a command that has it mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    begin = [*MOUNT, str(folder)]
    try:
        ready = subprocess.run([*begin, "true"], capture_output=True).returncode == 0
    except OSError:
        ready = False
    if not ready:
        pytest.skip("no small file system can be mounted here")
    return folder, begin


# Fills the disk but for so many pages, runs the command, and prints its status, its last line and
# the files that are not whole; then with more pages, until the command comes to its end.
FILL = """
import contextlib, io, json, os, shutil, sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np
from PIL import Image
from jaxclust.cli.main import main
disk, begun, step, *words = sys.argv[1:]
disk, out = Path(disk), Path(disk) / "run"

def damaged(path):
    try:
        if path.suffix == ".npy":
            np.load(path, allow_pickle=False)
        elif path.suffix in (".json", ".jsonl"):
            [json.loads(line) for line in ([path.read_text()] if path.suffix == ".json"
                                           else path.read_text().splitlines())]
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix in (".csv", ".html"):
            assert path.read_bytes().endswith(b"\\n")
    except Exception as error:
        return repr(error)

free, status = 0, 2
while status:
    if begun:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(begun, out)
    filler = disk / "filler"
    for size in (2**20, 4096):
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(bytes(size)) == size:
                pass
    os.truncate(filler, max(filler.stat().st_size - 4096 * free, 0))
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        status = main(words)
    filler.unlink()
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("jaxclust: ")]
    found = [path for path in out.rglob("*") if path.is_file() and "checkpoint" not in path.parts]
    print(json.dumps({
        "free": free, "status": status, "lines": lines, "bug": "Traceback" in errors.getvalue(),
        "damaged": {str(path): damaged(path) for path in found
                    if not path.name.startswith(".") and damaged(path)},
        "parts": [path.name for path in found if path.name.endswith(".part")],
        "finished": (out / "results.jsonl").exists(),
    }), flush=True)
    free += int(step)
if out.exists():
    shutil.copytree(out, sys.argv[1] + "-end")
"""


def filled(small_disk, begun, words, step=1):
    """Runs the command with more and more room; a record for each time."""
    folder, begin = small_disk
    end = subprocess.run(
        [*begin, sys.executable, "-c", FILL, str(folder), str(begun), str(step), *words],
        capture_output=True,
        text=True,
        env=os.environ | {"JAXCLUST_CACHE": str(folder / "cache")},
    )
    assert end.returncode == 0, end.stderr[-2000:]
    return [json.loads(line) for line in end.stdout.splitlines()]


def check(records):
    """Each time but the last ended in one line, and left nothing half written."""
    assert len(records) > 3, "the disk was to be full a few times"
    for record in records[:-1]:
        assert record["status"] == 2, record
        assert len(record["lines"]) >= 1, record
        assert not record["bug"], record
    for record in records:
        assert not record["damaged"], record
        assert not record["parts"], record
    assert records[-1]["status"] == 0


@pytest.mark.slow
def test_every_write_of_a_run_that_ends(small_disk, finished, data, tmp_path):
    """The labels, tables, baseline, figures and rows of a run whose checkpoints are there."""
    begun = tmp_path / "begun"
    shutil.copytree(finished, begun)
    for name in ("results.jsonl", "labels.npy", "clusters.csv", "history.csv", "baseline.jsonl"):
        (begun / name).unlink()
    words = command(data, small_disk[0] / "run", "--resume --quiet --tensorboard --no-figures")
    records = filled(small_disk, begun, words)
    check(records)
    assert not any(record["finished"] for record in records[:-2])
    same(Path(f"{small_disk[0]}-end"), finished)


@pytest.mark.slow
def test_figures(small_disk, finished, data, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(finished, begun)
    shutil.rmtree(begun / "figures")
    words = command(data, small_disk[0] / "run", "--resume --quiet")
    records = filled(small_disk, begun, words, step=12)
    check(records)
    assert all(record["finished"] for record in records)
    assert any("the results are there" in line for record in records for line in record["lines"])


@pytest.mark.slow
def test_checkpoints(small_disk, finished, data):
    """From the start: each checkpoint is in turn the one that does not fit; the run goes on."""
    words = command(data, small_disk[0] / "run", "--resume --quiet --no-figures --no-baseline")
    records = filled(small_disk, "", words, step=4000)
    check(records)
    same(Path(f"{small_disk[0]}-end"), finished)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 3])
def test_the_page_of_runs_and_their_table(runs, small_disk, finished, tmp_path):
    """The page, and the table of several runs' consensus, are whole or not there."""
    folder = tmp_path / "begun"  # The command makes no folder for its page.
    folder.mkdir()
    page, table = (small_disk[0] / "run" / name for name in ("page.html", "consensus.csv"))
    words = ["report", *(f"run-{number}={finished}" for number in range(runs))]
    words += ["--out", str(page), "--consensus", str(table), "--overwrite"]
    check(filled(small_disk, folder, words, step=8 * runs))
    end = Path(f"{small_disk[0]}-end")
    text = (end / "page.html").read_text()
    assert text.endswith("</html>\n")
    assert all(f"run-{number}" in text for number in range(runs))
    with (end / "consensus.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 300 * runs


@pytest.mark.slow
def test_groups_of_pictures_and_their_features(small_disk, tmp_path):
    """The features' cache lies on the full disk, too; the same command goes on each time."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 80, (48, 48, 3), dtype=np.uint8)
        pixels[:, :, number % 3] += 120
        Image.fromarray(pixels).save(folder / f"{number}.png")
    words = ["group", str(folder), "--features", "dsift-pca", "--clusters", "3"]
    words += ["--out", str(small_disk[0] / "run")]
    records = filled(small_disk, "", words, step=6)
    check(records)
    with (Path(f"{small_disk[0]}-end") / "groups.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 24


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_cannot_be_written_leaves_nothing_and_is_named(tmp_path, monkeypatch, number):
    path = tmp_path / "clusters.csv"
    path.write_text("before\n")

    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        files.write_file(path, "after\n")
    assert caught.value.filename == str(path)

    def lines():
        yield [1]
        full()

    with pytest.raises(OSError, match=os.strerror(number)):
        files.write_csv(path, ["image"], lines())
    assert [entry.name for entry in tmp_path.iterdir()] == ["clusters.csv"]
    assert path.read_text() == "before\n"


def test_an_interrupt_leaves_no_part_of_a_file(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    class Images(list):
        in_order = interrupted

    with pytest.raises(KeyboardInterrupt):
        blocks.labels(None, None, Images([0] * 10), 5, tmp_path / "labels.npy", np.zeros(2, bool))
    assert list(tmp_path.iterdir()) == []
    lanes = Lanes(jax.random.key(0), {}, *[jnp.zeros(1, jnp.int32)] * 3)
    training = Training(lanes, {}, False, Pending(Part({}, {}), 1))
    real = Path.write_bytes

    def cut(path, content):
        real(path, content[:9])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(KeyboardInterrupt):
        unfinished.save(tmp_path / "cluster", {}, training, Times(1.0, 1.0))
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_a_file_that_is_read_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole(tmp_path / "labels.npy"):
        (tmp_path / "image.png").read_bytes()
    assert caught.value.filename == str(tmp_path / "image.png")


def test_labels_of_a_stream_take_their_space_first(tmp_path, monkeypatch):
    """A write to a mapped file on a full disk ends the process with SIGBUS."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(blocks.os, "posix_fallocate", full)
    with pytest.raises(UsageError, match="must be writable, got No space left on device"):
        blocks.labels(None, None, [0] * 10, 5, tmp_path / "labels.npy", np.zeros(2, bool))
    assert list(tmp_path.iterdir()) == []
