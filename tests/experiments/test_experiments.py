"""The papers' experiments: every cell has settings and a network for its images, and variants are no two alike."""

import argparse
import dataclasses
import itertools
import math
import subprocess
import types
from pathlib import Path

import numpy as np
import pytest

from experiments import ccnn, ccnn_figures, ccnn_fixed, common, dbc, dbc_curves, dbc_figures
from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.evaluation import metrics
from jaxclust.methods.registry import METHODS, configured
from jaxclust.runs.settings import digest


def test_methods_that_pretrain_otherwise_do_not_share_it():
    assert (
        common.pretraining_name(METHODS["dec"]) == common.pretraining_name(METHODS["idec"]) == "sae"
    )
    assert common.pretraining_name(METHODS["dcn"]) == "tied_sae-layerwise"


@pytest.mark.parametrize("start", ccnn.STARTS)
def test_no_two_variants_of_ccnn_are_alike(start):
    found = {variant: ccnn.settings(variant, start, 10) for variant in ccnn.VARIANTS}
    for (one, mine), (other, theirs) in itertools.combinations(found.items(), 2):
        assert (mine[0].network, *mine[1:]) != (theirs[0].network, *theirs[1:]), (one, other)


def options(**changes):
    """Of CCNN's first cell on digits."""
    usual = {
        "data": "digits",
        "variants": "ccnn",
        "starts": "random",
        "over": "map",
        "max_seconds": 1e6,
    }
    return argparse.Namespace(**usual | {"folder": Path("nowhere"), "whole": True} | changes)


@pytest.mark.parametrize(
    ("variant", "seeds", "other"),
    [("ccnn", 10, None), ("k_m 5", 10, "settings"), ("ccnn", 9, "seeds")],
)
def test_ccnns_rows_of_other_settings_do_not_pass_for_a_cell(
    tmp_path, monkeypatch, digits, variant, seeds, other
):
    ran = []
    monkeypatch.setattr(ccnn.subprocess, "run", lambda command, check: ran.append(command))
    monkeypatch.setattr(ccnn, "RESULTS", tmp_path / "rows.jsonl")
    row = {"data": "digits", "variant": "ccnn", "start": "random"}
    row |= {
        "config_hash": digest(ccnn.record_of(digits, variant, "random", "map")),
        "clustering_seconds": 1.0,
    }
    common.add(ccnn.RESULTS, [row | {"seed": seed} for seed in range(seeds)])
    if other is None:
        ccnn.run(options())
    else:
        with pytest.raises(
            ValueError, match=f"rows: .* has digits, ccnn, random with other {other}"
        ):
            ccnn.run(options())
    assert not ran


