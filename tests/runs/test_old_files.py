"""Files that earlier versions wrote can still be read."""

import dataclasses
import json
import shlex

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.cli import options
from jaxclust.engine.checkpoint import settings_from_json, settings_json
from jaxclust.errors import UsageError
from jaxclust.methods import dcec, registry
from jaxclust.runs.files import json_lines, read_json_lines
from jaxclust.runs.repeat import repeat
from jaxclust.runs.rows import read_results
from jaxclust.runs.settings import digest, method_of, read_settings
from jaxclust.runs.sweeps import Choice, Stability, read_choice, write_choice

DATA = {"name": "digits", "shape": [1797, 8, 8, 1], "dtype": "uint8", "sha256": "0" * 64}
PRETRAINING = {
    "epochs": 2,
    "batch": 100,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "reconstruction": "mean",
}
DBC = {
    "clusters": 10,
    "alpha": 2.0,
    "normalisation": "constant",
    "v": 1.0,
    "max_epochs": 2,
    "tolerance": 0.0,
    "restarts": 20,
    "batch": 100,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "batch_norm": "batch",
}
"""Settings of DBC as version 0.1 wrote them."""


def write_settings(folder, **values):
    """A config.json without "preset" and "origin", which the first versions did not have."""
    settings = {"data": DATA, "seeds": [0, 1], "over": "map", "pretraining": None} | values
    (folder / "config.json").write_text(json.dumps(settings))


def test_settings_under_their_old_names(tmp_path):
    write_settings(tmp_path, method="dbc", config=DBC, pretraining=PRETRAINING)
    settings = read_settings(tmp_path)
    assert (settings.preset, settings.origin) == ("paper", {})
    method = method_of(settings, tmp_path)
    assert method.config.normalization == "constant"
    assert method.pretraining.epochs == 2
    # Files keep the old names, so that both versions give one run one hash.
    assert settings_json(method.config) == DBC == settings.config
    assert digest(settings) == "95b1f3e6e3167abc"  # As version 0.1 computed it.
    assert "--normalization constant" in repeat(settings)


def test_new_settings_are_left_out_where_they_change_nothing(tmp_path):
    old = settings_json(dcec.Config())
    assert "update_epochs" not in old
    assert settings_json(dcec.Config(update_epochs=4.0)) == old | {"update_epochs": 4.0}
    # A run of before has the value that changes nothing, whatever the default is today.
    write_settings(tmp_path, method="dcec", config=old, pretraining=PRETRAINING, preset="paper")
    settings = read_settings(tmp_path)
    assert method_of(settings, tmp_path).config == dcec.Config()
    words = shlex.split(repeat(settings))
    assert options.read("dcec", words[3:]).method.config == dcec.Config()


def test_a_preset_of_before_is_kept_as_a_name_and_repeated_by_settings(tmp_path):
    """Version 0.1 called JULE's Caffe settings "caffe" and its printed ones "paper"."""
    for old, new in (("caffe", "paper"), ("code", "torch"), ("paper", "printed")):
        config = registry.method("jule", new, clusters=4).config
        write_settings(tmp_path, method="jule", config=settings_json(config), preset=old)
        settings = read_settings(tmp_path)
        assert (settings.preset, method_of(settings, tmp_path).preset) == (old, old)
        words = shlex.split(repeat(settings))
        assert options.read("jule", words[3:]).method.config == config


@pytest.mark.parametrize("value", [True, False])
def test_centered_features_under_their_old_name(tmp_path, value):
    config = settings_json(registry.get("jule").config) | {"centre_features": value}
    write_settings(tmp_path, method="jule", config=config)
    method = method_of(read_settings(tmp_path), tmp_path)
    assert method.config.center_features is value
    assert settings_from_json(config)["center_features"] is value


def test_settings_that_no_version_had_are_refused(tmp_path):
    write_settings(tmp_path, method="dbc", config=DBC | {"normalised": 1}, pretraining=PRETRAINING)
    with pytest.raises(UsageError, match="must hold settings of this version's methods, misses"):
        method_of(read_settings(tmp_path), tmp_path)


@pytest.fixture(scope="module")
def old_run(few_digits, tmp_path_factory):
    """A run, and its folder as the first versions wrote it."""
    folder = tmp_path_factory.mktemp("old") / "run"
    run = jc.fit("kmeans", few_digits[0], clusters=4, seeds=2, progress=False)
    run.save(folder)
    settings = json.loads((folder / "config.json").read_text())
    for name in ("origin", "preset"):
        settings.pop(name)
    (folder / "clusters.csv").unlink()
    (folder / "config.json").write_text(json.dumps(settings))
    rows = read_json_lines(folder / "results.jsonl")
    for row in rows:
        for name in ("peak_memory_mb", "versions", "device", "config_hash", "over", "seeds"):
            row.pop(name)
    (folder / "results.jsonl").write_text(json_lines(rows))
    about = folder / "checkpoint" / "cluster" / "0" / "about" / "metadata"
    values = json.loads(about.read_text())
    about.write_text(json.dumps({name: values[name] for name in values if name != "sha256"}))
    return run, folder


def test_an_old_run_is_opened_and_predicts(old_run, few_digits):
    run, folder = old_run
    opened = jc.open_run(folder)
    np.testing.assert_array_equal(opened.labels, run.labels)
    assert [row.device for row in opened.rows] == [None, None]
    assert opened.settings == dataclasses.replace(run.settings, origin={}, preset="paper")
    own = run.consensus().seed_labels
    for seed in (0, 1):
        predicted = opened.predict(few_digits[0], seed)
        np.testing.assert_array_equal(predicted.cluster, own[seed])
    assert str(opened.scores(few_digits[1])) == str(run.scores(few_digits[1]))


def test_old_rows_are_read(old_run):
    run, folder = old_run
    rows = read_results(folder)
    assert [row.outcome() for row in rows] == [row.outcome() for row in run.rows]
    assert [(row.seed, row.over, row.versions) for row in rows] == [
        (0, None, None),
        (1, None, None),
    ]


def test_old_numbers_of_clusters_are_read(tmp_path):
    row = {"clusters": 3, "stability": 0.5, "reason": None}
    (tmp_path / "clusters.json").write_text(json.dumps({"chosen": 3, "rows": [row]}))
    choice = Choice(3, (Stability(3, 0.5, None),))
    assert read_choice(tmp_path) == choice
    write_choice(tmp_path, choice)
    assert read_choice(tmp_path) == choice


def test_a_run_goes_on_under_todays_name_of_its_preset(few_digits, tmp_path):
    """Version 0.1 called the default of k-means "paper"; its name stays in the folder."""
    folder = tmp_path / "run"
    run = jc.fit("kmeans", few_digits[0], clusters=4, seeds=2, out=folder, progress=False)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"preset": "paper"}))
    (folder / "results.jsonl").unlink()
    again = jc.fit("kmeans", few_digits[0], clusters=4, seeds=2, out=folder, progress=False)
    np.testing.assert_array_equal(again.labels, run.labels)
    assert json.loads((folder / "config.json").read_text())["preset"] == "paper"
