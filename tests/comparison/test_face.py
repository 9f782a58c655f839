"""``jaxclust.compare``: runs in memory or in folders, compared under names of their own."""

import dataclasses
import json

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.comparison import tables
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics, stats
from jaxclust.runs.files import write_labels
from jaxclust.runs.own_parts import own_parts
from run_folders import BAD, GOOD, make, memory_run

CLASSES = np.arange(100) % 10


def noisy(seed, share):
    """The classes, of which a share is replaced by draws: int32 (seeds, n) of 8 seeds."""
    rng = np.random.default_rng(seed)
    wrong = rng.random((8, 100)) < share
    return np.where(wrong, rng.integers(0, 10, (8, 100)), CLASSES).astype(np.int32)


@pytest.fixture
def runs():
    """Two runs of one set, and the labels of their seeds."""
    labels = {"good": noisy(0, 0.1), "bad": noisy(1, 0.6)}
    return {name: memory_run("dcec", result) for name, result in labels.items()}


def test_its_numbers_are_attributes(runs):
    result = jc.compare(runs, CLASSES)
    (data,) = result.data
    assert (data.name, data.n, [row.method for row in data.methods]) == (
        "array",
        100,
        ["good", "bad"],
    )
    for row, run in zip(data.methods, runs.values(), strict=True):
        acc = [metrics.accuracy(CLASSES, labels) for labels in run.labels]
        assert list(row.seeds.values()) == acc
        assert (row.n, row.mean, row.sd, row.low, row.high) == stats.summary(acc)
    (pair,) = data.pairs
    assert (pair.a, pair.b, pair.test) == ("good", "bad", "paired permutation")
    assert pair.p == pair.p_holm == 2 / 2**8
    assert pair.verdict == "good beats bad"


def test_it_prints_as_the_commands_tables(runs):
    result = jc.compare(runs, CLASSES)
    assert str(result) == repr(result) == tables.text(result)
    assert "good beats bad" in str(result)
    assert "array, 100 images: ACC, Student's t interval of the mean" in str(result)
    assert json.loads(tables.as_json(result)) == result.to_json()


def test_options_go_by_name(runs):
    result = jc.compare(runs, CLASSES, metric="ari", test="wilcoxon", baseline="bad", alpha=0.1)
    assert (result.options.metric, result.options.alpha) == ("ari", 0.1)
    assert result.data[0].pairs[0].test == "wilcoxon"
    ari = [metrics.ari(CLASSES, labels) for labels in runs["good"].labels]
    assert list(result.data[0].methods[0].seeds.values()) == ari


@pytest.mark.parametrize("method", ["ac-gdl", "own"])
def test_a_method_without_randomness_is_constant_under_any_name(runs, method):
    """Also where it is a user's own method, which the package does not know by its name."""
    run = memory_run(method, np.tile(noisy(2, 0.3)[0], (8, 1)))
    if method == "own":
        own = own_parts(jc.methods.get("ac-gdl").replace(name="own"))
        run = dataclasses.replace(run, settings=dataclasses.replace(run.settings, extra=own))
    result = jc.compare({"good": runs["good"], "mine": run}, CLASSES)
    row = result.data[0].methods[1]
    assert (row.method, row.constant, row.n, row.low) == ("mine", True, 1, None)
    assert result.data[0].pairs[0].test == "sign flips against a constant"
    assert "mine on array draws no random number: one value, no interval" in result.notes


def test_the_name_of_a_method_without_randomness_makes_no_run_constant(runs):
    result = jc.compare({"ac-gdl": runs["good"], "bad": runs["bad"]}, CLASSES)
    assert [row.constant for row in result.data[0].methods] == [False, False]


def test_each_labeling_of_a_run_stands_by_itself(runs):
    labelings = {"rc": noisy(3, 0.2), "sf": noisy(4, 0.3)}
    run = memory_run("jule", labelings)
    result = jc.compare({"first": run, "bad": runs["bad"]}, CLASSES)
    rows = {row.method: row for row in result.data[0].methods}
    assert list(rows) == ["first-rc", "first-sf", "bad"]
    for name, labels in labelings.items():
        acc = [metrics.accuracy(CLASSES, own) for own in labels]
        assert list(rows[f"first-{name}"].seeds.values()) == acc


