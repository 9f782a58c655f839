"""DBC's experiment: its cells, what DBC adds, and its curves by epoch."""

import dataclasses

import numpy as np
import pytest

from experiments import rows
from experiments.experiment import Request
from experiments.papers.dbc import cells, curves, figures, published, tables
from jaxclust.data.named_sets import SETS
from jaxclust.engine import fit as engine
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods import registry
from jaxclust.runs.rows import Row


def test_tables_have_a_number_for_methods_they_run():
    names = {name for paper in published.PAPER.values() for name in paper}
    assert names == set(cells.METHODS)
    # Table 3, on the pixels.
    assert published.PAPER["mnist"]["dcn"] == (0.58, 0.63)


@pytest.mark.parametrize("data", cells.SEEDS)
def test_every_cell_has_a_network_for_its_images(data):
    classes = SETS[data].classes
    for name in cells.METHODS:
        method = registry.method(name, clusters=classes)
        without = method.pretraining is None
        assert (method.config.clusters, without) == (classes, name == "kmeans")
        method.build(SETS[data].shape)


def test_fresh_seeds_are_none_of_the_tables():
    shared = {data: {*seeds} & {*cells.SEEDS[data]} for data, seeds in cells.FRESH.items()}
    assert shared == {"usps-11000": set(), "mnist-test": set()}


def test_no_two_variants_of_the_curves_are_alike():
    methods = [cells.method_of(variant, 10) for variant in cells.VARIANTS]
    assert len({(method.config, method.pretraining) for method in methods}) == len(methods)
    panels = {name for panel in figures.PANELS.values() for name in panel}
    assert panels <= cells.VARIANTS.keys()


def test_what_dbc_adds_is_its_score_less_that_of_its_features(monkeypatch):
    scores = {"fcae-kmeans": (0.4, 0.5, 0.9), "dbc": (0.6, 0.8)}
    made = [
        Row(method, "usps-11000", seed, 11000, 10, acc=acc, nmi_max=0.5)
        for method, of_method in scores.items()
        for seed, acc in enumerate(of_method)
    ]
    made.append(Row("dbc", "usps-11000", 2, 11000, 10, failed=4))
    monkeypatch.setattr(rows, "read", lambda path: made)
    first, second = tables.gains(cells.FRESH_RESULTS).splitlines()
    assert first.split()[:3] == ["usps-11000", "acc", "+0.2500"]
    assert first.endswith("over 2 seeds")
    assert second.split()[:3] == ["usps-11000", "nmi_max", "+0.0000"]


def test_curves_are_summed_up_and_drawn(tmp_path, monkeypatch):
    lines = [
        {"data": "digits", "variant": name, "seed": seed, "epochs": 2 + seed, "failed": None}
        | {
            curve: [0.1 * epoch for epoch in range(2 + seed)]
            for curve in ("acc", "nmi_max", "polarised")
        }
        for name in cells.VARIANTS
        for seed in range(2)
    ]
    monkeypatch.setattr(rows, "read_lines", lambda path: lines)
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    summary = tables.summary("digits").splitlines()
    names = [line.split("  ")[0] for line in summary[1:] if line[0] != " "]
    assert names == list(cells.VARIANTS)
    # From 0 to .1 and to .2; t is 12.7.
    gains = [line.split()[5:] for line in summary if "at the start" in line]
    assert gains == [["+0.1500", "[-0.4853,", "+0.7853]"] * 2] * len(cells.VARIANTS)
    # The same seeds: .1 more for both.
    lines[2]["acc"] = [0.0, 0.2]
    lines[3]["acc"] = [0.0, 0.1, 0.3]
    summary = tables.summary("digits").splitlines()
    (line, *others) = [line for line in summary if "less paper" in line]
    more = ["+0.1000", "[+0.1000,", "+0.1000]"]
    assert line.split()[5:] == [*more, "+0.0000", "[+0.0000,", "+0.0000]"]
    assert len(others) == len(cells.VARIANTS) - 2
    band = curves.band(lines[:2], "acc")
    np.testing.assert_allclose(band, [[0, 0.1, 0.1], [0, 0.1, 0.2]])
    figures.curves("digits")
    assert (tmp_path / "figure-9-curves-digits.png").stat().st_size > 10_000
    # A seed that failed is named, and its last labels count for nothing.
    lines[1]["failed"] = 7
    summary = tables.summary("digits").splitlines()
    assert summary[1].split() == ["paper", "2", "2,3", *["0.1000", "(1", "failed)"] * 2]
    assert summary[2].split()[-2:] == ["+0.1000"] * 2
    lines[0]["failed"] = 7
    summary = tables.summary("digits").splitlines()
    assert summary[1].split() == ["paper", "2", "2,3", *["-", "(2", "failed)"] * 2]
    assert summary[2].startswith("alpha 1.5")
    del lines[:2]
    rule = "figures: needs the rows of 'paper' on digits; run dbc-curves --data digits makes them"
    with pytest.raises(UsageError, match=rule):
        figures.curves("digits")


