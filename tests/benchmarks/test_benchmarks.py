"""The benchmarks' settings; what takes time is in the benchmarks themselves."""

import json

import jax
import numpy as np
import pytest

from benchmarks import coverage, peers, seeds, step, stream
from jaxclust.data import datasets
from jaxclust.engine import fit


@pytest.mark.parametrize("name", peers.PEERS)
def test_every_peer_pretrains_and_clusters_for_the_same_epochs(name):
    n = 1797
    method, config, pretraining = peers.settings(name, n)
    fit.build(method, config, (8, 8, 1))
    for algorithm, settings in ((fit.pretrainer(method), pretraining), (method.algorithm, config)):
        schedule = algorithm.schedule(settings, n)
        assert schedule.steps_per_window * schedule.max_windows == 8 * peers.EPOCHS
        assert (schedule.batch, settings.optimizer, settings.learning_rate) == (256, "adam", 1e-3)
    assert config.restarts == 20


def test_a_peers_settings_are_those_of_one_program():
    assert peers.settings("dcn", 1797)[0].algorithm is peers.settings("dcn", 1797)[0].algorithm


def test_the_peers_table_has_seconds_and_their_ratio(tmp_path, monkeypatch):
    row = {
        "method": "dec",
        "clustpy_s": 100.0,
        "together_s": 40.0,
        "compile_s": 20.0,
        "solo_s": 60.0,
    }
    row |= {"solo_compile_s": 25.4, "acc": 0.8, "clustpy_acc": 0.7914}
    monkeypatch.setattr(peers, "RESULTS", tmp_path / "rows.jsonl")
    assert len(peers.table().splitlines()) == 2
    peers.RESULTS.write_text(json.dumps(row) + "\n")
    cells = [line.strip("| ").split(" | ") for line in peers.table().splitlines()]
    assert cells[2] == [
        "`dec`",
        "100",
        "40 (0.40)",
        "60 (0.60)",
        "60 (0.60)",
        "85 (0.85)",
        "0.791",
        "0.800",
    ]
    assert len(cells[0]) == len(cells[2])


@pytest.mark.parametrize("title", step.NETWORKS)
def test_pytorchs_step_is_of_our_network(title, monkeypatch):
    torch_steps = pytest.importorskip(
        "benchmarks.torch_steps", reason="needs torch", exc_type=ImportError
    )
    name, side, _, _ = step.NETWORKS[title]
    _, config, network, _, _ = step.setting(name, side)
    monkeypatch.setattr(torch_steps, "trained", lambda optimizer, loss: optimizer)
    optimizer = getattr(torch_steps, name)(config, (side, side, 1), np.zeros((4, 10), np.float32))
    theirs = sum(array.numel() for group in optimizer.param_groups for array in group["params"])
    ours = sum(
        leaf.size
        for leaf in jax.tree.leaves(jax.eval_shape(network.init, jax.random.key(0)).params)
    )
    # DCEC's centroids are parameters too.
    assert theirs == ours + (100 if name == "dcec" else 0)


def test_many_seeds_are_measured_for_a_fixed_number_of_steps(monkeypatch):
    given = []

    def run(method, config, pretraining, images, seeds, over):
        given.append(
            (fit.build(method, config, images.shape[1:]), config, pretraining.epochs, seeds, over)
        )
        return fit.Fit({"cluster": fit.Phase(None, {}, 2.0, 1.0, True)}, True, None, [])

    monkeypatch.setattr(seeds.fit, "fit", run)
    assert seeds.measure((0, 1), "vmap") == (2.0, 1.0)
    ((_, config, epochs, *rest),) = given
    assert (config.max_steps, config.tolerance, epochs, rest) == (140, 0.0, 5, [(0, 1), "vmap"])


@pytest.mark.parametrize("name", coverage.shapes())
def test_coverage_is_measured_for_every_shape(monkeypatch, name):
    monkeypatch.setattr(coverage, "TRIALS", 40)
    monkeypatch.setattr(coverage, "RESAMPLES", 99)
    draw, mean, sd = coverage.shapes()[name]
    scores = draw(np.random.default_rng(0), (4_000, 50))
    assert scores.mean() == pytest.approx(mean, abs=0.05)
    assert scores.std() == pytest.approx(sd, rel=0.05)
    rows = coverage.measure(name, 5)
    assert [row["interval"] for row in rows] == ["t", "bootstrap-t", "percentile"]
    assert all(0 <= row["coverage"] <= 1 and row["trials"] == 40 for row in rows)


def test_streamed_images_are_moved_ones(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(1, 256, (4, 28, 28, 1), dtype=np.uint8)
    monkeypatch.setattr(stream.datasets, "load", lambda name: datasets.Dataset(name, images, None))
    stream.moved(tmp_path / "moved.npy", 10)
    made = np.load(tmp_path / "moved.npy")
    assert (made.shape, made.dtype) == ((10, 28, 28), np.uint8)
    for number, image in enumerate(made):
        # What is not black is a part of the image, as large as what the move left in sight.
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        assert min(len(rows), len(columns)) >= 28 - stream.SHIFT
        seen, whole = image[np.ix_(rows, columns)], images[number % 4, ..., 0]
        down, right = (0 if line[0] else 28 - len(line) for line in (rows, columns))
        np.testing.assert_array_equal(
            seen, whole[down : down + len(rows), right : right + len(columns)]
        )
