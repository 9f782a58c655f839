"""``jaxclust fit ... --distributed``: the same command in several processes, which make one run."""

import contextlib
import ctypes
import dataclasses
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from jaxclust.cli import signals, streams
from jaxclust.cli.options import Options, Request
from jaxclust.cli.plain_text import plain
from jaxclust.data.datasets import Dataset
from jaxclust.engine import peers, stopping
from jaxclust.engine.peers import Peers
from jaxclust.errors import UsageError

HEARTBEAT_SECONDS = 10
"""A process that was silent for so long is taken for dead, and the others end."""
CONNECT_SECONDS = 300
"""How long processes wait for each other at the start."""
TELL_SECONDS = 10
"""After so long a process says what it waits for."""
LOOK_SECONDS = 0.5
"""How often a process looks whether another one was asked to stop."""
STOP = "stop"
LEAVE = "leave"
REFUSED = "refused"
"""Name under which a process tells the others why it cannot take part."""
STATUS = 1
"""Exit status of a process whose run has lost another process."""
OF_PEERS = re.compile(
    r"UNAVAILABLE|Socket closed|Connection (closed|reset)|reset by peer|coordination|gloo|NCCL",
    re.I,
)
"""What an error of JAX says where another process has died."""


def check(options: Options) -> None:
    """Refuses options of several processes that cannot be, before any work.

    Raises:
      UsageError: an option breaks its rule.
    """
    named = {
        "coordinator": options.coordinator,
        "processes": options.processes,
        "process": options.process,
    }
    given = {name: value for name, value in named.items() if value is not None}
    if not options.distributed:
        for name, value in given.items():
            raise UsageError(f"{name}: must come with --distributed, got {value} without")
        return
    if options.clusters == "auto":
        raise UsageError("clusters: must be a number with --distributed, got auto")
    if options.pretrained is not None:
        rule = "pretrained: must not be given with --distributed"
        raise UsageError(f"{rule}, got {options.pretrained}")
    if given and len(given) < len(named):
        lacking = ", ".join(name for name in named if name not in given)
        rule = "coordinator: must be given together with --processes and --process"
        raise UsageError(f"{rule}, got none of {lacking}")
    if not given:
        return
    host, colon, port = str(options.coordinator).rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        rule = "coordinator: must be HOST:PORT, such as 10.0.0.1:7788"
        raise UsageError(f"{rule}, got {options.coordinator!r}")
    count = int(given["processes"])  # type: ignore[arg-type]
    number = int(given["process"])  # type: ignore[arg-type]
    if count < 2:
        raise UsageError(f"processes: must be at least 2 with --distributed, got {count}")
    if not 0 <= number < count:
        rule = f"process: must be from 0 to {count - 1} of {count} processes"
        raise UsageError(f"{rule}, got {number}")


def command(
    request: Request, dataset: Dataset | None, fit: Callable[[Request, Dataset | None], int]
) -> int:
    """Runs a request in this process, one of several.

    Args:
      request: as in each of the processes.
      dataset: the images where they were read already.
      fit: what carries the request out in a process alone.

    Returns:
      The exit status.

    Raises:
      UsageError: it cannot be carried out.
    """
    with joined(request.options) as here:
        given = request.options
        if not here.first:
            given = dataclasses.replace(given, quiet=True, figures=False, tensorboard=False)
        plan = dataclasses.replace(request.plan, peers=here)
        return fit(request._replace(options=given, plan=plan), dataset)


@contextlib.contextmanager
def joined(options: Options) -> Iterator[Peers]:
    """Joins the processes of a run, and gives the place of this one.

    Inside, a process ends with one line where another one has died. One that ends early itself ends
    without waiting for the others, which then do the same.

    Raises:
      UsageError: no other process is found.
    """
    import jax

    aside = streams.Aside()
    waits = [_meeting(options)]
    ended = _on_abort(lambda: _lost(aside, waits))
    try:
        here = _connected(options)
        waits.clear()
        over = threading.Event()
        watch = threading.Thread(
            target=_watch, args=(here, over), daemon=True, name="stop of others"
        )
        watch.start()
        try:
            yield here
            peers.meet(here, LEAVE)
        except UsageError as error:
            over.set()
            watch.join()
            _tell_refusal(here, str(error))
            raise
        finally:
            over.set()
            watch.join()
        jax.distributed.shutdown()
    except jax.errors.JaxRuntimeError as error:
        signals.end_at_once()
        if OF_PEERS.search(str(error)):
            # What is sent to a dead process fails before JAX tells of its death, which ends this.
            time.sleep(2 * HEARTBEAT_SECONDS)
        else:
            sys.stderr.write(aside.text())
        raise
    except BaseException:
        signals.end_at_once()
        raise
    finally:
        ended()
        aside.end()


def _meeting(options: Options) -> str:
    """What a process waits for at the start, in words."""
    if options.coordinator is None:
        return "the other processes"
    return f"{options.processes} processes at {options.coordinator}"


