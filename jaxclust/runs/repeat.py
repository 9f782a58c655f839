"""The command that makes a run again, from what the run has kept."""

import dataclasses
import shlex
from typing import Any

from jaxclust.data import datasets
from jaxclust.engine.checkpoint import settings_from_json
from jaxclust.methods.registry import METHODS, method
from jaxclust.runs.settings import Settings
from jaxclust.types import Json

PATH = "PATH"
"""Stands where a run does not say where something was."""


def flag_name(field: dataclasses.Field) -> str:
    """The name of a setting on the command line, where another option may have the field's own."""
    return field.metadata.get("flag", field.name)


def flag_words(name: str, value: Any, prefix: str = "") -> list[str]:
    """A setting as people type it."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{prefix}{'' if value else 'no-'}{flag}"]
    values = value if isinstance(value, list | tuple) else [value]
    return [f"--{prefix}{flag}", *map(str, values)]


def repeat(settings: Settings) -> str:
    """The command that makes a run again; PATH where the settings do not say where a thing was."""
    origin = settings.origin
    name = settings.data.name
    # Old runs do not say where their inputs were; the reader has to know it.
    known = name in datasets.NAMES and settings.stream is None
    data = origin.get("data", name if known else PATH)
    words = ["jaxclust", "fit", settings.method, "--data", str(data)]
    for flag in ("size", "resize", "layout", "labels", "features", "weights"):
        if flag in origin or getattr(settings, flag, None) is not None:
            words += [f"--{flag}", str(origin.get(flag, PATH))]
    words += [f"--{name.replace('_', '-')}" for name in ("no_labels", "strict") if name in origin]
    if settings.stream is not None:
        words.append("--stream")
    seeds = ",".join(map(str, settings.seeds))
    words += ["--seeds", seeds + ("," if len(settings.seeds) == 1 else "")]
    # Version 0.1 had other presets by some of these names: the flags say what differs from today's.
    known = METHODS[settings.method].presets if settings.method in METHODS else {}
    preset = settings.preset if settings.preset in known else "default"
    words += ["--preset", preset, "--over", settings.over]
    words += ["--clusters", str(settings.clusters)]
    if settings.method in METHODS:
        usual = method(settings.method, preset)
        words += _changed(settings.config, usual.config, "")
        words += _changed(settings.pretraining or {}, usual.pretraining, "pretraining.")
    return shlex.join([*words, "--out", "DIR"])


def _changed(settings: dict[str, Json], usual: Any, prefix: str) -> list[str]:
    """The flags of the settings that a preset does not have."""
    kept: dict[str, object] = dict(settings_from_json(settings))
    known: dict[str, object] = {}
    flags: dict[str, str] = {}
    for field in () if usual is None else dataclasses.fields(usual):
        value = getattr(usual, field.name)
        flags[field.name] = flag_name(field)
        known[field.name] = list(value) if isinstance(value, tuple) else value
        if field.metadata.get("new") and field.name not in kept:
            kept[field.name] = field.default  # A file leaves a new setting out at this value.
    words = []
    for name, value in kept.items():
        if name != "clusters" and known.get(name) != value:
            words += flag_words(flags.get(name, name), value, prefix)
    return words
