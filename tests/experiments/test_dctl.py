"""DCTL's experiment: its cells have settings that can be, and each open field of the config is
changed once."""

import dataclasses
import functools
import inspect
import re

import jax
import numpy as np
import pytest

from experiments import rows
from experiments.experiment import Request
from experiments.papers.dctl import cells, experiment, figures, tables
from jaxclust.errors import UsageError
from jaxclust.methods import dctl, registry
from jaxclust.runs.rows import Row


def test_every_cell_has_settings_and_a_network_for_its_input():
    for name in (*cells.METHODS, *cells.OPENED):
        method = cells.method_of(name, 38)
        assert method.clusters == 38
        assert (method.pretraining is None) == (method.pretrainer is None)
        method.build((48, 42, 1) if name.endswith("-pixels") else (15, 20, 1))


def test_the_control_has_dctls_first_filters_and_nothing_moves_them():
    images = np.zeros((20, 9, 9, 1), np.uint8)
    filters = []
    for name in (cells.CONTROL, "dctl"):
        method = cells.method_of(name, 10)
        assert (method.config.restarts, method.pretraining) == (20, None)
        network = method.build(images.shape[1:])
        init = functools.partial(method.algorithm.init, method.config, network, variables=None)
        first = jax.jit(lambda key, images, init=init: init(key, images=images).variables)
        filters.append(first(jax.random.key(0), images))
        windows = method.algorithm.schedule(method.config, len(images)).max_windows
        assert (windows == 0) == (name == cells.CONTROL)
    jax.tree.map(np.testing.assert_array_equal, *filters)


def test_dcns_step_is_scaled_in_both_phases():
    usual = registry.method("dcn", "paper", clusters=38)
    scaled = cells.method_of("dcn", 38)
    pairs = ((usual.config, scaled.config), (usual.pretraining, scaled.pretraining))
    for one, other in pairs:
        rates = {"learning_rate": other.learning_rate, "bias_rate": other.bias_rate}
        assert other == dataclasses.replace(one, **rates)
        # Weights' steps shrink with the inputs' squared length; biases' stay.
        steps = (other.learning_rate * other.bias_rate, one.learning_rate * one.bias_rate)
        np.testing.assert_allclose(*steps)
        np.testing.assert_allclose(other.learning_rate / one.learning_rate, 88.03 / 300)


