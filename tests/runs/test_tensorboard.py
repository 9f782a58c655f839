"""Event files: checksums with known answers, and records read back field by field."""

import csv
import struct

import numpy as np
import pytest

from jaxclust.cli.main import main
from jaxclust.runs import tensorboard


@pytest.mark.parametrize(
    ("content", "value"),
    # RFC 3720, B.4, and the usual check string.
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_with_known_answers(content, value):
    assert tensorboard.crc32c(content) == value


def masked(content):
    """TensorFlow's masked checksum: rotated right by 15 bits, plus a constant."""
    bits = f"{tensorboard.crc32c(content):032b}"
    return struct.pack("<I", (int(bits[-15:] + bits[:-15], 2) + 0xA282EAD8) % 2**32)


def scalars(content):
    """(step, tag, value) of each event after the first, read by hand.

    Both checksums of each record must be right.
    """
    events = []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert content[8:12] == masked(content[:8])
        assert content[12 + length : 16 + length] == masked(content[12 : 12 + length])
        body = content[12 : 12 + length]
        content = content[16 + length :]
        assert body[0] == 0x09
        place = 10
        step = 0
        shift = 0
        if body[9] == 0x1A:
            assert body[11:] == b"brain.Event:2"
            continue
        while True:
            step |= (body[place] & 0x7F) << shift
            shift += 7
            place += 1
            if body[place - 1] < 0x80:
                break
        assert body[place] == 0x2A
        value = body[place + 2 + 2 :]
        assert value[0] == 0x0A
        tag = value[2 : 2 + value[1]].decode()
        events.append((step, tag, struct.unpack("<f", value[-4:])[0]))
    return events


def test_a_run_is_read_back(tmp_path):
    history = {
        "lane": np.array([0, 1, 0], np.int32),
        "window": np.array([0, 0, 1], np.int32),
        "loss": np.array([0.5, 9.0, 0.25], np.float32),
    }
    for _ in range(2):  # The second call replaces the files of the first.
        histories = {"pretrain": {}, "cluster": history}
        tensorboard.write(tmp_path, histories, [4, 7], {"cluster": 140})
    (first,), (second,) = (list((tmp_path / f"seed-{seed}").iterdir()) for seed in (4, 7))
    assert scalars(first.read_bytes()) == [(140, "cluster/loss", 0.5), (280, "cluster/loss", 0.25)]
    assert scalars(second.read_bytes()) == [(140, "cluster/loss", 9.0)]


@pytest.mark.parametrize("how", ["--no-figures --no-baseline", "--stream"])
def test_the_command_writes_the_history(tmp_path, few_digits, how):
    np.save(tmp_path / "few.npy", few_digits[0][:60])
    out = tmp_path / "out"
    flags = "--clusters 3 --batch 12 --reliable 12 --sample 30 --epochs 2 --pretraining.epochs 0 "
    flags += "--filters 3 4 --adaptation 5 --seeds 0,4 --over map"
    command = f"fit ccnn-ii --data {tmp_path / 'few.npy'} --out {out} {flags} --tensorboard {how}"
    assert main(command.split()) == 0
    with (out / "history.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4
    for seed in ("0", "4"):
        (path,) = (out / "tensorboard" / f"seed-{seed}").iterdir()
        values = {(step, tag): value for step, tag, value in scalars(path.read_bytes())}
        for line in lines:
            if line["seed"] == seed:
                assert values[int(line["steps"]), "cluster/moved"] == pytest.approx(
                    float(line["moved"])
                )
