"""The method of the example moves images as it says, trains, and keeps its rows."""

import ast
import contextlib
import dataclasses
import functools
import inspect
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxclust as jc
from examples import compose
from jaxclust.data.datasets import Dataset, Fingerprint, fingerprint
from jaxclust.errors import UsageError
from jaxclust.evaluation import stats
from jaxclust.methods import dcec, pretraining
from jaxclust.ops import optimizers
from jaxclust.ops.batches import scaled
from jaxclust.runs import fit as runs_fit
from jaxclust.runs.rows import Row, read_rows, write_rows
from jaxclust.runs.settings import digest

SMALL = {
    "clusters": 4,
    "batch": 64,
    "update_interval": 2,
    "max_steps": 4,
    "restarts": 1,
    "tolerance": 0.0,
    "pretraining.epochs": 2,
    "pretraining.batch": 64,
}
USPS = Fingerprint(
    name="usps",
    shape=(9298, 16, 16, 1),
    dtype="uint8",
    sha256="7de9627f9377be64589da5dc19d1be3a49cd2780b9a12527017d29e2a772d9c6",
)
small_network = functools.partial(jc.networks.sae, hidden=(32,))


def small_method():
    return compose.METHOD.replace(network=small_network).with_settings(SMALL)


def rows(method, data, scores):
    """Rows of seeds from {seed: ACC}, where None is a failure."""
    return [
        Row(
            method=method,
            data=data,
            seed=seed,
            acc=acc,
            n=100,
            clusters=10,
            failed=7 if acc is None else None,
            failed_phase="cluster" if acc is None else None,
            config_hash=method,
        )
        for seed, acc in scores.items()
    ]


def test_the_method_is_under_40_lines():
    source = inspect.getsource(compose)
    method = source[source.index("def moved(") : source.index("\nRESULTS = ")]
    last = ast.parse(method).body[-1]
    assert isinstance(last, ast.Assign)
    assert ast.unparse(last.targets[0]) == "METHOD"
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


class Trained(NamedTuple):
    """A run that ``run_missing`` has made, on which data, and the folder that it wrote to."""

    run: jc.Run
    data: Dataset
    folder: Path


@contextlib.contextmanager
def rows_in(folder):
    """Rows are kept in a folder, and a data set called "few" has one seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "RESULTS", folder / "rows.jsonl")
        patch.setattr(compose, "DCEC_RESULTS", ())
        patch.setattr(compose, "SEEDS", {"few": 1})
        yield patch


@pytest.fixture(scope="module")
def trained(few_digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compose")
    data = Dataset("few", *few_digits)
    runs = []

    def fit(*arguments, **options):
        runs.append(runs_fit.fit(*arguments, **options, progress=False))
        return runs[-1]

    with rows_in(folder) as patch:
        patch.setattr(jc, "fit", fit, raising=False)
        assert not compose.run_missing(small_method(), data, folder, 0.0)
        assert not compose.RESULTS.exists()
        assert compose.run_missing(small_method(), data, folder, float("inf"))
    return Trained(runs[0], data, folder)


def test_it_trains(trained):
    assert trained.run.failed == {}
    loss = trained.run.phases["pretrain"].history["loss"]
    assert loss[1] < loss[0]


def test_a_run_is_kept_as_rows_and_is_not_made_again(trained):
    run, data, folder = trained
    method = small_method().with_settings({"clusters": 10})
    with rows_in(folder):
        (row,) = read_rows(compose.RESULTS)
        assert (row.method, row.data, row.seed) == ("dcec-da", "few", 0)
        assert row.config_hash == digest(compose.settings_of(method, fingerprint(data)))
        assert dataclasses.replace(row, config_hash=run.rows[0].config_hash) == run.rows[0]
        assert compose.run_missing(method, data, folder, 0.0)
        write_rows(compose.RESULTS, [dataclasses.replace(row, config_hash="other")])
        with pytest.raises(UsageError, match="rows: dcec-da on few must have this version's"):
            compose.run_missing(method, data, folder, float("inf"))


def test_without_a_move_a_step_is_dcecs(few_digits, monkeypatch):
    monkeypatch.setattr(compose, "moved", lambda key, images: scaled(images))
    method = small_method()
    config = method.config
    network = method.build((8, 8, 1))
    images = few_digits[0][:64]
    key = jax.random.key(0)
    batch_rows = np.arange(64)
    first = pretraining.init(method.pretraining, network, key, None, images)
    centroids = jax.random.normal(key, (4, 4))
    optimizer = optimizers.make(config.optimizer, config.learning_rate, config.momentum)
    state = dcec.State(
        variables=first.variables,
        centroids=centroids,
        target=np.full((64, 4), 0.25, np.float32),
        labels=np.zeros(64, np.int32),
        opt_state=optimizer.init((first.variables.params, centroids)),
    )
    for own_step, usual_step, settings, before in (
        (compose.step, dcec.step, config, state),
        (compose.pretrain_step, pretraining.step, method.pretraining, first),
    ):
        own, usual = (
            jax.jit(step, static_argnums=(0, 1))(settings, network, key, before, images, batch_rows)
            for step in (own_step, usual_step)
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), own, usual
        )


def test_its_steps_are_those_of_the_method():
    assert compose.METHOD.algorithm.step is compose.step
    assert compose.METHOD.pretrainer.step is compose.pretrain_step
    usual = jc.method("dcec")
    assert compose.METHOD.algorithm._replace(step=dcec.step) == usual.algorithm
    assert compose.METHOD.pretrainer._replace(step=pretraining.step) == usual.pretrainer


def test_the_rows_that_are_there_have_the_settings_hash():
    known = read_rows(compose.RESULTS)
    assert len(known) == 10
    method = compose.METHOD.with_settings({"clusters": 10})
    assert {row.config_hash for row in known} == {digest(compose.settings_of(method, USPS))}


def test_the_file_of_rows_stays_as_it_is_when_it_is_written_again(tmp_path):
    write_rows(tmp_path / "rows.jsonl", read_rows(compose.RESULTS))
    assert (tmp_path / "rows.jsonl").read_bytes() == compose.RESULTS.read_bytes()


def test_the_comparison_says_how_far_it_is_from_the_goal(tmp_path, monkeypatch):
    own = tmp_path / "rows.jsonl"
    write_rows(own, rows("dcec-da", "usps", {0: 0.88, 1: 0.90, 2: 0.92, 3: None}))
    others = tmp_path / "others.jsonl"
    write_rows(others, rows("dcec", "usps", {0: 0.78, 1: 0.79, 2: 0.80}))
    monkeypatch.setattr(compose, "RESULTS", own)
    monkeypatch.setattr(compose, "DCEC_RESULTS", (others,))
    first, *rest = compose.table().splitlines()
    summary = stats.summary([-0.10, -0.08, -0.06])
    interval = f"-0.0800 [{summary.low:+.4f}, {summary.high:+.4f}]"
    assert first == f"DCEC-DA on USPS, mean ACC - 0.98: {interval}, 3 of 4 seeds"
    assert any("dcec-da" in line for line in rest)