def test_what_the_paper_leaves_open_is_changed_each_once():
    source = inspect.getsource(dctl.Config)
    fields = [field.name for field in dataclasses.fields(dctl.Config)]
    said = dict(re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', source, flags=re.M | re.S))
    assert set(said) == set(fields)
    # Adam and its closed form for codes are both P1's solvers, and changed too; one layer is asked
    # for to change it.
    opened = {name for name in fields if "(open" in said[name]}
    changed = {field for changes in cells.OPEN.values() for field in changes}
    assert changed == opened | {"z_update", "residual", "layers"}


def test_rounds_say_how_near_the_filters_came_to_the_trivial_solution(monkeypatch):
    history = {
        "lane": np.int32([0, 1, 0, 1]),
        "loss": np.float32([4, 8, 2, 6]),
        "least_singular": np.float32([0.5, 0.25, 0.125, np.nan]),
    }
    key = {"data": "yaleb", "method": "dctl"}
    found = experiment.rounds(history, key, (3, 5))
    assert found[0] == key | {"seed": 3, "objective": [4, 2], "least_singular": 0.125}
    assert np.isnan(found[1]["least_singular"])
    for lines, text in ((found, "in any round: 0.125 (yaleb, dctl, seed 3)"), ([], "")):
        monkeypatch.setattr(rows, "read_lines", lambda path, lines=lines: lines)
        assert tables.filters().endswith(text)


def test_open_choices_are_compared_with_what_they_change():
    pairs = dict(tables.OPEN_PAIRS)
    assert pairs.keys() == set(cells.OPENED)
    others = dict.fromkeys(("open-l1", "open-l1-weight-1", "open-nonnegative"), "open-adam")
    others["open-1-layer-linear"] = "dctl-1-layer"
    assert {name: other for name, other in pairs.items() if other != "dctl"} == others


def test_figure_2_is_drawn_from_rows(tmp_path, monkeypatch):
    lines = [
        {"data": data, "method": method, "seed": seed, "objective": [2.0, 1.0, 0.5 + seed]}
        for data in ("yaleb", "digits")
        for method in ("dctl", "dctl-piecewise", "open-inner-steps-4", "open-line")
        for seed in range(2)
    ]
    monkeypatch.setattr(rows, "read_lines", lambda path: lines)
    monkeypatch.setattr(figures, "PATH", tmp_path / "figure.png")
    figures.draw(Request())
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    lines.clear()
    with pytest.raises(UsageError, match="figure: must have rows in .*, and there are none"):
        figures.draw(Request())


def test_tables_print_from_rows(monkeypatch):
    first = Row("kmeans", "yaleb", 0, 2432, 38, nmi=0.2, ari=0.0, input="a grid")
    made = [
        dataclasses.replace(
            first, method=method, seed=seed, acc=0.1 + 0.1 * shift, seconds=2.0 + shift
        )
        for shift, method in enumerate(("kmeans", "dctl"))
        for seed in range(3)
    ]
    made.append(Row("dcn", "yaleb", 0, 2432, 38, seconds=9.0, failed=5, input="a grid"))
    monkeypatch.setattr(rows, "read", lambda path: made)
    text = tables.text()
    gain = r"yaleb +dctl less kmeans +acc \+0\.1000 \[\+0\.1000, \+0\.1000\] over 3 seeds"
    assert re.search(gain, text)
    assert re.search(r"yaleb +dctl +3 .* 3\.0 +1\.5 +2417 \(1\.4\) +a grid", text)
    # Seconds of a cell whose seeds all failed say nothing.
    assert re.search(r"yaleb +dcn +1 +- \(1 failed\) .* 0\.0160 +5436 \(3\.1\) +a grid", text)


def test_dctl_is_worth_its_time_on_extended_yale_b():
    found = {}
    for row in rows.read(cells.RESULTS):
        if row.data == "yaleb":
            found.setdefault(row.method, []).append(row)
    acc = {
        name: np.mean([row.acc for row in cell])
        for name, cell in found.items()
        if cell[0].acc is not None
    }
    seconds = {name: cell[0].seconds for name, cell in found.items()}
    assert acc["dctl"] >= acc["kmeans"]
    assert seconds["dctl"] <= 3 * seconds["kmeans"]
    slow = ("dcec", "dcn", "dkm", "dkm-annealed")
    assert seconds["dctl"] < min(seconds[name] for name in slow)


def test_rows_without_their_rounds_are_refused(monkeypatch, tmp_path, digits):
    few = digits._replace(images=np.zeros((20, 9, 9, 1), np.uint8), labels=digits.labels[:20])
    monkeypatch.setattr(cells.datasets, "load", lambda name: few)
    monkeypatch.setattr(cells, "dataset_of", lambda data, name: few)
    for module in (cells, experiment):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "rows.jsonl")
        monkeypatch.setattr(module, "ROUNDS", tmp_path / "rounds.jsonl")
    monkeypatch.setitem(cells.SEEDS, "digits", (0, 1))
    request = Request(over="map", folder=tmp_path)
    for _ in range(2):  # The second finds the rows of the first.
        assert experiment.run_cell("digits", "dctl-1-layer", request)
    assert [row.seed for row in rows.read(experiment.RESULTS)] == [0, 1]
    lines = rows.read_lines(experiment.ROUNDS)
    assert [(line["method"], line["seed"]) for line in lines] == [
        ("dctl-1-layer", s) for s in (0, 1)
    ]
    experiment.ROUNDS.unlink()
    rule = "rows: .* lacks digits, dctl-1-layer; remove its rows in .* to run it again"
    with pytest.raises(UsageError, match=rule):
        experiment.run_cell("digits", "dctl-1-layer", request)
