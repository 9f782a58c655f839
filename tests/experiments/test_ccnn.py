"""CCNN's experiment: its cells, and how they run, whole or on their trunks' features."""

import itertools
import subprocess

import numpy as np
import pytest

from experiments import figures as shared
from experiments import rows
from experiments.experiment import Request
from experiments.papers.ccnn import cells, figures, runs, tables
from jaxclust.data.named_sets import SETS
from jaxclust.errors import UsageError
from jaxclust.runs.rows import Row
from jaxclust.runs.settings import digest


@pytest.mark.parametrize("start", cells.STARTS)
def test_no_two_variants_are_alike(start):
    methods = {variant: cells.method_of(variant, start, 10) for variant in cells.VARIANTS}
    parts = {
        variant: (method.network, method.config, method.pretraining)
        for variant, method in methods.items()
    }
    for (one, mine), (other, theirs) in itertools.combinations(parts.items(), 2):
        assert mine != theirs, (one, other)


@pytest.mark.parametrize("data", cells.SEEDS)
def test_every_cell_has_a_network_for_its_images(data):
    named = SETS.get(data, SETS["mnist"])
    for variant, start in itertools.product(cells.VARIANTS, cells.STARTS):
        method = cells.method_of(variant, start, named.classes)
        assert method.clusters == named.classes
        assert (method.pretraining.epochs == 0) == (start != "reconstruction")
        method.build(named.shape)


def test_cells_run_whole_where_the_trunk_moves():
    methods = {name: cells.method_of(name, "random", 10) for name in cells.VARIANTS}
    whole = {name for name, method in methods.items() if method.config.trainable == "all"}
    names = ("count all", "update with all")
    assert whole == {name for name in cells.VARIANTS if "all" in name and name not in names}


