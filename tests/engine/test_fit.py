"""A whole run from Python, and its checkpoints."""

import dataclasses
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxclust.engine import checkpoint, driver, fit
from jaxclust.methods.registry import METHODS, configured

pytestmark = pytest.mark.optimized

METHOD = METHODS["idec"]


@pytest.fixture(scope="module")
def settings():
    config, pretraining = configured("idec", clusters=4)
    config = dataclasses.replace(
        config, batch=64, update_interval=4, max_steps=8, restarts=2, tolerance=0.0
    )
    return config, dataclasses.replace(pretraining, epochs=2, batch=64)


@pytest.fixture(scope="module")
def run(settings, few_digits, tmp_path_factory):
    """Of two seeds, in a folder of its own, and the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield fit.fit(METHOD, *settings, few_digits[0], (0, 7), over="map")


def test_without_a_directory_nothing_is_written(run):
    assert run.finished
    assert (run.labels.shape, run.labels.dtype) == ((2, 300), np.int32)
    assert list(run.phases) == ["pretrain", "cluster"]
    assert all(phase.seconds >= 0 and phase.compile_seconds >= 0 for phase in run.phases.values())
    assert not list(Path.cwd().iterdir())


def test_a_seed_gives_the_same_labels_whoever_runs_beside_it(run, settings, few_digits):
    alone = fit.fit(METHOD, *settings, few_digits[0], (7,), over="map")
    np.testing.assert_array_equal(run.labels[1], alone.labels[0])


def test_the_callers_time_is_none_of_the_runs(settings, few_digits):
    waits = []

    def progress(phase, event):
        if event is not None:
            time.sleep(0.5)
            waits.append(0.5)

    begin = time.perf_counter()
    done = fit.fit(METHOD, *settings, few_digits[0], (0, 7), over="map", progress=progress)
    passed = time.perf_counter() - begin
    assert len(waits) >= 2
    assert sum(phase.seconds for phase in done.phases.values()) < passed - sum(waits)


def test_a_finished_directory_is_read_and_not_run_again(settings, few_digits, tmp_path):
    first = fit.fit(METHOD, *settings, few_digits[0], (0, 1), over="map", directory=tmp_path)
    events = []
    again = fit.fit(
        METHOD,
        *settings,
        few_digits[0],
        (0, 1),
        over="map",
        directory=tmp_path,
        progress=lambda phase, event: events.append(event),
    )
    assert events == [None, None]
    np.testing.assert_array_equal(first.labels, again.labels)
    for name in ("loss", "window", "lane"):
        np.testing.assert_array_equal(
            first.phases["cluster"].history[name], again.phases["cluster"].history[name]
        )
    # What the run cost, not what reading it costs.
    assert 0 < again.phases["pretrain"].seconds <= first.phases["pretrain"].seconds


def test_a_checkpoint_of_another_run_is_refused_with_the_fields(settings, few_digits, tmp_path):
    config, pretraining = settings
    images = few_digits[0]
    fit.fit(METHOD, config, pretraining, images, (0, 1), over="map", directory=tmp_path)
    others = {
        "seeds": (config, pretraining, images, (0, 2), "map"),
        "over": (config, pretraining, images, (0, 1), "vmap"),
        "images": (config, pretraining, images[::-1], (0, 1), "map"),
        "pretraining.epochs": (
            config,
            dataclasses.replace(pretraining, epochs=3),
            images,
            (0, 1),
            "map",
        ),
        "config.gamma": (
            dataclasses.replace(config, gamma=0.5),
            pretraining,
            images,
            (0, 1),
            "map",
        ),
    }
    for field, (*arguments, over) in others.items():
        with pytest.raises(
            ValueError, match=f"checkpoint: .* must be of the same training, differs in {field} "
        ):
            fit.fit(METHOD, *arguments, over=over, directory=tmp_path)


def test_k_means_leaves_a_checkpoint_too(few_digits, tmp_path):
    config, _ = configured("kmeans", clusters=4)
    done = fit.fit(
        METHODS["kmeans"], config, None, few_digits[0], (0,), over="map", directory=tmp_path
    )
    assert (tmp_path / "cluster" / "0").is_dir()
    again = fit.fit(
        METHODS["kmeans"], config, None, few_digits[0], (0,), over="map", directory=tmp_path
    )
    np.testing.assert_array_equal(done.labels, again.labels)


CLOCKS = {"seconds": 1.5, "compile_seconds": 0.25}


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    keys = jax.vmap(jax.random.key)(np.arange(2))
    state = {"a": {"b": np.float32([[1.5, np.pi], [np.e, 1e-40]])}, "c": np.int32([3, 4])}
    runs = driver.Lanes(keys, state, np.int32([2, 5]), np.array([False, True]), np.int32([-1, -1]))
    history = {"lane": np.int32([0, 1]), "loss": np.float32([0.1, 0.2])}
    checkpoint.save(tmp_path / "c", {"a": (1, 2)}, runs, history, CLOCKS)
    back, columns, clocks = checkpoint.restore(
        tmp_path / "c", {"a": (1, 2)}, jax.tree.map(jax.numpy.asarray, runs)
    )
    assert jax.tree.structure(back) == jax.tree.structure(runs)
    np.testing.assert_array_equal(jax.random.key_data(back.key), jax.random.key_data(keys))
    np.testing.assert_array_equal(back.state["a"]["b"], state["a"]["b"])
    np.testing.assert_array_equal(back.window, [2, 5])
    np.testing.assert_array_equal(columns["loss"], history["loss"])
    assert clocks == CLOCKS
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["5"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("about/metadata", "null", "about must be a dict, got None"),
        ("about/metadata", "[]", r"about must be a dict, got \[\]"),
        ("clocks/metadata", "null", "clocks must be a dict, got None"),
        ("clocks/metadata", "{}", "clocks must be seconds and compile_seconds, got {}"),
        ("clocks/metadata", "{", ""),
    ],
)
def test_a_checkpoint_whose_words_are_damaged(tmp_path, name, content, message):
    runs = _saved(tmp_path)
    (tmp_path / "2" / name).write_text(content)
    with pytest.raises(ValueError, match=f"checkpoint: {tmp_path}/2 cannot be read .*{message}"):
        checkpoint.restore(tmp_path, {}, runs)


def test_a_checkpoint_whose_arrays_changed(tmp_path):
    runs = _saved(tmp_path)
    assert checkpoint.restore(tmp_path, {}, runs) is not None
    about = tmp_path / "2" / "about" / "metadata"
    about.write_text(about.read_text().replace(checkpoint.DIGEST, "before"))
    assert checkpoint.restore(tmp_path, {}, runs) is not None  # One of a version without the hash.
    about.write_text(about.read_text().replace("before", checkpoint.DIGEST).replace("0", "1"))
    with pytest.raises(
        ValueError, match="cannot be read .*not those that were written, by their SHA-256"
    ):
        checkpoint.restore(tmp_path, {}, runs)


def _saved(directory):
    runs = driver.Lanes(
        jax.vmap(jax.random.key)(np.arange(1)), {"a": np.ones((1, 3))}, *np.int32([[2], [0], [-1]])
    )
    runs = jax.tree.map(jax.numpy.asarray, runs)
    checkpoint.save(directory, {}, runs, {}, CLOCKS)
    return runs


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.restore(tmp_path / "none", {}, None) is None


def test_differences_name_nested_fields():
    old, new = {"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 5, "e": 4}}
    assert checkpoint.differences(old, new) == [
        "b.c (2 -> 5)",
        "b.d (3 -> None)",
        "b.e (None -> 4)",
    ]
    assert checkpoint.differences(old, old) == []
