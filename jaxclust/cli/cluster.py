"""The cells of a sweep on a Dask cluster: one task a cell, the same folder as without.

Dask decides where a task runs and begins it again where its worker is lost. A task starts
``jaxclust fit`` in a process of its own, as a sweep on one machine does. All machines have to see
the images and the folder of the sweep at the same paths.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxclust.cli import cells, signals
from jaxclust.cli.plain_text import plain
from jaxclust.cli.workers import GPU, LOCAL_GPUS, beating, has_worker, own_gpu
from jaxclust.engine import stopping
from jaxclust.errors import UsageError
from jaxclust.runs.lock import check_free
from jaxclust.runs.sweeps import SweepCell

RETRIES = 2
"""How often a cell begins again whose process was killed, as by a system without memory."""
LOOK_SECONDS = 1.0
"""How often a task looks whether the command was asked to stop."""
SILENT_SECONDS = 60.0
"""A task whose command was silent for so long stops its cell with a checkpoint."""
LOCK_SECONDS = 60.0
"""How long a cell waits until its predecessor on a lost worker has let go of its folder."""
STOP_SECONDS = 60.0
"""How long the command waits for cells that were asked to stop."""


class Job(NamedTuple):
    """A cell that is to run, and how.

    Attributes:
      cell: the cell; those of a plan that are finished have no job.
      number: its place in the plan.
      more: arguments of this start alone.
      after: the place of the cell whose pretraining it waits for; None for none.
    """

    cell: SweepCell
    number: int
    more: tuple[str, ...] = ()
    after: int | None = None


class Where(NamedTuple):
    """What each task of a sweep is told.

    Attributes:
      out: the sweep's folder.
      directory: where paths begin.
      deadline: on ``time.time``'s clock, where cells stop with a checkpoint; None for never.
      stop: name of the event that asks them to stop, and of the variable that the command sets
        again and again while it is there.
    """

    out: str
    directory: str
    deadline: float | None
    stop: str


class Killed(Exception):
    """A cell's process was killed; the arguments are the signal's number and the last words."""


def plan_jobs(
    planned: Sequence[SweepCell], more: Sequence[Sequence[str]], shared: Sequence[Path | None]
) -> list[Job]:
    """The cells that are to run, and which of them wait for another's pretraining.

    Cells that share a pretraining wait for the first of them, which does it. Nothing else waits.

    Args:
      planned: all cells.
      more: arguments of each cell's start.
      shared: for each cell the folder of a finished one with its pretraining, or None.
    """
    jobs = []
    leaders: dict[tuple[str, ...], int] = {}
    for number, (cell, words, folder) in enumerate(zip(planned, more, shared, strict=True)):
        if cell.status == "finished":
            continue
        after = None
        own = list(words)
        if folder is not None:
            own += ["--pretrained", str(folder)]
        elif cell.shares is not None:
            leader = leaders.setdefault((cell.shares, *cell.arguments[:2]), number)
            after = None if leader == number else leader
        jobs.append(Job(cell, number, tuple(own), after))
    return jobs


def run(
    jobs: Sequence[Job],
    client: Any,
    where: tuple[Path, float | None, bool],
    ended: Callable[[int, SweepCell], None],
) -> None:
    """Runs cells on a cluster, and says how each ended.

    Args:
      jobs: the cells, each behind the one that it waits for.
      client: of the cluster, see ``connected``.
      where: the sweep's folder, the seconds that all cells together may take or None, and whether
        progress is left out.
      ended: called with the place of each cell and the cell, in the order in which they end.

    Raises:
      KeyboardInterrupt: the command was asked to stop; cells that ran have stopped.
    """
    from distributed import Event, as_completed

    out, seconds, quiet = where
    deadline = None if seconds is None else time.time() + seconds
    told = Where(str(out.absolute()), os.getcwd(), deadline, f"jaxclust-{uuid.uuid4().hex}")
    if not has_worker(client, seconds):
        return
    with beating(client, told.stop):
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        needs = {GPU: 1} if any(GPU in worker["resources"] for worker in workers) else None
        begun: dict[str, Job] = {}
        futures: list[Any] = []

        def begin(job: Job, leader: SweepCell | None) -> Any:
            key = f"{told.stop}-{job.cell.folder}"
            begun[key] = job
            task = (in_task, job, told, leader)
            future = client.submit(*task, key=key, retries=RETRIES, resources=needs)
            futures.append(future)
            return future

        stop = Event(told.stop, client=client)
        try:
            # A task that waited for a future would fail with it.
            first = [begin(job, None) for job in jobs if job.after is None]
            ends = as_completed(first, loop=client.loop)
            for future in ends:
                job = begun[future.key]
                cell = _how_ended(job.cell, Path(told.out), future)
                for other in jobs:
                    if other.after == job.number:
                        ends.add(begin(other, cell))
                if not quiet:
                    line = f"{cell.method} on {cell.data}: {cell.status}, {cell.seconds:.0f} s"
                    print(f"jaxclust: {plain(line)}", file=sys.stderr, flush=True)
                ended(job.number, cell)
        except BaseException:
            stop.set()
            waiting = [future for future in futures if future.status == "pending"]
            client.cancel([future for future in waiting if not _runs(client, future)], force=True)
            _await_stop(client, waiting)
            raise


def in_task(job: Job, where: Where, leader: SweepCell | None) -> SweepCell:
    """Runs a cell in a process of this worker's machine: what Dask calls.

    Args:
      job: the cell.
      where: what each task is told.
      leader: how the cell ended that this one has waited for, or None.

    Returns:
      The cell as it ended, or as it was where time has run out.

    Raises:
      Killed: the process was killed, so that Dask may begin it again.
    """
    from distributed import Event, Variable, get_worker

    began = time.time()
    if where.deadline is not None and began >= where.deadline:
        return job.cell
    out = Path(where.out)
    more = list(job.more)
    if leader is not None and leader.status == "finished":
        folder = out / leader.folder
        if (folder / "checkpoint" / "pretrain").is_dir():
            more += ["--pretrained", str(folder)]
    folder = out / job.cell.folder
    seconds = None if where.deadline is None else where.deadline - began
    words = [*cells.words_of(job.cell, folder, seconds, more), "--quiet"]
    stop = Event(where.stop)
    if stop.is_set():
        return job.cell
    _await_lock(folder, stop)
    with tempfile.TemporaryFile() as errors:
        options = signals.child_options()
        names = [name for name in os.environ.get(LOCAL_GPUS, "").split(",") if name]
        options["env"] = options.get("env", dict(os.environ)) | own_gpu(get_worker().name, names)
        process = cells.started(words, errors, options | {"cwd": where.directory})
        try:
            code = _waited(process, stop, Variable(where.stop))
        finally:
            if process.poll() is None:  # The scheduler is gone.
                process.terminate()
        size = errors.seek(0, os.SEEK_END)
        errors.seek(max(0, size - cells.LOG_BYTES))
        text = errors.read().decode(errors="replace")
    cell = dataclasses.replace(job.cell, seconds=round(time.time() - began, 3))
    if code < 0 and not stop.is_set():
        raise Killed(-code, text)
    return cells.ended(cell, folder, code, text)


def _await_lock(folder: Path, stop: Any) -> None:
    """Waits until a process that was here before has let go of a cell's folder.

    Dask moves a cell as soon as its worker is lost; the cell's process stops a little later. After
    a minute the cell itself says who holds its folder.
    """
    until = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < until and not stop.is_set():
        try:
            check_free(folder)
            return
        except UsageError:
            time.sleep(LOOK_SECONDS)


def _waited(process: subprocess.Popen, stop: Any, beat: Any) -> int:
    """The exit status of a process, which is ended with a checkpoint where an event says so.

    It ends so, too, where the command has not changed a variable for ``SILENT_SECONDS``.
    """
    asked = False
    last = None
    heard = time.monotonic()
    while True:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if asked:
                continue
        now = beat.get(timeout=SILENT_SECONDS)
        if now != last:
            last = now
            heard = time.monotonic()
        if stop.is_set() or time.monotonic() - heard > SILENT_SECONDS:
            asked = True
            process.send_signal(signal.SIGTERM)


def _how_ended(cell: SweepCell, out: Path, future: Any) -> SweepCell:
    """How a cell ended, from its task."""
    from distributed import KilledWorker

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Killed):
        number, text = error.args
        return cells.ended(cell, out / cell.folder, -number, text)
    what = "its worker was lost" if isinstance(error, KilledWorker) else "its task failed"
    reason = " ".join(f"{what}: {error}".split())
    return dataclasses.replace(cell, status="failed", reason=reason, log=repr(error))


def _runs(client: Any, future: Any) -> bool:
    """Whether a worker has a task already."""
    return any(future.key in keys for keys in client.processing().values())


def _await_stop(client: Any, futures: Sequence[Any]) -> None:
    """Waits until the tasks that run have stopped their processes; a second signal ends at once."""
    until = time.monotonic() + STOP_SECONDS
    # A cluster that is gone has nothing that could be waited for.
    with contextlib.suppress(OSError, TimeoutError), stopping.answered():
        while time.monotonic() < until and any(_runs(client, future) for future in futures):
            time.sleep(0.2)
