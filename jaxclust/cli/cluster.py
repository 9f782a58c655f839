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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxclust import stopping
from jaxclust.cli import cells, signals
from jaxclust.cli.plain_text import plain
from jaxclust.errors import UsageError
from jaxclust.runs.sweeps import SweepCell

LOCAL = "local"
"""The address that starts a cluster on this machine."""
RETRIES = 2
"""How often a cell begins again whose process was killed, as by a system without memory."""
GPU = "GPU"
"""The resource of which a task takes one, where workers say that they have it."""
CORES = 2
"""Cores of a worker that is started here on a machine without GPUs."""
LOOK_SECONDS = 1.0
"""How often a task looks whether the command was asked to stop."""
CONNECT_SECONDS = 30.0
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
      stop: name of the event that asks them to stop.
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


def check(address: str) -> None:
    """Refuses a cluster that cannot be used here, before any work.

    Raises:
      UsageError: Dask is not installed, or the address is none.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        rule = "scheduler: must have Dask installed, pip install 'jaxclust[cluster]'"
        raise UsageError(f"{rule}, got none ({error})") from error
    host, colon, port = address.removeprefix("tcp://").removeprefix("tls://").rpartition(":")
    if address != LOCAL and not (host and colon and port.isdecimal()):
        rule = f"scheduler: must be {LOCAL} or an address such as tcp://10.0.0.1:8786"
        raise UsageError(f"{rule}, got {address!r}")


def run(
    jobs: Sequence[Job],
    address: str,
    where: tuple[Path, float | None, bool],
    ended: Callable[[int, SweepCell], None],
) -> None:
    """Runs cells on a cluster, and says how each ended.

    Args:
      jobs: the cells, each behind the one that it waits for.
      address: of Dask's scheduler, or ``LOCAL``.
      where: the sweep's folder, the seconds that all cells together may take or None, and whether
        progress is left out.
      ended: called with the place of each cell and the cell, in the order in which they end.

    Raises:
      UsageError: the scheduler does not answer.
      KeyboardInterrupt: the command was asked to stop; cells that ran have stopped.
    """
    from distributed import Event, as_completed

    out, seconds, quiet = where
    deadline = None if seconds is None else time.time() + seconds
    told = Where(str(out.absolute()), os.getcwd(), deadline, f"jaxclust-{uuid.uuid4().hex}")
    with _client(address, len(jobs)) as client:
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
    from distributed import Event, get_worker

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
    with tempfile.TemporaryFile() as errors:
        options = signals.child_options()
        names = [name for name in os.environ.get(LOCAL_GPUS, "").split(",") if name]
        options["env"] = options.get("env", dict(os.environ)) | own_gpu(get_worker().name, names)
        process = subprocess.Popen(
            [sys.executable, "-m", "jaxclust", "fit", *words],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=where.directory,
            **options,
        )
        code = _waited(process, stop)
        size = errors.seek(0, os.SEEK_END)
        errors.seek(max(0, size - cells.LOG_BYTES))
        text = errors.read().decode(errors="replace")
    cell = dataclasses.replace(job.cell, seconds=round(time.time() - began, 3))
    if code < 0 and not stop.is_set():
        raise Killed(-code, text)
    return cells.ended(cell, folder, code, text)


def own_gpu(worker: object, names: Sequence[str]) -> dict[str, str]:
    """The variable that gives a worker of a cluster that was started here its own GPU.

    Args:
      worker: its name: a number where the cluster was started here.
      names: of the GPUs here; none where the cluster was started by somebody else, who decides.
    """
    if not isinstance(worker, int) or not names:
        return {}
    return {"CUDA_VISIBLE_DEVICES": names[worker % len(names)]}


LOCAL_GPUS = "JAXCLUST_LOCAL_GPUS"
"""Variable of workers that were started here, with the names of the GPUs, one a worker."""


def gpus() -> list[str]:
    """The names of the GPUs that may be used here, as ``CUDA_VISIBLE_DEVICES`` has them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))]


def local_workers(jobs: int, names: Sequence[str], cores: int) -> dict[str, Any]:
    """Arguments of ``distributed.LocalCluster`` for a cluster on this machine.

    Args:
      jobs: number of cells.
      names: of the GPUs here.
      cores: of this machine.
    """
    count = len(names) or max(1, cores // CORES)
    arguments: dict[str, Any] = {
        "n_workers": max(1, min(jobs, count)),
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": ":0",
        "silence_logs": 50,
    }
    if names:
        arguments |= {"resources": {GPU: 1}, "env": {LOCAL_GPUS: ",".join(names)}}
    return arguments


@contextlib.contextmanager
def _client(address: str, jobs: int) -> Iterator[Any]:
    """A client of the cluster; one that was started here ends with it."""
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        place: Any = address
        if address == LOCAL:
            arguments = local_workers(jobs, gpus(), os.cpu_count() or 1)
            place = stack.enter_context(LocalCluster(**arguments))
        try:
            client = Client(place, timeout=CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            rule = "scheduler: must be the address of a Dask scheduler that answers"
            raise UsageError(f"{rule}, got {address} ({error})") from error
        stack.enter_context(client)
        if address == LOCAL:
            client.run(_deaf)
        yield client


def _deaf() -> None:
    """Keeps Ctrl-C from a worker: a terminal sends it to all that a command has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _waited(process: subprocess.Popen, stop: Any) -> int:
    """The exit status of a process, which is ended with a checkpoint where an event says so."""
    asked = False
    while True:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if not asked and stop.is_set():
                asked = True
                process.send_signal(signal.SIGTERM)


def _how_ended(cell: SweepCell, out: Path, future: Any) -> SweepCell:
    """How a cell ended, from its task."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Killed):
        number, text = error.args
        return cells.ended(cell, out / cell.folder, -number, text)
    reason = " ".join(f"its worker was lost: {error}".split())
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
