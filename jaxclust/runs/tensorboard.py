"""TensorBoard event files of a run's history, written without TensorFlow.

A file is a row of records: length, its checksum, content, its checksum. Each content is a protocol
buffer ``Event`` with a wall-clock time, a step and a scalar, whose field numbers are those of
tensorflow/core/util/event.proto.
"""

import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxclust.engine.driver import History
from jaxclust.runs.files import write_file

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected.


def _remainder(byte: int) -> int:
    """What a byte contributes to the checksum."""
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_remainder(byte) for byte in range(256)]


def write(
    folder: Path,
    histories: Mapping[str, History],
    seeds: Sequence[int],
    steps_per_window: Mapping[str, int],
) -> None:
    """Writes a file for each seed, ``folder/seed-0/...``: each info of each phase, by steps done.

    Args:
      folder: made if missing; earlier event files of these seeds in it are replaced.
      histories: of each phase, by its name.
      seeds: of its lanes.
      steps_per_window: by phase.
    """
    now = time.time()
    for lane, seed in enumerate(seeds):
        content = [record(event(now, version="brain.Event:2"))]
        for phase, history in histories.items():
            if not history:
                continue
            own = history["lane"] == lane
            for name in history.keys() - {"lane", "window"}:
                for window, value in zip(history["window"][own], history[name][own], strict=True):
                    step = (int(window) + 1) * steps_per_window[phase]
                    content.append(record(event(now, step, f"{phase}/{name}", float(value))))
        place = folder / f"seed-{seed}"
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        write_file(place / f"events.out.tfevents.{int(now)}.jaxclust", b"".join(content))


def event(
    wall_time: float,
    step: int = 0,
    tag: str = "",
    value: float = np.nan,
    version: str | None = None,
) -> bytes:
    """An ``Event``: a scalar, or a file's first one, which has the version.

    Args:
      wall_time: seconds since 1970.
      step: number of steps done.
      tag: the scalar's name.
      value: the scalar.
      version: of the file format; None for a scalar.
    """
    head = b"\x09" + struct.pack("<d", wall_time)
    if version is not None:
        return head + _bytes(3, version.encode())
    scalar = _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
    return head + b"\x10" + _varint(step) + _bytes(5, _bytes(1, scalar))


def record(content: bytes) -> bytes:
    """A record with its checksums."""
    length = struct.pack("<Q", len(content))
    return length + _masked(length) + content + _masked(content)


def crc32c(content: bytes) -> int:
    """Castagnoli's checksum."""
    value = 0xFFFFFFFF
    for byte in content:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _masked(content: bytes) -> bytes:
    value = crc32c(content)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _bytes(field: int, content: bytes) -> bytes:
    """A field of length-delimited type."""
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])
