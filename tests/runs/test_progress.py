"""Progress on a terminal and in a file."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from jaxclust.runs import progress
from jaxclust.runs.progress import Bars


def event(window, total=200):
    return SimpleNamespace(
        lanes=SimpleNamespace(window=np.array([window, window])),
        schedule=SimpleNamespace(max_windows=total),
        history={"loss": [0.5]},
        done=np.zeros(2, bool),
        pace=1.0,
    )


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


def test_a_file_gets_a_line_now_and_then(clock, capsys):
    with Bars() as bars:
        bars.show("cluster", None)
        for window in range(1, 201):
            clock.seconds += 0.5
            bars.show("cluster", event(window))
    lines = [line for line in capsys.readouterr().err.splitlines() if "clustering" in line]
    assert 8 <= len(lines) <= 12  # 100 seconds, and the end.
    assert not any("\r" in line or "\x1b" in line for line in lines)
    assert lines[-1].startswith("jaxclust: clustering 200 of 200")


def test_the_time_left_after_a_resume_is_of_this_process(clock, capsys):
    with Bars() as bars:
        bars.show("cluster", None)
        clock.seconds += 100  # Compilation.
        bars.show("cluster", event(101))  # An earlier process did 100 windows.
        clock.seconds += 20
        bars.show("cluster", event(111))
    line = next(line for line in capsys.readouterr().err.splitlines() if " left" in line)
    # Ten windows took 20 s, so that 89 take 178 s.
    assert "111 of 200, about 178 s left at most" in line


def test_the_bar_on_a_terminal_begins_with_the_work_of_this_process(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Bars() as bars:
        bars.show("cluster", None)
        bars.show("cluster", event(101))
        assert (bars._bar.initial, bars._bar.n, bars._bar.total) == (101, 101, 200)
        assert bars._bar.format_dict["elapsed"] < 1
        bars.show("cluster", event(111))
        assert (bars._bar.initial, bars._bar.n) == (101, 111)


def test_a_count_of_a_few_pictures_is_one_line(clock, capsys):
    with Bars() as bars:
        for done in range(1, 1001):
            clock.seconds += 0.001
            bars.count("features", done, 1000)
    assert capsys.readouterr().err.splitlines() == ["jaxclust: features 1,000 of 1,000, 1 s"]