def asked(*variants, **changes):
    """A request for variants on digits, from random weights."""
    request = Request(data=("digits",), variants=variants, starts=("random",), over="map")
    return request._replace(**changes)


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Files of rows and of curves, both empty."""
    for name in ("RESULTS", "CURVES"):
        for module in (cells, runs):
            monkeypatch.setattr(module, name, tmp_path / f"{name.lower()}.jsonl")
    return tmp_path


@pytest.fixture
def commands(monkeypatch):
    """The commands of the processes that would have been started."""
    ran = []

    def run(command, check):
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(runs.subprocess, "run", run)
    return ran


@pytest.mark.parametrize(
    ("variant", "seeds", "other"),
    [("ccnn", 10, None), ("k_m 5", 10, "settings"), ("ccnn", 9, "seeds")],
)
def test_rows_of_other_settings_do_not_pass_for_a_cell(
    files, digits, commands, variant, seeds, other
):
    line = {"data": "digits", "variant": "ccnn", "start": "random", "clustering_seconds": 1.0}
    cell = cells.cell_of(digits, variant, "random", asked())
    line["config_hash"] = digest(cell.settings)
    rows.append(runs.RESULTS, [line | {"seed": seed} for seed in range(seeds)])
    if other is None:
        assert runs.run_whole(asked("ccnn"))
    else:
        rule = f"rows: .* has digits, ccnn, random with other {other}"
        with pytest.raises(UsageError, match=rule):
            runs.run_whole(asked("ccnn"))
    assert not commands


def test_variants_of_one_network_are_pretrained_once_before_their_cells(files, commands):
    assert runs.run_whole(asked("ccnn", "baseline-i", "plain ccnn"))
    ran = [(command[4], command[command.index("--variants") + 1]) for command in commands]
    assert ran == [
        ("ccnn-pretraining", "ccnn"),
        ("ccnn-cell", "ccnn"),
        ("ccnn-cell", "baseline-i"),
        ("ccnn-pretraining", "plain ccnn"),
        ("ccnn-cell", "plain ccnn"),
    ]


@pytest.fixture
def small(monkeypatch, digits, few_digits):
    """Sets how many digits there are, and the seeds."""

    def choose(count, seeds):
        few = digits._replace(images=few_digits[0][:count], labels=few_digits[1][:count])
        monkeypatch.setattr(cells, "SEEDS", {"digits": seeds})
        monkeypatch.setattr(tables, "SEEDS", {"digits": seeds})
        monkeypatch.setattr(cells, "dataset_of", lambda name: few)
        return few

    return choose


def test_a_whole_cell_has_what_its_clustering_took(files, monkeypatch, small):
    small(60, (0,))
    monkeypatch.setattr(tables, "RESULTS", runs.RESULTS)
    request = asked("baseline-iii", folder=files)
    assert runs.run_pretraining(request)
    place = files / "digits" / "random" / "ccnn"
    made = sorted((path, path.stat().st_mtime_ns) for path in place.rglob("*"))
    assert made
    assert runs.run_cells(request)
    assert made == [(path, time) for path, time in made if path.stat().st_mtime_ns == time]
    (row,) = rows.read(runs.RESULTS)
    assert 0 < row.extra["clustering_seconds"] <= row.seconds
    assert row.extra["clustering_peak_mb"] > 100
    assert (row.preset, row.variant, row.extra["start"]) == ("random", "baseline-iii", "random")
    shown = tables.text().splitlines()[1].split()
    seconds = f"{row.extra['clustering_seconds']:.1f}"
    assert shown[-2:] == [seconds, str(row.extra["clustering_peak_mb"])]


SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("baseline-ii", "superscripts", "random fc9")
]


@pytest.mark.parametrize("variant", ["ccnn", *SLOW])
def test_a_cell_on_its_trunks_features_is_the_whole_run(files, small, variant):
    small(280, (0, 3))
    request = asked(variant, folder=files / "runs")
    assert runs.run(request)
    features = rows.read(runs.RESULTS)
    runs.RESULTS.unlink()
    assert runs.run_cells(request)
    whole = rows.read(runs.RESULTS)
    assert [row.seed for row in features] == [row.seed for row in whole] == [0, 3]
    assert "clustering_seconds" not in features[0].extra
    assert features[0].extra["on"] == "features"
    same = ("config_hash", "steps", "failed", "unseen", "variant", "start", "data")
    for row, other in zip(features, whole, strict=True):
        mine = row.to_json()
        theirs = other.to_json()
        for name in (*same, "empty_clusters"):
            assert mine[name] == theirs[name], name
        # An image or two may change sides where features are rounded otherwise.
        for name in ("nmi_sqrt", "acc", "ari", "length"):
            assert mine[name] == pytest.approx(theirs[name], abs=0.02)
        assert mine["drift"] == pytest.approx(theirs["drift"], rel=1e-3)
    if variant == "ccnn":
        points = rows.read_lines(runs.CURVES)
        mine = points[:30]
        theirs = points[30:]
        assert [point["epoch"] for point in mine] == list(range(1, 31))
        assert mine[-1]["nmi_sqrt"] == pytest.approx(theirs[-1]["nmi_sqrt"], abs=0.02)


def test_cells_on_features_begin_within_their_time_and_have_none_for_table_iii(
    files, monkeypatch, digits
):
    ran = []
    inputs = (np.zeros((10, 1, 1)), [None] * 10)
    monkeypatch.setattr(runs, "make_inputs", lambda cell: inputs)
    run = lambda cell, *inputs: ran.append(cell.key["variant"]) or {}  # noqa: E731
    monkeypatch.setattr(runs, "run_on_features", run)
    assert not runs.run(asked("ccnn", "k_m 5", deadline=-1))
    assert not ran
    assert runs.run(asked("ccnn", "k_m 5"))
    assert ran == ["ccnn", "k_m 5"]
    cell = cells.cell_of(digits, "ccnn", "random", asked())
    line = {**cell.key, "on": "features", "config_hash": digest(cell.settings)}
    rows.append(runs.RESULTS, [line | {"seed": seed} for seed in range(10)])
    rule = "has digits, ccnn, random without their time; remove them to run it whole"
    with pytest.raises(UsageError, match=rule):
        runs.run_whole(asked("ccnn"))


def test_a_seed_whose_pretraining_failed_does_not_cluster_on_features(files, small):
    few = small(60, (0, 1))
    cell = cells.cell_of(few, "ccnn", "random", asked())
    features = np.random.default_rng(0).uniform(size=(2, 60, 10)).astype(np.float32)
    runs.run_on_features(cell, features, [None, ("pretrain", 7)])
    made = rows.read(runs.RESULTS)
    assert [row.failed for row in made] == [None, 7]
    assert [row.failed_phase for row in made] == [None, "pretrain"]
    assert made[0].acc > 0
    assert made[1].acc is None
    assert [made[1].steps, made[1].extra["unseen"]] == [0, None]


def test_rows_from_before_have_no_time_in_table_iii(monkeypatch):
    extra = {"start": "random", "drift": 1, "length": 4}
    row = Row("ccnn", "usps", 0, 9298, 10, nmi_sqrt=0.5, seconds=9.0, peak_memory_mb=8)
    monkeypatch.setattr(rows, "read", lambda path: [rows.with_columns(row, columns)])
    columns = {"variant": "ccnn", **extra}
    line = tables.text().splitlines()[1].split()
    assert line == ["usps", "random", "ccnn", "1", "0.5000", "1", "4"]


def test_figures_6_and_7_are_those_of_the_rows(monkeypatch):
    mapped = []
    drawn = {}
    monkeypatch.setattr(figures, "maps", lambda data, start, request: mapped.append(start))
    keep = lambda figure, path, dpi: drawn.update({path.name: figure})  # noqa: E731
    monkeypatch.setattr(shared, "save", keep)
    figures.draw(Request(data=("mnist-test",)))
    assert mapped == list(cells.STARTS)
    assert drawn.keys() == {"mnist-test-epochs.png", "mnist-test-k_m.png"}
    epochs, k_m = (figure.gca() for figure in drawn.values())
    labels = {line.get_label() for line in epochs.lines}
    assert {f"ccnn, {start}" for start in cells.STARTS} <= labels
    found = tables.read_cells()
    for start, (line, *_) in zip(cells.STARTS, k_m.containers, strict=True):
        x, y = line.get_data()
        mean = np.mean([row.nmi_sqrt for row in found["mnist-test", "k_m 5", start]])
        assert y[list(x).index(5)] == pytest.approx(mean)
