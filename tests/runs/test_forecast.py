"""How long a phase goes on: when it is said, and in which words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine.driver import Event, Lanes
from jaxclust.runs.forecast import Forecast, duration
from jaxclust.runs.progress import Bars
from jaxclust.types import Schedule


def event(windows, pace, done=(False, False), most=100):
    """What a callback sees when each lane has run so many windows."""
    lanes = Lanes(
        key=jax.random.split(jax.random.key(0), len(windows)),
        state=None,
        window=jnp.array(windows, jnp.int32),
        stopped=jnp.array(done),
        failed=jnp.full(len(windows), -1, jnp.int32),
    )
    return Event(lanes, {}, Schedule(10, 5, most, "shuffled"), np.array(done), pace)


def lines(*events):
    forecast = Forecast()
    return [forecast.line("clustering", each) for each in events]


def test_the_first_chunk_does_not_count_and_the_line_comes_once():
    found = lines(event((1, 1), 4.0), event((2, 2), 0.6), event((4, 4), 0.75), event((8, 8), 0.7))
    # 96 windows at (0.6 + 2 * 0.75) / 3 s, which pass a second together.
    assert found == [None, None, "clustering takes at most about 1 minute more", None]


def test_a_long_first_window_is_enough():
    found = lines(event((1, 1), 30.0), event((2, 2), 30.0))
    assert found == ["clustering takes at most about 50 minutes more", None]


def test_what_takes_less_than_a_minute_is_not_forecast():
    assert lines(event((1, 1), 2.0), event((5, 5), 0.5)) == [None] * 2


def test_a_lane_that_has_ended_does_not_count():
    one = (True, False)
    found = lines(event((1, 1), 2.0, one), event((1, 3), 2.0, one), event((1, 4), 2.0, one))
    assert found == [None, "clustering takes at most about 3 minutes more", None]
    assert lines(event((1, 2), 30.0, (True, True))) == [None]


def test_an_event_without_a_measure_gives_no_line():
    assert lines(event((1, 1), None), event((2, 2), None)) == [None, None]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (61, "1 minute"),
        (95, "2 minutes"),
        (5_400, "90 minutes"),
        (9_000, "2.5 hours"),
        (50_400, "14 hours"),
        (260_000, "3 days"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_each_phase_has_its_line_on_stderr(capsys):
    with Bars() as bars:
        for phase in ("pretrain", "cluster"):
            bars.show(phase, None)
            bars.show(phase, event((1, 1), 30.0))
    out, err = capsys.readouterr()
    assert out == ""
    told = [line for line in err.replace("\r", "\n").splitlines() if " takes at most " in line]
    assert told == [
        f"jaxclust: {name} takes at most about 50 minutes more"
        for name in ("pretraining", "clustering")
    ]


def test_where_no_progress_is_shown_there_is_no_line(capsys):
    with Bars(disable=True) as bars:
        bars.show("pretrain", None)
        bars.show("pretrain", event((1, 1), 30.0))
    assert capsys.readouterr().err == ""
