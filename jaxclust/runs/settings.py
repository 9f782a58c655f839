"""TODO"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxclust.data import datasets

BESIDE = frozenset(("seeds", "over", "preset", "origin"))
"""Of a run's settings those that decide no seed's numbers: which seeds, how they ran together, what the settings are
called, where the inputs were."""


def make_settings(
    method: str,
    preset: str,
    dataset: datasets.Dataset,
    seeds: Sequence[int],
    over: str,
    config: Any,
    pretraining: Any,
    fingerprint: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A run's settings, for ``config.json``; ``fingerprint`` is the set's, where it is known."""
    return {
        "method": method,
        "preset": preset,
        "data": datasets.fingerprint(dataset) if fingerprint is None else fingerprint,
        "seeds": list(seeds),
        "over": over,
        "config": _plain(config),
        "pretraining": None if pretraining is None else _plain(pretraining),
    }


def _plain(settings: Any) -> dict[str, Any]:
    """As JSON gives them back."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def deciding(wanted: dict[str, Any]) -> dict[str, Any]:
    """Of ``settings`` what decides a seed's numbers."""
    return {name: value for name, value in wanted.items() if name not in BESIDE}


def digest(wanted: dict[str, Any]) -> str:
    """A short hash of what decides a seed's numbers: the same for runs of other seeds, which one table may hold."""
    return hashlib.sha256(json.dumps(deciding(wanted), sort_keys=True).encode()).hexdigest()[:16]


def read_settings(directory: Path) -> dict[str, Any]:
    """``config.json`` of a run's folder; ValueError if there is none or it is damaged."""
    path = directory / "config.json"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"run: {directory} must hold a run, has no config.json") from None
    except ValueError as error:
        raise ValueError(f"run: {path} must be a run's settings, is damaged ({error})") from error
    kinds = {
        "method": str,
        "data": dict,
        "seeds": list,
        "over": str,
        "config": dict,
        "pretraining": dict | None,
    }
    sound = isinstance(found, dict) and not wrong_kinds(found, kinds)
    sound = (
        sound
        and isinstance(found["data"].get("name"), str)
        and isinstance(found["data"].get("shape"), list)
    )
    sound = (
        sound
        and type(found["config"].get("clusters")) is int
        and all(type(one) is int for one in found["seeds"])
    )
    if not sound:
        raise ValueError(f"run: {path} must be a run's settings, got something else")
    return found


def wrong_kinds(row: dict[str, Any], kinds: dict[str, Any]) -> list[str]:
    """The names in ``kinds`` that a row lacks, or has of another kind."""
    return [name for name, kind in kinds.items() if not isinstance(row.get(name, ...), kind)]
