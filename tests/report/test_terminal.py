"""The table: what a reader sees of finished and of failed seeds."""

import dataclasses
import math

import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.report import terminal
from jaxclust.runs.files import write_labels
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import Row, read_rows, write_rows
from jaxclust.runs.scores import score_table
from run_folders import make


def row(seed, acc, method="dcec", failed=None):
    """A row whose three scores are ``acc``."""
    return Row(
        method=method,
        data="usps",
        seed=seed,
        n=100,
        clusters=10,
        acc=acc,
        nmi=acc,
        ari=acc,
        seconds=2.0,
        compile_seconds=3.0,
        failed=failed,
        failed_phase=None if failed is None else "cluster",
    )


def test_mean_sd_and_interval():
    text = score_table([[row(0, 0.5), row(1, 0.7)]])
    lines = {line[:10].strip(): line.split() for line in text.splitlines()}
    assert lines["mean"][1] == "0.6000"
    assert lines["sd"][1] == "0.1414"
    # t(0.975, 1) = 12.706 would lead out of [0, 1]: on the logit scale the mean is
    # log(0.6 / 0.4), and its standard error 0.1414 / sqrt(2) / (0.6 * 0.4).
    reach = 12.7062 * 0.1 / (0.6 * 0.4)
    low, high = (1 / (1 + math.exp(-math.log(1.5) + sign * reach)) for sign in (1, -1))
    assert lines["95 % low"][3] == f"{low:.4f}" == "0.0075"
    assert lines["95 % high"][3] == f"{high:.4f}"


def test_methods_stand_side_by_side():
    text = score_table([[row(0, 0.5), row(1, 0.7)], [row(0, 0.1, "kmeans"), row(1, 0.2, "kmeans")]])
    first = next(line for line in text.splitlines() if line.startswith("seed 0"))
    times = ["2.0", "3.0"]
    assert first.split()[2:] == ["0.5000"] * 3 + times + ["0.1000"] * 3 + times
    assert text.splitlines()[0].split() == ["dcec", "kmeans"]


def test_a_clock_of_the_whole_run_has_no_spread():
    lines = score_table([[row(0, 0.5), row(1, 0.7)]]).splitlines()
    assert next(line for line in lines if line.startswith("sd")).split()[-2:] == ["-", "-"]
    assert next(line for line in lines if line.startswith("mean")).split()[-2:] == ["2.0", "3.0"]


def test_one_seed_has_no_interval():
    lines = score_table([[row(0, 0.5)]]).splitlines()
    assert next(line for line in lines if line.startswith("sd")).split()[1] == "-"


def test_failed_seeds_are_named():
    text = score_table([[row(0, 0.5), row(1, None, failed=17)]])
    assert "dcec: failed with NaN or inf, not in the mean: seed 1 (cluster step 17)" in text
    assert next(line for line in text.splitlines() if line.startswith("seed 1")).split()[2] == "-"


@pytest.fixture
def run(tmp_path):
    """A finished run of two seeds, of which the second has collapsed, beside its baseline."""
    folder = make(tmp_path / "run", "dcec", [0.5, 0.7])
    rows = [
        dataclasses.replace(row, seconds=2.0, compile_seconds=3.0, largest_cluster=share)
        for row, share in zip(read_rows(folder / "results.jsonl"), (0.2, 0.95), strict=True)
    ]
    write_rows(folder / "results.jsonl", rows)
    write_rows(folder / "baseline.jsonl", [row(0, 0.1, "kmeans"), row(1, 0.2, "kmeans")])
    write_labels(folder / "labels.npy", np.zeros((2, 100)))
    return open_run(folder)


def test_a_run_is_shown_beside_its_baseline_with_its_folder_and_a_warning(run, capsys):
    terminal.show(run)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "dcec on usps: 100 images, 10 clusters, preset paper"
    assert lines[1].split() == ["dcec", "kmeans"]
    assert lines[-1] == f"files: {run.directory}"
    assert "consensus" not in out  # Neither true classes nor the file of the consensus are there.
    share = "one cluster holds 95 % of the images"
    assert f"jaxclust: note: seed 1 collapsed, {share}\n" in err


def test_the_consensus_is_the_last_line_of_the_table(run, capsys):
    classes = np.arange(100) % 4
    clusters = np.stack([classes, 9 - classes])
    clusters[1, :10] = 0  # Where the seeds differ, the first one decides.
    write_labels(run.directory / "labels.npy", clusters)
    run = open_run(run.directory)
    run.write_clusters(run.directory)
    terminal.show(run, classes)
    lines = {line[:10].strip(): line.split() for line in capsys.readouterr().out.splitlines()}
    # All classes are found; k-means has no labels, and the consensus no clock of its own.
    assert lines["consensus"][1:] == ["1.0000"] * 3 + ["-"] * 7
    assert " ".join(lines["consensus:"]).endswith("clusters.csv has it for every image")
    terminal.show(run)
    assert "\nconsensus " not in capsys.readouterr().out


def test_quietly_only_the_folder_and_the_warning_are_shown(run, capsys):
    terminal.show(run, quiet=True)
    out, err = capsys.readouterr()
    assert out == f"files: {run.directory}\n"
    assert "collapsed" in err


def test_a_run_without_rows_has_no_summary(run):
    with pytest.raises(UsageError, match="run: must be finished and in a folder to be shown"):
        terminal.summary(dataclasses.replace(run, rows=()))
