"""One process that fits again and again keeps its memory.

``python tests/engine/test_memory.py MINUTES FIGURE.png`` fits for so long, and draws the resident
memory after each fit. The test fits for a minute and a half.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

WARM = 0.25
"""Part of the fits, from the first on, in which memory may grow: caches fill."""
MOST_MB = 30.0
"""Growth that is allowed over the rest: what the allocator keeps comes and goes."""


def resident_mb() -> float:
    """Resident memory of this process, MB of 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def fits(minutes: float, images: np.ndarray) -> list[tuple[float, float]]:
    """Fits in turn: the seconds since the begin and the memory after each fit."""
    import jaxclust as jc

    settings = {"update_interval": 5, "max_steps": 20, "batch": 64, "tolerance": 0.0}
    methods = [
        jc.method("kmeans"),
        jc.method("dcec", **settings, pretraining={"epochs": 1, "batch": 64}),
        jc.method("idec", **settings, pretraining={"epochs": 1, "batch": 64}),
    ]
    begin = time.monotonic()
    points = []
    while time.monotonic() - begin < 60 * minutes:
        number = len(points)
        method = methods[number % len(methods)]
        run = jc.fit(method, images, clusters=5, seeds=[number], progress=False)
        assert run.finished
        points.append((time.monotonic() - begin, resident_mb()))
    return points


def growth(points: list[tuple[float, float]]) -> float:
    """MB by which memory grew after the first fits: between the medians of two halves of them."""
    memory = np.array([point[1] for point in points])
    rest = memory[int(WARM * len(memory)) :]
    half = len(rest) // 2
    return float(np.median(rest[half:]) - np.median(rest[:half]))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read there")
def test_memory_stays_flat(few_digits):
    points = fits(1.5, few_digits[0])
    assert len(points) >= 8
    assert growth(points) < MOST_MB, points


def main() -> None:
    """Prints how memory grew, and draws it."""
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits

    images = np.round(load_digits().images[:300] * (255 / 16)).astype(np.uint8)
    points = fits(float(sys.argv[1]), images)
    seconds, memory = zip(*points, strict=True)
    grown = growth(points)
    print(f"{len(points)} fits in {seconds[-1] / 60:.0f} minutes; {memory[-1]:.0f} MB at the end")
    print(f"grown by {grown:.1f} MB between the medians of two halves after the first fits")
    if len(sys.argv) > 2:
        figure = Figure((7, 3), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(np.array(seconds) / 60, memory, linewidth=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("minutes")
        axes.set_ylabel("resident memory, MB")
        figure.savefig(sys.argv[2], dpi=130)
    sys.exit(grown >= MOST_MB)


if __name__ == "__main__":
    main()
