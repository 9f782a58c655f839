"""What a person reads of a run whose true labels are not known."""

import dataclasses

import numpy as np
import pytest

from jaxclust.report import terminal
from jaxclust.report.overview import LISTED, overview
from jaxclust.runs.consensus import CLUSTERS_CSV
from run_folders import memory_run

# Cluster 4 has 30 images, 1 has 20, 7 has 10; the second seed moves five of cluster 1 to 7.
FIRST = np.repeat([4, 1, 7], [30, 20, 10]).astype(np.int32)
SECOND = np.repeat([4, 1, 7], [30, 15, 15]).astype(np.int32)


def shown(labels, folder=None, method="dcec"):
    """The lines on a run in memory, or on one that is said to be in a folder."""
    run = dataclasses.replace(memory_run(method, np.stack(labels)), directory=folder)
    run = dataclasses.replace(
        run, rows=tuple(dataclasses.replace(row, seconds=1.5) for row in run.rows)
    )
    return run, overview(run)


def test_the_largest_cluster_comes_first():
    _, lines = shown([FIRST, FIRST, SECOND])
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["4", "30", "50.0"],
        ["1", "20", "33.3"],
        ["7", "10", "16.7"],
    ]
    bars = [line.count("#") for line in lines[1:4]]
    assert bars == [24, 16, 8]
    assert lines[4] == "time: 4.5 s for 3 seeds, and 0.0 s of compilation"


@pytest.mark.parametrize(("extra", "summed_up"), [(1, False), (2, True)])
def test_the_smallest_of_many_clusters_are_summed_up(extra, summed_up):
    clusters = LISTED + extra
    sizes = np.arange(clusters, 0, -1)
    run = memory_run("dcec", np.repeat(np.arange(clusters), sizes)[None].astype(np.int32))
    settings = dataclasses.replace(run.settings, config={"clusters": clusters})
    lines = overview(dataclasses.replace(run, settings=settings))
    assert ("and 2 smaller, 1 to 2 images each, 3 in all" in lines) == summed_up
    assert sum("#" in line for line in lines) == (LISTED if summed_up else clusters)


def test_the_agreement_of_the_seeds_has_words():
    _, lines = shown([FIRST, FIRST, SECOND])
    said = next(line for line in lines if line.startswith("seeds:"))
    # ARI of the pairs: 1 and twice 0.8488.
    assert said == (
        "seeds: mean agreement 0.90 (ARI; 1 is the same, 0 chance): mostly the same clusters each "
        "time"
    )
    assert "all 3 seeds agree on 55 of 60 images, 91.7 %" in lines
    _, lines = shown([FIRST, SECOND])
    assert "both seeds agree on 55 of 60 images, 91.7 %" in lines
    rng = np.random.default_rng(0)
    _, lines = shown([rng.permutation(FIRST), rng.permutation(FIRST)])
    assert any(line.endswith("chance): each seed finds other clusters") for line in lines)


def test_a_failed_seed_is_named_and_images_without_a_cluster_are_not_counted():
    lost = np.insert(FIRST, 0, -1)
    _, lines = shown([lost, np.full(61, -1, np.int32), np.insert(SECOND, 0, -1)])
    assert "failed with NaN or inf, without a vote: seed 1 (cluster step 7)" in lines
    assert "both seeds agree on 55 of 60 images, 91.7 %" in lines


def test_one_seed_and_a_method_without_randomness():
    _, lines = shown([FIRST])
    assert any(line.startswith("seeds: only seed 0; with --seeds 5") for line in lines)
    _, lines = shown([FIRST, FIRST], method="ac-gdl")
    assert "seeds: the method draws no random number, so that all seeds are one run" in lines


def test_it_says_where_to_look_and_what_to_type(tmp_path):
    folder = tmp_path / "my run"
    (folder / "figures").mkdir(parents=True)
    (folder / CLUSTERS_CSV).touch()
    _, lines = shown([FIRST, SECOND], folder)
    assert f"look at: {folder / CLUSTERS_CSV}: each image's cluster, and how sure it is" in lines
    assert any(str(folder / "figures") in line for line in lines)
    assert f"next:    jaxclust report '{folder}' --out page.html" in lines
    assert lines[-1] == (f"         jaxclust predict '{folder}' --data NEW_IMAGES --out new.csv")
    (folder / CLUSTERS_CSV).unlink()
    (folder / "figures").rmdir()
    assert not any("look at" in line for line in shown([FIRST, SECOND], folder)[1])


def test_runs_that_take_no_new_images_are_not_offered_predict(tmp_path):
    run, _ = shown([FIRST, SECOND], tmp_path)
    for change in ({"features": "dsift-pca"}, {"extra": {"own": {}}}):
        settings = dataclasses.replace(run.settings, **change)
        lines = overview(dataclasses.replace(run, settings=settings))
        assert not any("predict" in line for line in lines)


def test_the_table_of_scores_stands_only_where_labels_are_known(tmp_path, capsys):
    run, lines = shown([FIRST, SECOND], tmp_path)
    terminal.show(run)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "dcec on array: 60 images, 10 clusters, preset None",
        *lines,
        f"files: {tmp_path}",
    ]
    terminal.show(run, FIRST)
    assert "95 % low" in capsys.readouterr().out
