"""The example: its images move as it says, and it trains."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np

from examples import compose
from jaxclust.engine import fit
from jaxclust.evaluation import stats
from jaxclust.methods import dcec
from jaxclust.methods.registry import configured
from jaxclust.networks import sae
from jaxclust.ops import optimizers
from jaxclust.ops.batches import scaled
from jaxclust.runs.files import write_rows


def test_the_method_is_under_40_lines():
    source = inspect.getsource(compose)
    method = source[source.index("def moved(") : source.index("\nRESULTS = ")]
    assert method.rstrip().splitlines()[-1].startswith("METHOD = ")
    assert sum(bool(line.strip()) for line in method.splitlines()) < 40


def test_images_are_moved_within_bounds():
    image = np.zeros((1, 20, 20, 1), np.float32)
    image[0, 9:11, 9:11] = 1
    moved = np.asarray(compose.moved(jax.random.key(0), np.repeat(image, 50, axis=0)))
    assert (moved.shape, moved.dtype) == ((50, 20, 20, 1), np.float32)
    np.testing.assert_allclose(moved.sum(axis=(1, 2, 3)), 4, atol=0.2)
    rows = (moved[..., 0].sum(axis=2) * np.arange(20)).sum(axis=1) / moved.sum(axis=(1, 2, 3)) - 9.5
    assert 1.2 < np.abs(rows).max() <= 2.1  # A tenth of 20, to bilinear rounding.
    assert abs(rows.mean()) < 0.6


def test_without_a_move_nothing_changes(monkeypatch):
    monkeypatch.setattr(
        jax.random, "uniform", lambda key, shape, dtype, low, high: jnp.zeros(shape, dtype)
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        compose.moved(jax.random.key(0), images), images / np.float32(255), atol=1e-6
    )


def small():
    config, pretraining = configured("dcec", clusters=4)
    config = dataclasses.replace(
        config, batch=64, update_interval=2, max_steps=4, restarts=1, tolerance=0.0
    )
    return config, dataclasses.replace(pretraining, epochs=2, batch=64)


def small_network(shape, embedding):
    return sae(shape, embedding, hidden=(32,))


def test_it_trains(few_digits):
    method = compose.METHOD._replace(network=small_network)
    run = fit.fit(method, *small(), few_digits[0], (0,), over="map")
    assert run.failed == [None]
    loss = run.phases["pretrain"].history["loss"]
    assert loss[1] < loss[0]


def test_without_a_move_a_step_is_dcecs(few_digits, monkeypatch):
    monkeypatch.setattr(compose, "moved", lambda key, images: scaled(images))
    config, pretraining = small()
    images, network = few_digits[0][:64], small_network((8, 8, 1), 4)
    key, rows = jax.random.key(0), np.arange(64)
    first = pretraining.init(pretraining, network, key, None, images)
    centroids = jax.random.normal(key, (4, 4))
    labels, target = np.zeros(64, np.int32), np.full((64, 4), 0.25, np.float32)
    state = dcec.State(first.variables, centroids, target, labels, None)
    optimizer = optimizers.make(config.optimizer, config.learning_rate, config.momentum)
    state = state._replace(opt_state=optimizer.init((first.variables.params, centroids)))
    for mine, theirs, settings, before in (
        (compose.step, dcec.step, config, state),
        (compose.pretrain_step, pretraining.step, pretraining, first),
    ):
        steps = (jax.jit(one, static_argnums=(0, 1)) for one in (mine, theirs))
        ours, expected = (one(settings, network, key, before, images, rows) for one in steps)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, expected
        )


def test_the_comparison_says_how_far_it_is_from_the_goal(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    mine = runs.rows("dcec-da", "usps", {0: 0.88, 1: 0.90, 2: 0.92, 3: None})
    write_rows(path, mine)
    monkeypatch.setattr(compose, "RESULTS", path)
    monkeypatch.setattr(
        compose.comparing, "present", lambda: runs.rows("dcec", "usps", {0: 0.78, 1: 0.79, 2: 0.80})
    )
    first, *rest = compose.table().splitlines()
    summary = stats.summary([-0.10, -0.08, -0.06])
    assert (
        first
        == f"DCEC-DA on USPS less 0.98 ACC: -0.0800 [{summary.low:+.4f}, {summary.high:+.4f}], 3 of 4 seeds"
    )
    assert any("dcec-da" in line for line in rest)
