"""Small folders of pictures."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

KINDS = ("stripes", "dots", "rings")


def draw(kind, generator):
    """A picture of one of KINDS, about 40 pixels a side."""
    width, height = generator.integers(36, 48, 2)
    ground = tuple(int(value) for value in generator.integers(180, 255, 3))
    color = tuple(int(value) for value in generator.integers(0, 90, 3))
    image = Image.new("RGB", (int(width), int(height)), ground)
    pen = ImageDraw.Draw(image)
    for at in range(2, 48, 8):
        if kind == "stripes":
            pen.rectangle((at, 0, at + 3, 48), fill=color)
        elif kind == "rings":
            pen.ellipse((at // 3, at // 3, 36 - at // 3, 36 - at // 3), outline=color)
        else:
            for other in range(2, 48, 8):
                pen.ellipse((at, other, at + 3, other + 3), fill=color)
    return image


@pytest.fixture
def folder(tmp_path):
    """12 pictures of each kind in a sub-folder of its own, as .jpg files."""
    root = tmp_path / "my pictures"
    generator = np.random.default_rng(0)
    for kind in KINDS:
        (root / kind).mkdir(parents=True)
        for number in range(12):
            draw(kind, generator).save(root / kind / f"{number:02d}.jpg")
    return root


@pytest.fixture
def features(folder, tmp_path):
    """A file with features of the folder's pictures in which the kinds are far from each other."""
    generator = np.random.default_rng(1)
    centers = np.repeat(np.eye(3, 12) * 6, 12, axis=0)
    path = tmp_path / "features.npy"
    # The folders' order by name.
    np.save(path, (centers + generator.normal(size=centers.shape)).astype(np.float32))
    return path
