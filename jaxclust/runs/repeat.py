"""The command that makes a run again, from what the run has kept."""

import dataclasses
import shlex
from typing import Any

from jaxclust.data import datasets
from jaxclust.methods.registry import METHODS, configured


def flag_words(name: str, value: Any, prefix: str = "") -> list[str]:
    """A setting as people type it."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{prefix}{'' if value else 'no-'}{flag}"]
    return [f"--{prefix}{flag}", *map(str, value if isinstance(value, list | tuple) else [value])]


def repeat(settings: dict[str, Any]) -> str:
    """The command that makes a run again, from its settings; PATH where they do not say where something was."""
    seeds, name, origin = settings["seeds"], settings["data"]["name"], settings.get("origin", {})
    # What a run does not say, as one that was begun before settings had an origin, is left to the reader.
    data = origin.get(
        "data", name if name in datasets.NAMES and "stream" not in settings else "PATH"
    )
    words = ["jaxclust", "fit", settings["method"], "--data", data]
    for flag in ("size", "features", "weights"):
        if flag in origin or flag in settings:
            words += [f"--{flag}", origin.get(flag, "PATH")]
    words += ["--stream"] * ("stream" in settings)
    words += ["--seeds", ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")]
    preset = settings.get("preset", "paper")
    words += [
        "--preset",
        preset,
        "--over",
        settings["over"],
        "--clusters",
        str(settings["config"]["clusters"]),
    ]
    if settings["method"] in METHODS:
        config, pretraining = configured(settings["method"], preset)
        for prefix, mine, usual in (
            ("", "config", config),
            ("pretraining.", "pretraining", pretraining),
        ):
            usual = {} if usual is None else dataclasses.asdict(usual)
            for name, value in (settings[mine] or {}).items():
                if name == "clusters" or usual.get(name) == value:
                    continue
                words += flag_words(name, value, prefix)
    return shlex.join([*words, "--out", "DIR"])
