"""Edits of a run's files, as hands and damage make them."""

import json
import math

VALUES = {
    "gone": ...,
    "null": None,
    "text": "x",
    "truth": True,
    "list": [1, [2]],
    "object": {"a": {}},
    "minus": -3,
    "fraction": 0.5,
    "huge": 10**30,
    "beyond floats": 10**400,
    "nan": math.nan,
    "inf": -math.inf,
}
"""What a field of JSON may become."""


def places(values, prefix=()):
    """The paths of all fields of nested objects."""
    found = []
    for name, value in values.items():
        found.append((*prefix, name))
        if isinstance(value, dict):
            found += places(value, (*prefix, name))
    return found


def changed(values, place, value):
    """A copy with one field changed, or left out where the value is ``...``."""
    copy = json.loads(json.dumps(values))
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return copy


def flipped(content, positions):
    """Bytes with some of them inverted."""
    damaged = bytearray(content)
    for position in positions:
        damaged[position % len(damaged)] ^= 0xFF
    return bytes(damaged)


WHOLE = {
    "empty": b"",
    "text": b"hello",
    "bytes": bytes(range(256)),
    "null": b"null",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "object": b"{}",
    "lines": b"\n\n\n",
    "zeros": b"\0" * 500,
}
"""What a whole file may become."""