def test_ccnns_variants_of_one_network_are_pretrained_once_before_their_cells(
    tmp_path, monkeypatch
):
    ran = []
    monkeypatch.setattr(ccnn, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(
        ccnn.subprocess,
        "run",
        lambda command, check: ran.append(command) or subprocess.CompletedProcess(command, 0),
    )
    ccnn.run(options(variants="ccnn,baseline-i,plain ccnn"))
    cells = [command[5] + " --pretrain" * ("--pretrain" in command) for command in ran]
    assert cells == ["ccnn --pretrain", "ccnn", "baseline-i", "plain ccnn --pretrain", "plain ccnn"]


def test_a_cell_of_ccnn_has_what_its_clustering_took(tmp_path, monkeypatch, digits, few_digits):
    for name, value in (
        ("SEEDS", {"digits": (0,)}),
        ("RESULTS", tmp_path / "rows"),
        ("CURVES", tmp_path / "curves"),
    ):
        monkeypatch.setattr(ccnn, name, value)
    few = digits._replace(images=few_digits[0][:60], labels=few_digits[1][:60])
    monkeypatch.setattr(ccnn, "dataset_of", lambda name: few)
    cell = ("digits", "baseline-iii", "random", "map", tmp_path, 1e6)
    ccnn.pretrain(*cell)
    made = sorted(
        (path, path.stat().st_mtime_ns)
        for path in (tmp_path / "digits" / "random" / "ccnn").rglob("*")
    )
    assert made
    assert ccnn.run_cell(*cell)
    assert made == [(path, time) for path, time in made if path.stat().st_mtime_ns == time]
    (row,) = common.rows(ccnn.RESULTS)
    assert 0 < row["clustering_seconds"] <= row["seconds"]
    assert row["clustering_peak_mb"] > 100
    shown = ccnn.tables().splitlines()[1].split()
    assert shown[-2:] == [f"{row['clustering_seconds']:.1f}", str(row["clustering_peak_mb"])]


@pytest.mark.parametrize("variant", ["ccnn", "baseline-ii", "superscripts", "random fc9"])
def test_ccnn_on_its_trunks_features_is_the_whole_run(
    tmp_path, monkeypatch, digits, few_digits, variant
):
    rows, curves = tmp_path / "rows", tmp_path / "curves"
    for name, value in (("SEEDS", {"digits": (0, 3)}), ("RESULTS", rows), ("CURVES", curves)):
        monkeypatch.setattr(ccnn, name, value)
    few = digits._replace(images=few_digits[0][:280], labels=few_digits[1][:280])
    monkeypatch.setattr(ccnn, "dataset_of", lambda name: few)
    ccnn.run(options(variants=variant, folder=tmp_path / "runs", whole=False))
    features = common.rows(rows)
    rows.unlink()
    assert ccnn.run_cell("digits", variant, "random", "map", tmp_path / "runs", 1e6)
    whole = common.rows(rows)
    assert [row["seed"] for row in features] == [row["seed"] for row in whole] == [0, 3]
    assert "clustering_seconds" not in features[0]
    assert features[0]["on"] == "features"
    same = (
        "config_hash",
        "steps",
        "failed",
        "unseen",
        "variant",
        "start",
        "data",
        "empty_clusters",
    )
    for mine, theirs in zip(features, whole, strict=True):
        assert {name: mine[name] for name in same} == {name: theirs[name] for name in same}
        # An image or two may change sides where features are rounded otherwise.
        for name in ("nmi_sqrt", "acc", "ari", "length"):
            assert mine[name] == pytest.approx(theirs[name], abs=0.02)
        assert mine["drift"] == pytest.approx(theirs["drift"], rel=1e-3)
    if variant == "ccnn":
        points = common.rows(curves)
        mine, theirs = points[:30], points[30:]
        assert [point["epoch"] for point in mine] == list(range(1, 31))
        assert mine[-1]["nmi_sqrt"] == pytest.approx(theirs[-1]["nmi_sqrt"], abs=0.02)


def test_ccnns_figures_6_and_7_are_those_of_the_rows(tmp_path, monkeypatch):
    mapped, drawn, plt = [], [], ccnn_figures.plt
    close = plt.close
    monkeypatch.setattr(ccnn_figures, "OUT", tmp_path / "figures")
    monkeypatch.setattr(ccnn_figures, "_maps", lambda data, start, options: mapped.append(start))
    monkeypatch.setattr(
        plt, "close", lambda all: drawn.extend(map(plt.figure, plt.get_fignums())) or close(all)
    )
    ccnn_figures.draw("mnist-test", None)
    assert mapped == list(ccnn.STARTS)
    assert {path.name for path in ccnn_figures.OUT.iterdir()} == {
        "mnist-test-epochs.png",
        "mnist-test-k_m.png",
    }
    epochs, k_m = (figure.gca() for figure in drawn)
    assert {f"ccnn, {start}" for start in ccnn.STARTS} <= {
        line.get_label() for line in epochs.lines
    }
    cells = ccnn.found()
    for start, (line, *_) in zip(ccnn.STARTS, k_m.containers, strict=True):
        x, y = line.get_data()
        mean = np.mean([row["nmi_sqrt"] for row in cells["mnist-test", "k_m 5", start]])
        assert y[list(x).index(5)] == pytest.approx(mean)


def test_ccnns_cells_on_features_begin_within_their_time_and_have_none_for_table_iii(
    tmp_path, monkeypatch, digits
):
    ran = []
    monkeypatch.setattr(ccnn, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(ccnn, "_inputs", lambda *cell: (None, []))
    monkeypatch.setattr(ccnn, "run_fixed", lambda data, variant, *more: ran.append(variant))
    ccnn.run(options(variants="ccnn,k_m 5", whole=False, max_seconds=-1))
    assert not ran
    ccnn.run(options(variants="ccnn,k_m 5", whole=False))
    assert ran == ["ccnn", "k_m 5"]
    row = {"data": "digits", "variant": "ccnn", "start": "random", "on": "features"}
    row["config_hash"] = digest(ccnn.record_of(digits, "ccnn", "random", "map"))
    common.add(ccnn.RESULTS, [row | {"seed": seed} for seed in range(10)])
    with pytest.raises(
        ValueError, match="has digits, ccnn, random without their time; remove them to run it whole"
    ):
        ccnn.run(options())


def test_ccnn_on_features_leaves_out_a_seed_whose_pretraining_failed(digits, monkeypatch):
    monkeypatch.setitem(ccnn.SEEDS, "digits", (0, 1))
    few = digits._replace(images=digits.images[:60], labels=digits.labels[:60])
    method, config, _ = ccnn.settings("ccnn", "random", 10)
    inputs = np.random.default_rng(0).uniform(size=(2, 60, 10)).astype(np.float32)
    wanted = ccnn.record_of(few, "ccnn", "random", "map")
    found = ccnn_fixed.rows(
        wanted, method, config, few, inputs, [None, ("pretrain", 7)], lambda lane, event: None
    )
    assert [row["failed"] for row, _ in found] == [None, 7]
    assert [row["failed_phase"] for row, _ in found] == [None, "pretrain"]
    assert found[0][0]["acc"] > 0
    assert found[1][0]["acc"] is None


def test_ccnn_runs_whole_where_the_trunk_moves():
    whole = {
        name
        for name in ccnn.VARIANTS
        if not ccnn_fixed.applies(ccnn.settings(name, "random", 10)[1])
    }
    assert whole == {
        name
        for name in ccnn.VARIANTS
        if "all" in name and name not in ("count all", "update with all")
    }


def test_ccnns_rows_from_before_have_no_time_in_table_iii(monkeypatch):
    row = {
        "data": "usps",
        "variant": "ccnn",
        "start": "random",
        "seed": 0,
        "nmi_sqrt": 0.5,
        "drift": 1,
        "length": 4,
    }
    monkeypatch.setattr(
        ccnn.common, "rows", lambda path: [row | {"seconds": 9.0, "peak_memory_mb": 8}]
    )
    assert ccnn.tables().splitlines()[1].split() == [
        "usps",
        "random",
        "ccnn",
        "1",
        "0.5000",
        "1",
        "4",
    ]


def test_dbcs_tables_have_a_number_for_methods_they_run():
    published = {name for cells in dbc.PAPER.values() for name in cells}
    assert published == set(dbc.METHODS)
    # Table 3, on the pixels.
    assert dbc.PAPER["mnist"]["dcn"] == (0.58, 0.63)


@pytest.mark.parametrize("data", dbc.SEEDS)
def test_every_cell_of_dbc_has_a_network_for_its_images(data):
    classes = datasets.SETS[data].classes
    for name in dbc.METHODS:
        config, pretraining = configured(name, clusters=classes)
        assert (config.clusters, pretraining is None) == (classes, name == "kmeans")
        fit.build(METHODS[name], config, datasets.SETS[data].shape)


def test_dbcs_fresh_seeds_are_none_of_the_tables():
    assert {data: sorted({*seeds} & {*dbc.SEEDS[data]}) for data, seeds in dbc.FRESH.items()} == {
        "usps-11000": [],
        "mnist-test": [],
    }


def test_no_two_variants_of_dbcs_curves_are_alike(digits):
    found = [dbc_curves.settings(digits, variant) for variant in dbc_curves.VARIANTS]
    assert len(set(found)) == len(found)
    assert {
        name for panel in dbc_figures.PANELS.values() for name in panel
    } <= dbc_curves.VARIANTS.keys()


@pytest.mark.parametrize("data", ccnn.SEEDS)
def test_every_cell_of_ccnn_has_a_network_for_its_images(data):
    named = datasets.SETS.get(data, datasets.SETS["mnist"])
    for variant, start in itertools.product(ccnn.VARIANTS, ccnn.STARTS):
        method, config, pretraining = ccnn.settings(variant, start, named.classes)
        assert config.clusters == named.classes
        assert (pretraining.epochs == 0) == (start != "reconstruction")
        fit.build(method, config, named.shape)


def test_cells_run_once_and_print_their_table(tmp_path, monkeypatch, digits, few_digits):
    few = digits._replace(images=few_digits[0], labels=few_digits[1])
    monkeypatch.setattr(common.datasets, "load", lambda name: few)
    monkeypatch.setattr(dbc, "RESULTS", tmp_path / "rows.jsonl")
    wanted = options(methods="kmeans", folder=tmp_path / "runs")
    for _ in range(2):
        common.run_cells(dbc.RESULTS, {"digits": range(2)}, wanted)
    rows = common.rows(dbc.RESULTS)
    assert [(row["method"], row["seed"], row["n"]) for row in rows] == [
        ("kmeans", 0, 300),
        ("kmeans", 1, 300),
    ]
    assert dbc.tables().splitlines()[1].startswith("digits  kmeans  2 ")
    with pytest.raises(ValueError, match="rows: .* has digits, kmeans with other seeds"):
        common.run_cells(dbc.RESULTS, {"digits": range(3)}, wanted)


def test_dbcs_curves_are_summed_up_and_drawn(tmp_path, monkeypatch):
    rows = [
        {"data": "digits", "variant": name, "seed": seed, "epochs": 2 + seed, "failed": None}
        | {
            curve: [0.1 * epoch for epoch in range(2 + seed)]
            for curve in ("acc", "nmi_max", "polarised")
        }
        for name in dbc_curves.VARIANTS
        for seed in range(2)
    ]
    monkeypatch.setattr(dbc_curves.common, "rows", lambda path: rows)
    lines = dbc_curves.summary("digits").splitlines()
    assert [line.split("  ")[0] for line in lines[1:] if line[0] != " "] == list(
        dbc_curves.VARIANTS
    )
    # From 0 to .1 and to .2; t is 12.7.
    assert [line.split()[5:] for line in lines if "at the start" in line] == [
        ["+0.1500", "[-0.4853,", "+0.7853]"] * 2
    ] * len(dbc_curves.VARIANTS)
    # The same seeds: .1 more for both.
    rows[2]["acc"], rows[3]["acc"] = [0.0, 0.2], [0.0, 0.1, 0.3]
    (line, *others) = [
        line for line in dbc_curves.summary("digits").splitlines() if "less paper" in line
    ]
    assert line.split()[5:] == [
        "+0.1000",
        "[+0.1000,",
        "+0.1000]",
        "+0.0000",
        "[+0.0000,",
        "+0.0000]",
    ]
    assert len(others) == len(dbc_curves.VARIANTS) - 2
    np.testing.assert_allclose(dbc_curves.band(rows[:2], "acc"), [[0, 0.1, 0.1], [0, 0.1, 0.2]])
    dbc_figures.curves(tmp_path / "curves.png", "digits")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    # A seed that failed is named, and its last labels count for nothing.
    rows[1]["failed"] = 7
    found = dbc_curves.summary("digits").splitlines()
    assert found[1].split() == ["paper", "2", "2,3", *["0.1000", "(1", "failed)"] * 2]
    assert found[2].split()[-2:] == ["+0.1000"] * 2
    rows[0]["failed"] = 7
    found = dbc_curves.summary("digits").splitlines()
    assert found[1].split() == ["paper", "2", "2,3", *["-", "(2", "failed)"] * 2]
    assert found[2].startswith("alpha 1.5")
    del rows[:2]
    with pytest.raises(
        ValueError, match="figures: needs the rows of 'paper' on digits; --curves digits makes them"
    ):
        dbc_figures.curves(tmp_path / "none.png", "digits")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--curves digits --table", "curves: must stand without the others, got curves and table"),
        (
            "--curves digits --figures digits",
            "curves: must stand without the others, got curves and figures",
        ),
        ("--variants random", "variants: must come with --curves, got 'random' without it"),
        ("--curves letters", "curves: must be of digits, .* got 'letters'"),
    ],
)
def test_flags_of_dbcs_experiment_that_would_be_ignored_are_refused(monkeypatch, typed, message):
    monkeypatch.setattr("sys.argv", ["dbc", *typed.split()])
    with pytest.raises(ValueError, match=message):
        dbc.main()


