"""The command that repeats a run."""

import contextlib
import dataclasses
import shlex
import typing

import numpy as np
import pytest

from jaxclust.cli import options
from jaxclust.data import datasets
from jaxclust.methods.registry import FROM_FILE, METHODS, configured
from jaxclust.runs import repeat
from jaxclust.runs.settings import make_settings
from run_folders import SETTINGS


def others(config):
    """The settings with each boolean turned over alone, then with every other field changed that can be."""
    last = config
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, bool):
            # What goes with no other setting alone is turned over with the others changed.
            for one in (config, last):
                with contextlib.suppress(ValueError):
                    yield dataclasses.replace(one, **{field.name: not value})
                    break
            continue
        if isinstance(value, str):
            value = next(one for one in typing.get_args(field.type) if one != value)
        elif "tuple" in str(field.type):
            value = (3, 5)
        else:
            value = (
                0.5 if value is None else value + 1 if isinstance(value, int) else value / 2 + 1e-5
            )
        with contextlib.suppress(ValueError):
            last = dataclasses.replace(last, **{field.name: value})
    yield last


@pytest.mark.parametrize("method", METHODS)
def test_the_command_that_repeats_a_run_is_read_as_its_settings(method):
    # Without a file of weights these begin with random ones alone.
    preset = "random" if method in FROM_FILE else "paper"
    config, pretraining = configured(method, preset)
    pairs = [(one, pretraining) for one in others(config)]
    pairs += [(config, one) for one in others(pretraining)] if pretraining is not None else []
    for one, other in pairs:
        dataset = datasets.Dataset("digits", np.zeros((2, 1, 1, 1), np.uint8), None)
        words = shlex.split(
            repeat.repeat(make_settings(method, preset, dataset, (0, 3), "map", one, other))
        )
        assert words[:3] == ["jaxclust", "fit", method]
        common, *found = options.parse(method, words[3:])
        assert found == [one, other]
        assert (common.data, options.seeds(common.seeds), common.over) == ("digits", (0, 3), "map")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"origin": {"data": "./my set", "size": "8"}}, "--data './my set' --size 8 "),
        (
            {"origin": {"data": "x.npy", "weights": "w.st"}, "stream": 50, "weights": "0" * 64},
            "x.npy --weights w.st --s",
        ),
        (
            {"origin": {"data": "x", "features": "a/f.npy"}, "features": "f.npy"},
            "--data x --features a/f.npy ",
        ),
        ({"features": "f.npy", "weights": "0" * 64}, "--data usps --features PATH --weights PATH "),
        ({"stream": 50}, "--data PATH --stream "),
    ],
)
def test_the_command_that_repeats_a_run_has_its_inputs(more, expected):
    assert expected in repeat.repeat(SETTINGS | {"seeds": [0]} | more)
