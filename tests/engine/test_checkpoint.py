"""Checkpoints: back bit for bit, refused where they are damaged, and those of version 0.1."""

import jax
import numpy as np
import pytest

from jaxclust.engine import checkpoint, driver
from jaxclust.engine.clocks import Times

TIMES = Times(1.5, 0.25)


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    keys = jax.vmap(jax.random.key)(np.arange(2))
    state = {"a": {"b": np.float32([[1.5, np.pi], [np.e, 1e-40]])}, "c": np.int32([3, 4])}
    lanes = driver.Lanes(keys, state, np.int32([2, 5]), np.array([False, True]), np.int32([-1, -1]))
    history = {"lane": np.int32([0, 1]), "loss": np.float32([0.1, 0.2])}
    about = {"a": [1, 2]}
    checkpoint.save(tmp_path / "c", about, driver.Training(lanes, history, False), TIMES)
    template = jax.tree.map(jax.numpy.asarray, lanes)
    training, times = checkpoint.restore(tmp_path / "c", about, template)
    assert jax.tree.structure(training.lanes) == jax.tree.structure(lanes)
    np.testing.assert_array_equal(
        jax.random.key_data(training.lanes.key), jax.random.key_data(keys)
    )
    np.testing.assert_array_equal(training.lanes.state["a"]["b"], state["a"]["b"])
    np.testing.assert_array_equal(training.lanes.window, [2, 5])
    np.testing.assert_array_equal(training.history["loss"], history["loss"])
    assert times == TIMES
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
    lanes = saved(tmp_path)
    (tmp_path / "2" / name).write_text(content)
    with pytest.raises(ValueError, match=f"checkpoint: {tmp_path}/2 cannot be read .*{message}"):
        checkpoint.restore(tmp_path, {}, lanes)


def test_a_checkpoint_whose_arrays_changed(tmp_path):
    lanes = saved(tmp_path)
    assert checkpoint.restore(tmp_path, {}, lanes) is not None
    about = tmp_path / "2" / "about" / "metadata"
    about.write_text(about.read_text().replace(checkpoint.DIGEST, "before"))
    # The first checkpoints had no hash.
    assert checkpoint.restore(tmp_path, {}, lanes) is not None
    about.write_text(about.read_text().replace("before", checkpoint.DIGEST).replace("0", "1"))
    with pytest.raises(
        ValueError, match="cannot be read .*not those that were written, by their SHA-256"
    ):
        checkpoint.restore(tmp_path, {}, lanes)


def saved(directory, history=None):
    """Lanes in a checkpoint of two windows."""
    keys = jax.vmap(jax.random.key)(np.arange(1))
    lanes = driver.Lanes(keys, {"a": np.ones((1, 3))}, *np.int32([[2], [0], [-1]]))
    lanes = jax.tree.map(jax.numpy.asarray, lanes)
    checkpoint.save(directory, {}, driver.Training(lanes, history or {}, False), TIMES)
    return lanes


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.restore(tmp_path / "none", {}, None) is None


def test_columns_that_version_0_1_called_otherwise_are_read(tmp_path):
    columns = {name: np.float32([0.5]) for name in ("lane", "window", "loss", "polarised")}
    lanes = saved(tmp_path, columns)
    training, _ = checkpoint.restore(tmp_path, {}, lanes)
    assert set(training.history) == {"lane", "window", "loss", "polarized"}
    np.testing.assert_array_equal(training.history["polarized"], [0.5])


def test_differences_name_nested_fields():
    old = {"a": 1, "b": {"c": 2, "d": 3}}
    new = {"a": 1, "b": {"c": 5, "e": 4}}
    assert checkpoint.differences(old, new) == [
        "b.c (2 -> 5)",
        "b.d (3 -> None)",
        "b.e (None -> 4)",
    ]
    assert checkpoint.differences(old, old) == []
