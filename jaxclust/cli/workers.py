"""Dask's workers: those of a cluster that runs already, or one for each GPU of this machine."""

import contextlib
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from jaxclust.errors import UsageError

LOCAL = "local"
"""The address that starts a cluster on this machine."""
GPU = "GPU"
"""The resource of which a task takes one, where workers say that they have it."""
CORES = 2
"""Cores of a worker that is started here on a machine without GPUs."""
CONNECT_SECONDS = 30.0
BEAT_SECONDS = 5.0
"""How often the command tells tasks that it is there."""


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
    arguments = {
        "n_workers": max(1, min(jobs, count)),
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": 50,
    }
    gpus = {"resources": {GPU: 1}, "env": {LOCAL_GPUS: ",".join(names)}}
    return {**arguments, **gpus} if names else arguments


@contextlib.contextmanager
def connected(address: str, jobs: int) -> Iterator[Any]:
    """A client of a cluster; one that is started here ends with it.

    Args:
      address: of Dask's scheduler, or ``LOCAL``.
      jobs: number of cells.

    Raises:
      UsageError: the scheduler does not answer.
    """
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        # It would write a block of lines for each task that fails or is left out.
        logger = logging.getLogger("distributed.client")
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)
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


def has_worker(client: Any, seconds: float | None) -> bool:
    """Waits for the first worker; whether there is one before time has run out."""
    if client.scheduler_info(n_workers=-1)["workers"]:
        return True
    line = f"jaxclust: waits for a worker at {client.scheduler.address}"
    print(line, file=sys.stderr, flush=True)
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        return False
    return True


@contextlib.contextmanager
def beating(client: Any, name: str) -> Iterator[None]:
    """Tells tasks again and again that the command is there."""
    from distributed import Variable

    over = threading.Event()
    beat = Variable(name, client=client)
    beat.set(0)

    def tell() -> None:
        # A cluster that is gone has no task that could listen.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            for count in itertools.count(1):
                if over.wait(BEAT_SECONDS):
                    return
                beat.set(count)

    thread = threading.Thread(target=tell, daemon=True, name="beat")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(BEAT_SECONDS)


def _deaf() -> None:
    """Keeps Ctrl-C from a worker: a terminal sends it to all that a command has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
