"""The tour is the program of the architecture page, and it runs."""

# ruff: noqa: E501 (The lines of the page are kept as they are there.)

from pathlib import Path

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.engine import devices
from jaxclust.methods.registry import METHODS

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "examples" / "tour.py"
PAGE = ROOT / "docs" / "developer" / "architecture.md"
IMPORT = "import jaxclust as jc\n"
BLOCK = """\
data = jc.load("digits")                               # a named set, a folder, an .npz/.npy path; or use your own array
run = jc.fit("dcec", data.images, clusters=10, seeds=10)
run.labels                                             # int32 (seeds, n)
run.consensus()                                        # labels (n,) and the share of seeds that agree (n,)
run.scores(data.labels)                                # a row a seed; prints as a table with mean, sd, 95 % interval
run.predict(new_images); run.embed(new_images)
run.save("runs/dcec"); run = jc.open_run("runs/dcec")  # the folder that the command writes, too

runs = {name: jc.fit(name, data.images, clusters=10, seeds=10) for name in ("kmeans", "cae-kmeans", "dcec")}
print(jc.compare(runs, data.labels))                   # intervals, corrected tests, what these seeds cannot show

mine = jc.method("dcec", gamma=0.2, pretraining=dict(epochs=50))      # settings, by name
mine = mine.replace(name="mine", step=my_step)                        # an own update step
mine = mine.replace(network=jc.networks.from_flax(MyAutoencoder))     # an own flax.nnx network
jc.fit(mine, data.images, clusters=10, seeds=10)

jc.DeepClustering("dcec", n_clusters=10).fit_predict(X)               # scikit-learn's face
"""

# The test runs the file with these changes: two seeds, one epoch, and no folder in the checkout.
SHORTER = {"seeds=10": "seeds=2", "epochs=50": "epochs=1", '"runs/dcec"': "folder"}
SETTINGS = {
    "dcec": {"pretraining.epochs": 1, "batch": 64, "update_interval": 2, "max_steps": 4},
    "cae-kmeans": {"pretraining.epochs": 1},
}
"""What stands in the place of the methods' usual settings."""
IMAGES = 300
"""How many of the digits the program sees."""


def test_its_lines_are_those_of_the_page():
    source = TOUR.read_text()
    assert source.count(IMPORT) == 1
    assert source.endswith(f"\n# fmt: off\n{BLOCK}")
    assert f"```python\n{IMPORT}\n{BLOCK}```" in PAGE.read_text()


def test_it_runs(digits, tmp_path, monkeypatch, capsys):
    # One program serves both seeds: "shard" would compile one for each device.
    monkeypatch.setattr(devices, "fastest", lambda lanes: "map")
    few = digits._replace(images=digits.images[:IMAGES], labels=digits.labels[:IMAGES])
    monkeypatch.setattr(jc, "load", {"digits": few}.__getitem__)
    for name, settings in SETTINGS.items():
        monkeypatch.setitem(METHODS, name, METHODS[name].with_settings(settings))
    source = TOUR.read_text()
    for line, shorter in SHORTER.items():
        assert line in source
        source = source.replace(line, shorter)
    names = {"__name__": "tour", "folder": tmp_path / "dcec"}
    exec(compile(source, TOUR.name, "exec"), names)
    assert isinstance(names["run"], jc.Run)
    assert names["run"].directory == tmp_path / "dcec"
    labels = names["run"].labels
    assert (labels.shape, labels.dtype) == ((2, IMAGES), np.int32)
    np.testing.assert_array_equal(labels, names["runs"]["dcec"].labels)
    assert [run.settings.method for run in names["runs"].values()] == list(names["runs"])
    assert names["mine"].network((8, 8, 1), 10).reconstruct is not None
    assert (names["mine"].name, names["mine"].config.gamma) == ("mine", pytest.approx(0.2))
    table = capsys.readouterr().out
    assert "95 % interval" in table
    assert all(name in table for name in ("kmeans", "cae-kmeans", "dcec"))