def test_a_curve_that_was_stopped_goes_on_to_the_same_points_and_to_what_fit_gives(
    tmp_path, monkeypatch, digits
):
    few = digits._replace(images=digits.images[:60], labels=digits.labels[:60])
    config, pretraining = configured("dbc", clusters=10)
    small = (
        dataclasses.replace(config, max_epochs=3, batch=30),
        dataclasses.replace(pretraining, epochs=1),
    )
    monkeypatch.setattr(dbc_curves, "settings", lambda dataset, variant: small)
    # One pretraining for both.
    runs = dbc_curves.pretrained(few, small[1], (0, 1), "map", tmp_path, math.inf)
    monkeypatch.setattr(dbc_curves, "pretrained", lambda *arguments: runs)
    whole = dbc_curves._run_variant(
        few, "paper", (0, 1), "map", tmp_path / "whole", math.inf, {"settings": "a"}
    )
    assert [len(row["acc"]) for row in whole] == [4, 4]
    for _ in range(2):
        assert (
            dbc_curves._run_variant(
                few, "paper", (0, 1), "map", tmp_path / "parts", 0.0, {"settings": "a"}
            )
            is None
        )
    with pytest.raises(
        ValueError, match=r"must be of the same training, differs in settings \('a' -> 'b'\)"
    ):
        dbc_curves._run_variant(
            few, "paper", (0, 1), "map", tmp_path / "parts", 0.0, {"settings": "b"}
        )
    assert (
        dbc_curves._run_variant(
            few, "paper", (0, 1), "map", tmp_path / "parts", math.inf, {"settings": "a"}
        )
        == whole
    )
    done = fit.fit(
        METHODS["dbc"],
        *small,
        few.images,
        (0, 1),
        over="map",
        pretrained=tmp_path / "digits" / "fcae-1",
    )
    last = [metrics.accuracy(few.labels, labels) for labels in done.labels]
    assert [row["acc"][-1] for row in whole] == pytest.approx(last, abs=1e-4)


