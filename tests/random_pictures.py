"""Random pictures, and files of them."""

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def gray(height=9, width=7):
    return RNG.integers(0, 256, (height, width), dtype=np.uint8)


def color(height=9, width=7):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def put(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels
