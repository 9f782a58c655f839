"""What ``jaxclust fit`` refuses, each time in one line."""

import numpy as np
import pytest

from commands import command, error
from jaxclust.cli import options


def test_k_means_takes_no_steps(data, tmp_path, capsys):
    line = error(capsys, f"fit kmeans --data {data} --out {tmp_path / 'x'} --max-steps 10".split())
    assert "max_steps: must stay 0 for kmeans, got 10" in line


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5", (0, 1, 2, 3, 4)), ("0,3,7", (0, 3, 7)), ("3,", (3,)), ("1", (0,)), ("2, 9", (2, 9))],
)
def test_seeds(text, seeds):
    assert options.seeds(text) == seeds


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--seeds 0",
            "seeds: must be a count from 1 or a list such as 0,3,7 of distinct numbers from 0, "
            "got '0'",
        ),
        ("--seeds 1,1", "got '1,1'"),
        ("--seeds 20240501", "20240501, with a comma is that one seed"),
        ("--seeds=-3", "got '-3'"),
        ("--clusters 1", "clusters: must be at least 2, got 1"),
        ("--clusters 301", "clusters: must be at most the number of images, 300, got 301"),
        ("--clusters many", "--clusters: must be a whole number or auto, got 'many'"),
        ("--cluster-range 2,4", "cluster-range: must come with --clusters auto, got '2,4'"),
        ("--gama 1", "Unrecognized options: --gama; did you mean --gamma?"),
        ("--pretraining.epoch 1", "--pretraining.epoch; did you mean --pretraining.epochs?"),
        ("--no-figure", "Unrecognized options: --no-figure; did you mean --no-figures?"),
        ("--gamma high", "Error parsing --gamma: could not convert string to float: 'high'"),
        ("--gamma", "gamma: must have a value, got none"),
        ("--gamma -1", "gamma: must be at least 0, got -1.0"),
        ("--reconstruction man", "must be one of mean, sum, got 'man'; did you mean mean?"),
        ("--preset best", "preset: must be one of default, paper, quick, got 'best'"),
        ("--max-seconds 0", "max-seconds: must be above 0, got 0.0"),
        ("--resume --overwrite", "resume: must not be given together with overwrite"),
        ("--data nope", "data: must be one of digits"),
        ("--pretrained /nowhere", "run: /nowhere must hold a run, has no config.json"),
    ],
)
def test_flags_that_cannot_work_are_refused(data, tmp_path, capsys, flags, message):
    out = tmp_path / "never"
    assert message in error(capsys, command(data, out, flags))
    assert not out.exists()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 8), np.uint8), "images: must be of rank 3"),
        (np.zeros((0, 8, 8), np.uint8), "images: must not be empty"),
        (np.zeros((1, 8, 8), np.uint8), "images: must be at least 2, got 1"),
        (np.full((5, 8, 8), np.nan), "images: must be finite"),
        (np.full((5, 8, 8), np.inf), "images: must be finite"),
        (
            np.zeros((5, 8, 8), np.uint8),
            "clusters: must be at most the number of distinct images, 1, got 2",
        ),
    ],
)
def test_images_that_cannot_be_clustered_are_refused(images, message, tmp_path, capsys):
    path = tmp_path / "bad.npz"
    out = tmp_path / "never"
    np.savez(path, images=images)
    assert message in error(capsys, f"fit dcec --data {path} --out {out} --clusters 2".split())
    assert not out.exists()


def test_other_words_are_refused(capsys):
    known = "group, check, fit, methods, datasets, predict, vote, weights, compare or report"
    assert f"command: must be {known}, got 'train'" in error(capsys, ["train"])
    assert "method: must be one of best" in error(capsys, ["fit", "foo"])
    assert "data: must be given" in error(capsys, ["fit"])
    assert "data: must be given" in error(capsys, ["fit", "dcec", "--out", "x"])
    assert "options: --dta; did you mean --data?" in error(capsys, ["fit", "dcec", "--dta", "x"])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("fitt", "did you mean fit?"),
        ("fit dcek --data digits", "did you mean dcec?"),
        ("fit --methods dcek --data digits", "did you mean dcec?"),
        ("fit --methods dcec --data digts", "did you mean digits?"),
        ("fit dcec --data digts", "did you mean digits?"),
        ("fit dcec --data digits --over shrad", "did you mean shard?"),
        ("predict x --data digits --out y --sed 3", "did you mean --seed?"),
        ("weights ccn --data digits --out y", "did you mean ccnn?"),
        ("compare x --metrics acc", "did you mean --metric?"),
        ("report x --out y --famly data", "did you mean --family?"),
    ],
)
def test_a_misspelled_word_gets_a_hint(words, hint, capsys):
    assert hint in error(capsys, words.split())