def test_a_seed_whose_pretraining_failed_has_no_curve(tmp_path, monkeypatch, digits):
    few = digits._replace(images=digits.images[:60], labels=digits.labels[:60])
    config, pretraining = configured("dbc", clusters=10)
    small = (
        dataclasses.replace(config, max_epochs=2, batch=30),
        dataclasses.replace(pretraining, epochs=1),
    )
    monkeypatch.setattr(dbc_curves, "settings", lambda dataset, variant: small)
    runs = dbc_curves.pretrained(few, small[1], (0, 1), "map", tmp_path, math.inf)
    lost = runs._replace(failed=runs.failed.at[0].set(1))
    monkeypatch.setattr(dbc_curves, "pretrained", lambda *arguments: lost)
    rows = dbc_curves._run_variant(few, "paper", (0, 1), "map", tmp_path / "curve", math.inf, {})
    assert [(row["epochs"], row["failed"]) for row in rows] == [(0, 0), (2, None)]
    assert dbc_curves.sound(rows) == rows[1:]
    monkeypatch.setattr(dbc_figures, "curves", lambda *arguments: None)
    monkeypatch.setattr(dbc_figures.datasets, "load", lambda name: few)
    options = types.SimpleNamespace(max_seconds=math.inf, over="map", folder=tmp_path)
    with pytest.raises(
        ValueError, match="figures: need seed 0, whose pretraining failed at step 1"
    ):
        dbc_figures.draw(tmp_path / "figures", "digits", (0, 1), options)


