"""How lanes share devices."""

import pytest

from jaxclust.engine import devices


@pytest.mark.parametrize("windows", [1, 2, 3, 64])
@pytest.mark.parametrize(
    ("lanes", "among"), [(1, 1), (2, 2), (3, 2), (5, 2), (4, 3), (7, 4), (20, 16)]
)
def test_turns_share_windows_evenly_and_a_lane_is_in_one_place_at_a_time(lanes, among, windows):
    shares = devices.turns(lanes, windows, among)
    lengths = [sum(count for _, count in share) for share in shares]
    assert sum(lengths) == lanes * windows
    assert max(lengths) - min(lengths) <= 1
    # When each window of a lane runs: a cut lane begins on the later device.
    times = {lane: [] for lane in range(lanes)}
    for share in reversed(shares):
        now = 0
        for lane, count in share:
            assert count > 0
            times[lane] += range(now, now + count)
            now += count
    for lane, when in times.items():
        assert len(when) == windows
        assert when == sorted(set(when)), lane


def test_windows_that_lanes_share_evenly():
    assert [devices.evenly(lanes) for lanes in range(6)] == [1, 1, 1, 2, 1, 2]


def test_processes_take_as_many_devices_as_divide_every_batch():
    assert devices.dividing(6, 2, [64, 256]) == 4
    assert devices.dividing(2, 2, [64]) == 2
    assert devices.dividing(8, 3, [64]) == 1  # Three processes cannot share 64 images.
    assert devices.dividing(8, 3, [96, 60]) == 4