@pytest.fixture
def small(monkeypatch, digits, tmp_path):
    """DBC with few epochs on 60 digits, its curves in files of their own: a function to a cell."""
    few = digits._replace(images=digits.images[:60], labels=digits.labels[:60])
    usual = registry.method("dbc", clusters=10, batch=30, pretraining={"epochs": 1})
    monkeypatch.setitem(cells.SEEDS, "digits", (0, 1))
    monkeypatch.setattr(curves, "CURVES", tmp_path / "curves.jsonl")

    def cell(name, **changes):
        method = usual.with_settings(changes)
        monkeypatch.setattr(curves, "method_of", lambda variant, clusters: method)
        made = curves.cell_of(few, "paper", Request(over="map", folder=tmp_path))
        # All share one pretraining.
        options = made.options._replace(directory=tmp_path / name, pretrained=tmp_path / "first")
        return made.replace(results=tmp_path / f"{name}.jsonl", options=options)

    return cell


def stopped(cell):
    """The cell with no time left."""
    return cell.replace(request=cell.request._replace(deadline=0.0))


@pytest.mark.slow
def test_a_curve_that_was_stopped_goes_on_to_the_same_points_and_to_what_fit_gives(small):
    whole = small("whole", max_epochs=3)
    assert curves.run_cell(whole)
    made = rows.read_lines(whole.results)
    assert [len(curve["acc"]) for curve in made] == [4, 4]
    parts = small("parts", max_epochs=3)
    for _ in range(2):
        assert not curves.run_cell(stopped(parts))
    assert not parts.results.exists()
    rule = r"must be of the same training, differs in config.max_epochs \(3 -> 4\)"
    with pytest.raises(UsageError, match=rule):
        curves.run_cell(stopped(small("parts", max_epochs=4)))
    assert curves.run_cell(small("parts", max_epochs=3))
    assert rows.read_lines(parts.results) == made
    options = engine.Options(over="map", pretrained=whole.options.pretrained)
    done = engine.fit(whole.method, whole.dataset.images, (0, 1), options)
    last = [metrics.accuracy(whole.dataset.labels, labels) for labels in done.labels]
    assert [curve["acc"][-1] for curve in made] == pytest.approx(last, abs=1e-4)


@pytest.mark.slow
def test_a_seed_whose_pretraining_failed_has_no_curve(small, monkeypatch):
    lose_first(monkeypatch)
    cell = small("lost", max_epochs=2)
    assert curves.run_cell(cell)
    made = rows.read_lines(cell.results)
    assert [(curve["epochs"], curve["failed"]) for curve in made] == [(0, 0), (2, None)]
    assert curves.sound(made) == made[1:]


def lose_first(monkeypatch):
    """Makes the pretraining of the first seed fail at step 1."""
    run = engine.run

    def losing(task, lost, hooks):
        phase = run(task, lost, hooks)
        if task.name != "pretrain":
            return phase
        failed = phase.lanes.failed.at[0].set(1)
        return phase._replace(lanes=phase.lanes._replace(failed=failed))

    monkeypatch.setattr(engine, "run", losing)
    return losing


def test_figures_of_a_seed_whose_pretraining_failed_are_refused(digits, monkeypatch, tmp_path):
    few = digits._replace(images=digits.images[:60], labels=digits.labels[:60])
    usual = registry.get("fcae-kmeans")
    short = usual.replace(pretraining=dataclasses.replace(usual.pretraining, epochs=1))
    monkeypatch.setitem(registry.METHODS, "fcae-kmeans", short)
    monkeypatch.setitem(cells.SEEDS, "digits", (0, 1))
    lose_first(monkeypatch)
    rule = "figures: need seed 0, whose pretraining failed at step 1"
    monkeypatch.setattr(figures.runner.datasets, "load", lambda name: few)
    with pytest.raises(UsageError, match=rule):
        figures.pretrained(few, Request(over="map", folder=tmp_path))