def test_dbcs_figures_are_drawn_from_a_run(tmp_path, monkeypatch, digits):
    few = digits._replace(images=digits.images[:80], labels=digits.labels[:80])
    config, pretraining = configured("dbc", clusters=10)
    small = (
        dataclasses.replace(config, max_epochs=2, batch=40),
        dataclasses.replace(pretraining, epochs=1),
    )
    monkeypatch.setattr(dbc_curves, "settings", lambda dataset, variant: small)
    monkeypatch.setattr(dbc_figures, "curves", lambda *arguments: None)
    monkeypatch.setattr(dbc_figures.datasets, "load", lambda name: few)
    taken, drawn, figure = [], {}, dbc_figures.Figure.savefig
    snapshots = dbc_figures.snapshots
    monkeypatch.setattr(
        dbc_figures, "snapshots", lambda *arguments: taken.append(snapshots(*arguments)) or taken[0]
    )
    monkeypatch.setattr(
        dbc_figures.Figure,
        "savefig",
        lambda self, path, **options: (
            drawn.update({path.stem: self}) or figure(self, path, **options)
        ),
    )
    options = types.SimpleNamespace(max_seconds=math.inf, over="map", folder=tmp_path)
    dbc_figures.draw(tmp_path / "figures", "digits", (0, 1), options)
    assert sorted(name.split("-")[1] for name in drawn) == ["3", "4", "5", "6", "7", "8"]
    assert all((tmp_path / "figures" / f"{name}.png").stat().st_size > 5_000 for name in drawn)
    assert list(taken[0]) == [0, 1, 2]
    # The first point is k-means on the pretrained features, the last what ``fit`` ends with.
    done = fit.fit(METHODS["dbc"], *small, few.images, (0,), over="map")
    np.testing.assert_array_equal(taken[0][2]["labels"], done.labels[0])
    np.testing.assert_allclose(taken[0][1]["scores"].sum(axis=1), 1, rtol=1e-5)
    # Figure 3: at a score of one half R is S, and the loss is 0; the two terms add up to it.
    one, two, total = (line.get_ydata() for line in drawn["figure-3-loss"].axes[0].lines[:3])
    np.testing.assert_allclose(one + two, total, atol=1e-5)
    assert abs(total[len(total) // 2]) < 1e-3 < total[20]
    titles = [
        axes.get_title(loc="left")
        for axes in drawn["figure-6-scores-digits"].axes
        if axes.get_title(loc="left")
    ]
    shares = [np.mean((one["scores"] > 0.8) | (one["scores"] < 0.02)) for one in taken[0].values()]
    assert titles == [f"epoch {epoch}: {100 * share:.0f} %" for epoch, share in enumerate(shares)]
    sevens = [axes.get_title(loc="left") for axes in drawn["figure-7-tsne-digits"].axes]
    accuracies = [metrics.accuracy(few.labels, one["labels"]) for one in taken[0].values()]
    assert [title for title in sevens if title] == [
        f"epoch {i}: ACC {acc:.3f}" for i, acc in enumerate(accuracies)
    ]


def test_what_dbc_adds_is_its_score_less_that_of_its_features(monkeypatch):
    row = {"data": "usps-11000", "failed": None}
    rows = [
        row | {"method": method, "seed": seed, "acc": acc, "nmi_max": 0.5}
        for method, scores in (("fcae-kmeans", (0.4, 0.5, 0.9)), ("dbc", (0.6, 0.8)))
        for seed, acc in enumerate(scores)
    ]
    rows += [row | {"method": "dbc", "seed": 2, "acc": None, "nmi_max": None, "failed": 4}]
    monkeypatch.setattr(dbc.common, "rows", lambda path: rows)
    first, second = dbc.gains(dbc.FRESH_RESULTS).splitlines()
    assert first.split()[:3] == ["usps-11000", "acc", "+0.2500"]
    assert first.endswith("over 2 seeds")
    assert second.split()[:3] == ["usps-11000", "nmi_max", "+0.0000"]


def test_wrong_images_are_those_of_another_class_than_their_clusters(tmp_path, monkeypatch):
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1) * np.ones((1, 2, 2, 1), np.uint8)
    few = datasets.Dataset("six", images, np.array([0, 0, 0, 1, 1, 1], np.int32))
    given, sure = np.array([1, 1, 0, 0, 0, 1]), np.array([0.9, 0.9, 0.7, 0.9, 0.9, 0.55])
    scores = np.where(given[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
    drawn = []
    figure = dbc_figures.Figure.savefig
    monkeypatch.setattr(
        dbc_figures.Figure,
        "savefig",
        lambda self, *a, **k: drawn.append(self) or figure(self, *a, **k),
    )
    dbc_figures.wrong(tmp_path / "wrong.png", few, {3: {"scores": scores, "labels": given}})
    # The last is wrong too, with a score below .6.
    shown = [axes.images[0].get_array()[0, 0] for axes in drawn[0].axes if axes.images]
    assert shown == [2]


@pytest.mark.parametrize(
    "path", sorted(Path(common.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_what_cannot_be_done_is_one_line(path):
    source = path.read_text()
    if "def main(" in source:
        assert source.endswith('if __name__ == "__main__":\n    common.command(main)\n')
