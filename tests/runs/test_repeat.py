"""The command that repeats a run."""

import contextlib
import dataclasses
import shlex
import typing

import pytest

from jaxclust.cli import options
from jaxclust.data.datasets import Fingerprint
from jaxclust.methods import registry
from jaxclust.runs import repeat
from jaxclust.runs.settings import make_settings

DIGITS = Fingerprint("digits", (2, 1, 1, 1), "uint8", "0" * 64)


def other_value(kind, value):
    """Another value of a setting, of the same kind."""
    if isinstance(value, str):
        return next(choice for choice in typing.get_args(kind) if choice != value)
    if "tuple" in str(kind):
        return (3, 5)
    if value is None:
        return 0.5
    return value + 1 if isinstance(value, int) else value / 2 + 1e-5


def variants(config, fixed=()):
    """A config with each boolean turned over alone, then with every other field changed.

    Fields that cannot be changed stay.
    """
    last = config
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in fixed:
            continue
        if isinstance(value, bool):
            # A boolean that goes with no other setting alone is turned over with the others.
            for start in (config, last):
                with contextlib.suppress(ValueError):
                    yield dataclasses.replace(start, **{field.name: not value})
                    break
            continue
        with contextlib.suppress(ValueError):
            last = dataclasses.replace(last, **{field.name: other_value(field.type, value)})
    yield last


@pytest.mark.parametrize("name", registry.names())
def test_the_command_that_repeats_a_run_is_read_as_its_settings(name):
    # Without a file of weights some methods have only the preset that needs none.
    preset = "random" if registry.get(name).needs_weights else "paper"
    if preset not in registry.get(name).presets:
        preset = "default"
    method = registry.method(name, preset)
    fixed = method.algorithm.fixed
    runs = [method.replace(config=config) for config in variants(method.config, fixed)]
    if method.pretraining is not None:
        others = variants(method.pretraining)
        runs += [method.replace(pretraining=pretraining) for pretraining in others]
    for run in runs:
        words = shlex.split(repeat.repeat(make_settings(run, preset, DIGITS, (0, 3), "map")))
        assert words[:3] == ["jaxclust", "fit", name]
        request = options.read(name, words[3:])
        assert (request.method.config, request.method.pretraining) == (run.config, run.pretraining)
        assert (request.options.data, request.plan.seeds) == ("digits", (0, 3))
        assert request.plan.over == "map"


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
        (
            {"origin": {"data": "x", "size": "8", "resize": "pad", "labels": "l.csv"}},
            "--data x --size 8 --resize pad --labels l.csv --seeds",
        ),
        (
            {"origin": {"data": "x", "no_labels": True, "strict": True}, "stream": 50},
            "--data x --no-labels --strict --stream ",
        ),
    ],
)
def test_the_command_that_repeats_a_run_has_its_inputs(more, expected):
    data = DIGITS._replace(name="usps")
    settings = make_settings(registry.method("dcec"), "paper", data, (0,), "map", **more)
    assert expected in repeat.repeat(settings)