def _check_port(options: Options) -> None:
    """Refuses a port that something else listens to; JAX would try it for long, and then crash."""
    if options.coordinator is None or options.process != 0:
        return
    port = options.coordinator.rpartition(":")[2]
    with socket.socket() as tried:
        if sys.platform != "win32":
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", int(port)))
        except OSError as error:
            rule = "coordinator: must be a free port of process 0"
            raise UsageError(f"{rule}, got {port} ({error.strerror})") from error


@contextlib.contextmanager
def _told_after_a_while(line: str) -> Iterator[None]:
    """Writes a line to stderr where what is inside takes long."""
    timer = threading.Timer(TELL_SECONDS, lambda: _write(f"jaxclust: {line}\n"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _write(text: str) -> None:
    """Writes to stderr, past Python's buffers."""
    os.write(streams.error_number(), text.encode(errors="backslashreplace"))


def _connected(options: Options) -> Peers:
    """Finds the other processes as JAX does."""
    import jax

    _check_port(options)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM away from the command, which stops with a checkpoint by itself.
    jax.config.update("jax_enable_preemption_service", False)
    line = f"waits for {_meeting(options)}"
    try:
        with signals.nothing_to_lose(), _told_after_a_while(line):
            jax.distributed.initialize(
                options.coordinator,
                options.processes,
                options.process,
                initialization_timeout=CONNECT_SECONDS,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=HEARTBEAT_SECONDS,
            )
    except jax.errors.JaxRuntimeError as error:
        raise UsageError(_alone(_meeting(options))) from error
    except ValueError as error:
        rule = "distributed: must be under SLURM, Open MPI or Kubernetes, or with --coordinator"
        raise UsageError(f"{rule}, found no other process ({error})") from error
    from jax._src import distributed

    state = distributed.global_state
    if state.num_processes < 2:
        rule = "distributed: must be in at least 2 processes"
        raise UsageError(f"{rule}, found {state.num_processes}")
    return Peers(state.process_id, state.num_processes)


def _alone(others: str) -> str:
    """What is said where processes have not found each other."""
    rule = f"distributed: must find {others} within {CONNECT_SECONDS} s"
    return f"{rule}, and did not; nothing was begun"


def _watch(here: Peers, over: threading.Event) -> None:
    """Hands a wish to stop on to the other processes, and takes theirs, until ``over`` is set.

    Where another process has refused the run, this one says so, and ends.
    """
    import jax

    told = False
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # The main thread meets it, too.
        while not over.wait(LOOK_SECONDS):
            refused = peers.peek(REFUSED)
            if refused is not None:
                process, sentence = refused
                _write(f"jaxclust: process {process} of this run: {plain(sentence)}\n")
                time.sleep(_last_seconds(here))
                os._exit(2)
            if stopping.asked() and not told:
                told = True
                peers.put(STOP, True)
            elif not told and peers.peek(STOP):
                told = True
                stopping.ask(signal.SIGTERM)


def _tell_refusal(here: Peers, sentence: str) -> None:
    """Tells the other processes why this one ends, and waits until they have looked."""
    import jax

    with contextlib.suppress(jax.errors.JaxRuntimeError):  # They have ended already.
        if peers.peek(REFUSED) is None:
            peers.put(REFUSED, [here.process, " ".join(sentence.split())])
    time.sleep(_last_seconds(here))


def _last_seconds(here: Peers) -> float:
    """How long a process stays so that others can look: longest process 0, which has the store."""
    return (4 if here.first else 2) * LOOK_SECONDS


def _lost(aside: streams.Aside, waits: list[str]) -> None:
    """Ends this process in one line because another one has ended; other crashes are shown.

    Args:
      aside: what JAX wrote.
      waits: what this process waits for where it has not found the others yet.
    """
    try:
        text = aside.text()
        line = text
        if waits:
            line = f"jaxclust: {_alone(waits[0])}\n"
        elif "coordination" in text:
            line = f"jaxclust: {lost_line(text)}\n"
        os.write(streams.error_number(), line.encode(errors="backslashreplace"))
    finally:  # Also where a signal comes in between.
        os._exit(2 if waits else STATUS)


def lost_line(text: str) -> str:
    """What is said of another process that has ended.

    Args:
      text: what JAX's coordination service wrote.
    """
    silent = re.search(r"stopped sending heartbeats\):\s*([\d\s]+)", text)
    if silent is not None:
        number = silent[1].split()[0]
    else:
        number = "0" if "Socket closed" in text or "reset by peer" in text else None
    who = "another process of this run" if number is None else f"process {number} of this run"
    return f"{who} has ended; the same command with --resume in each process goes on"


def _on_abort(answer: Callable[[], None]) -> Callable[[], None]:
    """Calls a function where compiled code aborts this process, as JAX does where a peer is dead.

    Python's own handlers of signals wait for the main thread, which an abort never comes back to.

    Returns:
      What undoes it.
    """
    if sys.platform == "win32":
        return lambda: None
    library = ctypes.CDLL(None)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int)
    handler = kind(lambda _: answer())
    library.signal.restype = ctypes.c_void_p
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    before = library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))

    def undo() -> None:
        # The default action, unless something else stood there; it keeps the handler alive, too.
        library.signal(signal.SIGABRT, before)
        del handler_kept[:]

    handler_kept = [handler]
    return undo