def test_failed_seeds_have_no_score(runs):
    labels = noisy(5, 0.1)
    labels[2] = -1
    result = jc.compare({"failing": memory_run("dcec", labels), **runs}, CLASSES)
    row = result.data[0].methods[0]
    assert (row.seeds[2], row.failed, row.n) == (None, {2: "cluster step 7"}, 7)


def test_runs_in_folders_are_read_and_have_their_own_scores(tmp_path):
    for name, scores in (("a", GOOD), ("b", BAD)):
        folder = make(tmp_path / name, "dcec", scores)
        write_labels(folder / "labels.npy", np.tile(CLASSES, (8, 1)))
    result = jc.compare({"first": tmp_path / "a", "second": str(tmp_path / "b")})
    first, second = result.data[0].methods
    assert (result.data[0].name, first.method, second.method) == ("usps", "first", "second")
    assert list(first.seeds.values()) == GOOD
    assert result.data[0].pairs[0].verdict == "first beats second"
    # Scores against labels that are given take the place of those in the folders.
    result = jc.compare({"first": tmp_path / "a"}, CLASSES)
    assert set(result.data[0].methods[0].seeds.values()) == {1.0}


def test_runs_of_the_same_images_are_one_data_set_under_any_name(runs):
    settings = runs["bad"].settings
    named = dataclasses.replace(settings, data=settings.data._replace(name="other", sha256="1"))
    runs["bad"] = dataclasses.replace(runs["bad"], settings=named)
    result = jc.compare(runs, CLASSES)
    assert len(result.data) == len(result.data[0].pairs) == 1


def refusal(*arguments, **options):
    """The message of a refusal, which is one line."""
    with pytest.raises(UsageError) as error:
        jc.compare(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_compared_is_refused_in_one_line(runs):
    assert refusal(runs, CLASSES[:99]) == (
        "labels: must be of shape (100,), one for each image, got (99,)"
    )
    message = refusal(runs, CLASSES / 1.0)
    assert message == "labels: must be integers of shape (n,), got float64 (100,)"
    assert refusal(runs) == "labels: must be given, as the runs have no scores, got none"
    assert refusal({}, CLASSES) == "runs: must be at least one, got none"
    assert refusal(list(runs.values()), CLASSES) == "runs: must map names to runs, got list"
    message = refusal({"a": runs["good"].labels}, CLASSES)
    assert message == "runs: a must be a run or the path of its folder, got ndarray"
    stopped = dataclasses.replace(runs["good"], rows=(), labelings={})
    message = refusal({"a": stopped}, CLASSES)
    assert message == "runs: a must be finished, was stopped before its end"
    settings = runs["bad"].settings
    other = dataclasses.replace(settings, data=settings.data._replace(sha256="1"))
    others = {**runs, "bad": dataclasses.replace(runs["bad"], settings=other)}
    assert "array must be the same images and labels in all runs" in refusal(others, CLASSES)


def test_options_that_break_a_rule_are_refused_in_one_line(runs):
    message = refusal(runs, CLASSES, metrik="ari")
    assert message.startswith("options: must be among metric, baseline, interval, test")
    assert message.endswith("got 'metrik'")
    assert refusal(runs, CLASSES, metric="f1") == (
        "metric: must be one of acc, nmi, nmi_sqrt, nmi_max, ari, got 'f1'"
    )
    assert refusal(runs, CLASSES, test="t").startswith("test: must be one of auto, unpaired")
    assert refusal(runs, CLASSES, alpha=0.9) == "alpha: must be in [0.0001, 0.5), got 0.9"
    assert refusal(runs, CLASSES, alpha="x") == "alpha: must be a number, got 'x'"
    assert refusal(runs, CLASSES, planned=-1) == "planned: must be at least 0, got -1"
    message = refusal(runs, CLASSES, baseline="kmeans")
    assert message == "baseline: must be one of good, bad, got 'kmeans'"
