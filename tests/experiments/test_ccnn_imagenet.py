"""CCNN from ImageNet weights: cells are whole runs, go on where they were, and have a table."""

import importlib.metadata
import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import rows, runner
from experiments.experiment import Request
from experiments.papers.ccnn import imagenet, imagenet_tables
from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.evaluation import metrics
from jaxclust.networks import imagenet_trunk, pretrained_weights
from jaxclust.networks.ccnn import ON_IMAGENET
from jaxclust.runs import start_weights
from jaxclust.runs.rows import Row
from jaxclust.runs.settings import digest

SEEDS = (0, 3)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A few pictures in three colors, which are not enlarged."""
    for package in {kept.name for kept in pretrained_weights.PACKAGES.values()}:
        try:
            importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"needs the package {package}")
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % 3
    images = rng.integers(0, 90, (40, 32, 32, 3))
    images[np.arange(40), ..., labels] += 120
    given = Dataset("photos-10", images.astype(np.uint8), labels)
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(imagenet, "load", lambda name: given)
    monkeypatch.setattr(imagenet, "SEEDS", SEEDS)
    monkeypatch.setattr(imagenet, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(imagenet_trunk, "LEAST_SIDE", 32)
    factories = tuple(ON_IMAGENET)
    for factory in factories:
        factory.cache_clear()
    yield given
    for factory in factories:
        factory.cache_clear()


@pytest.mark.parametrize("start", imagenet.STARTS)
def test_no_two_variants_are_alike(start):
    made = {
        name: imagenet.method_of(name, start, 10)
        for name, variant in imagenet.VARIANTS.items()
        if variant.method != "kmeans"
    }
    for (one, mine), (other, theirs) in itertools.combinations(made.items(), 2):
        assert (mine.network, mine.config) != (theirs.network, theirs.config), (one, other)
    assert {made[name].config.compensation for name in ("baseline-i", "plain baseline-i")} == {
        "none"
    }
    assert made["ccnn"].config.epochs == {"imagenet": 10, "random": 30}[start]


def test_every_row_has_todays_hash():
    """A cell whose rows have another hash would be refused, and would have to run anew."""
    folder = os.environ.get("JAXCLUST_DATA")
    if folder is None or not (Path(folder) / "photos-10").is_dir():
        pytest.skip("needs the folder photos-10 in $JAXCLUST_DATA")
    dataset = imagenet.load("photos-10")
    for start, variant in itertools.product(imagenet.STARTS, imagenet.VARIANTS):
        cell = imagenet.cell_of(dataset, variant, start, Request())
        lines = runner.lines_of(imagenet.RESULTS, cell.key)
        assert {line["config_hash"] for line in lines} <= {digest(cell.settings)}, cell.key


@pytest.mark.slow
@pytest.mark.parametrize("backbone", imagenet.BACKBONES)
def test_a_cell_on_features_is_the_whole_run_and_is_made_once(backbone, small, tmp_path):
    begins = "" if backbone == "squeezenet" else f"{backbone} "
    variants = [f"{begins}baseline-iii", f"{begins}k-means of means"]
    request = Request(
        data=("photos-10",),
        variants=tuple(variants),
        starts=("imagenet",),
        over="map",
        folder=tmp_path,
    )
    assert not imagenet.run(request._replace(deadline=time.monotonic()))
    assert not imagenet.RESULTS.exists()
    assert imagenet.run(request)
    made = rows.read(imagenet.RESULTS)
    assert [row.variant for row in made] == [variants[0]] * 2 + [variants[1]] * 2
    assert [row.seed for row in made] == [*SEEDS, *SEEDS]
    assert {row.extra["start"] for row in made} == {"imagenet"}
    method = imagenet.method_of(variants[0], "imagenet", 3)
    weights = start_weights.imagenet(imagenet.BACKBONES[backbone].network)
    options = engine.Options(over="map", weights=weights)
    whole = engine.fit(method, small.images, SEEDS, options)
    assert whole.labels is not None
    for row, labels in zip(made, whole.labels, strict=False):
        scores = metrics.scores(small.labels, labels)
        assert row.acc == pytest.approx(scores["acc"], abs=0.03)
        assert row.nmi_sqrt == pytest.approx(scores["nmi_sqrt"], abs=0.03)
    assert imagenet.run(request)
    assert rows.read(imagenet.RESULTS) == made


def test_what_trains_all_runs_whole_from_the_same_weights(small, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(imagenet.runner, "run", lambda cell: ran.append(cell) or True)
    variants = ("train all", "baseline-i train all")
    request = Request(
        data=("photos-10",), variants=variants, starts=imagenet.STARTS, folder=tmp_path
    )
    assert imagenet.run(request)
    assert [cell.key["variant"] for cell in ran] == [*variants, *variants]
    assert {cell.method.config.trainable for cell in ran} == {"all"}
    assert len(ran[0].options.weights.arrays) == len(imagenet_trunk.array_shapes("squeezenet"))
    assert ran[2].options.weights == imagenet.NO_WEIGHTS
    assert len({cell.options.directory for cell in ran}) == 4


def test_the_table_has_means_of_seeds_and_differences_on_the_same_seeds(monkeypatch):
    extra = {"start": "imagenet"}
    made = [
        Row("x", "photos-10", seed, 9, 3, acc=acc, nmi=acc, nmi_sqrt=acc, variant=variant)
        for variant, first in (("ccnn", 0.5), ("baseline-i", 0.4))
        for seed, acc in enumerate((first, first + 0.1))
    ]
    made = [rows.with_columns(row, extra) for row in made]
    monkeypatch.setattr(imagenet_tables.rows, "read", lambda path: made)
    lines = imagenet_tables.text().splitlines()
    assert lines[1].split()[:3] == ["photos-10", "imagenet", "CCNN"]
    assert "0.550 [0.086, 0.941]" in lines[1]
    assert "0.450 [0.059, 0.914]" in lines[2]
    assert lines[3].startswith("photos-10, imagenet: CCNN less I, no compensation: NMI(sqrt) +0.1")
