"""Ctrl-C and SIGTERM: a line at once, one more ends at once, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxclust.cli import main as command
from jaxclust.cli import signals
from jaxclust.engine import stopping

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

# A sub-command that says "ready" and is then for ten seconds or more in one call that is no Python,
# as compiled programs are. It needs no JAX.
BUSY = """
import hashlib, sys, types, time
from jaxclust.engine import stopping
from jaxclust.cli.main import main
def busy():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 60_000_000)
def answering():
    with stopping.answered():
        print("ready", flush=True)
        while not stopping.asked():
            time.sleep(0.01)
        time.sleep(1)  # The rest of a compiled call.
    print("stopped by", stopping.called())
    return 0
def broken():
    print("ready", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("numpy could not be loaded") from None
module = types.ModuleType("jaxclust.cli.fit")
module.command = lambda words: {"busy": busy, "answering": answering, "broken": broken}[words[0]]()
sys.modules["jaxclust.cli.fit"] = module
sys.argv = ["jaxclust", "fit", sys.argv[1]]
sys.exit(main())
"""
EARLY = """
import sys, time
from jaxclust.cli import main
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "jaxclust.cli.fit":
            print("ready", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
sys.argv = ["jaxclust", "fit"]
sys.exit(main.main())
"""


@pytest.fixture
def start():
    """Starts Python on a code and waits until it is ready; what is left is killed at the end."""
    processes = []

    def begin(code, *words):
        # A shell's background job, as of a test that runs there, ignores SIGINT, and so would this.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGINT, before)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def ended(process):
    """The exit status and the lines on stderr."""
    _, errors = process.communicate(timeout=30)
    return process.returncode, [line for line in errors.splitlines() if line]


@pytest.mark.parametrize(("number", "name"), [(2, "Ctrl-C"), (15, "SIGTERM")])
def test_a_line_comes_soon_and_a_second_signal_ends_at_once(start, number, name):
    process = start(BUSY, "busy")
    time.sleep(0.5)  # By now it is in its long call.
    process.send_signal(number)
    begin = time.monotonic()
    line = process.stderr.readline()
    assert time.monotonic() - begin < 5  # 1.2 s on a machine that has nothing else to do.
    assert line == f"jaxclust: {name}: stops as soon as it can; once more ends at once\n"
    process.send_signal(number)
    begin = time.monotonic()
    assert ended(process) == (128 + number, ["jaxclust: ended at once"])
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("number", [2, 15])
def test_work_that_looks_for_it_stops_in_good_order(start, number):
    process = start(BUSY, "answering")
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    name = "Ctrl-C" if number == 2 else "SIGTERM"
    assert process.returncode == 128 + number
    assert out == f"stopped by {name}\n"
    assert (
        errors.strip() == f"jaxclust: {name}: stops after the running step; once more ends at once"
    )


@pytest.mark.parametrize("work", ["answering", "broken"])
def test_a_signal_that_a_wrapper_hands_on_is_the_same_one(start, work):
    process = start(BUSY, work)
    process.send_signal(signal.SIGINT)
    time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    status, lines = ended(process)
    assert status == 130
    assert "jaxclust: ended at once" not in lines
    assert not any("Traceback" in line for line in lines)


def test_while_modules_are_loaded_the_end_is_a_line(start):
    process = start(EARLY)
    process.send_signal(signal.SIGINT)
    status, lines = ended(process)
    assert (status, len(lines)) == (130, 1)
    assert lines[0].startswith("jaxclust: interrupted; ")


def test_what_a_library_makes_of_an_interruption_is_a_line(start):
    process = start(BUSY, "broken")
    process.send_signal(signal.SIGINT)
    status, lines = ended(process)
    assert status == 130
    assert lines[-1].startswith("jaxclust: interrupted; ")
    assert not any("Traceback" in line for line in lines)


# A sweep's process, whose child says what came to it.
SWEEP = """
import subprocess, sys, types
from jaxclust.cli import signals
from jaxclust.cli.main import main
def run(words):
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1], "answering"],
        stdout=subprocess.PIPE, text=True, **signals.child_options())
    print(child.stdout.readline(), end="", flush=True)
    print(child.pid, flush=True)
    with signals.with_child(child):
        status = child.wait()
    print("child", status, flush=True)
    return 0
module = types.ModuleType("jaxclust.cli.compare")
module.command = run
sys.modules["jaxclust.cli.compare"] = module
sys.exit(main(["compare"]))
"""


def test_a_child_is_told_and_waited_for(start):
    process = start(SWEEP, BUSY)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[-1] == "child 130"
    assert "Ctrl-C: stops after the running step" in errors


def test_a_child_ends_with_a_parent_that_was_killed(start):
    process = start(SWEEP, BUSY)
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and _runs(child):
        time.sleep(0.05)
    assert not _runs(child)


def _runs(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_handlers_are_those_of_before(monkeypatch):
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    during = []
    monkeypatch.setattr(command, "_run", lambda words: during.append(_handlers()) or 0)
    assert command.main(["methods"]) == 0
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert not stopping.asked()
    assert signals._handle in during[0]


def _handlers():
    return [signal.getsignal(number) for number in signals.SIGNALS]


def test_the_python_face_keeps_pythons_own(monkeypatch, few_digits):
    """``jc.fit`` raises KeyboardInterrupt, as everything in Python does."""
    import jaxclust as jc
    from jaxclust.engine import driver

    def interrupted(*_, **__):
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(driver, "begin", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            jc.fit("kmeans", few_digits[0], clusters=3, seeds=1, progress=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not stopping.asked()
