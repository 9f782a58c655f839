"""Small folders of pictures."""

import os

import numpy as np
import pytest

from drawings import KINDS, draw


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


@pytest.fixture
def photos():
    """The folder of 3,000 photographs of ten kinds."""
    path = os.path.join(os.environ.get("JAXCLUST_DATA", ""), "photos-10")
    if not os.path.isdir(path):
        pytest.skip("needs photos-10 in $JAXCLUST_DATA")
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path
