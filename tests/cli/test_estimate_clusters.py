"""``--clusters auto``: the images are looked at once, and the method runs with that number."""

import json

import numpy as np
import pytest

from jaxclust.cli import estimate_clusters, options
from jaxclust.cli.main import main
from jaxclust.report import look
from jaxclust.runs import collect
from jaxclust.runs.folder import is_finished
from jaxclust.runs.number import Estimate
from jaxclust.runs.sweeps import read_choice


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """A file of 200 pictures of four far kinds, without labels.

    tests/runs/test_number.py has as many of this size: they share the compiled graph and merges.
    """
    generator = np.random.default_rng(0)
    kinds = generator.random((4, 6, 6)) > 0.5
    pictures = np.repeat(kinds * 180.0, 50, axis=0) + generator.normal(size=(200, 6, 6)) * 12 + 36
    path = tmp_path_factory.mktemp("far") / "far.npy"
    np.save(path, np.clip(pictures, 0, 255).astype(np.uint8))
    return path


def command(far, out, more=""):
    fit = f"fit kmeans --data {far} --seeds 2 --clusters auto --cluster-range 2,8"
    return f"{fit} --restarts 2 --no-baseline --no-figures --over map --out {out} {more}".split()


def test_the_chosen_number_runs_once_and_is_kept(far, tmp_path, capsys, monkeypatch):
    out = tmp_path / "auto"
    assert main(command(far, out)) == 0
    printed = capsys.readouterr().out
    assert "number of clusters by merges, the best of 2 to 8:\n4 clusters: " in printed
    choice = read_choice(out)
    assert (choice.chosen, choice.criterion, choice.rows) == (4, "merges", ())
    assert list(choice.values) == [str(number) for number in range(2, 9)]
    assert choice.sentences[0] in printed
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["k-4"]
    assert is_finished(out / "k-4")
    # The folder stands for the run, for compare and report.
    (cell,), _ = collect.read([str(out)])
    assert cell.folders == (out / "k-4",)
    monkeypatch.setattr(look, "in_two_dimensions", lambda points: np.zeros((len(points), 2)))
    assert main(["report", str(out), "--out", str(tmp_path / "page.html")]) == 0
    # The number that is kept is taken again, without a look at the images.
    monkeypatch.setattr(estimate_clusters, "estimate", None)
    capsys.readouterr()
    assert main(command(far, out, "--resume")) == 0
    again = capsys.readouterr().out
    assert choice.sentences[0] in again
    assert f"{out / 'k-4'} is finished already" in again


def test_each_criterion_is_kept_under_its_name_and_another_is_refused(far, tmp_path, capsys):
    out = tmp_path / "auto"
    assert main(command(far, out, "--criterion spectrum")) == 0
    assert read_choice(out).criterion == "spectrum"
    for more in ("", "--criterion stability"):
        assert main(command(far, out, f"{more} --resume")) == 2
        assert f"resume: {out} must hold the same runs" in capsys.readouterr().err
    assert main(command(far, out, "--criterion merges --overwrite --quiet")) == 0
    assert read_choice(out).criterion == "merges"
    assert capsys.readouterr().out == f"files: {out / 'k-4'}\n"


def test_time_that_runs_out_leaves_the_number(far, tmp_path, capsys):
    out = tmp_path / "auto"
    assert main(command(far, out, "--max-seconds 0.001")) == 0
    assert "out of time; the same command with --resume goes on" in capsys.readouterr().out
    assert read_choice(out).chosen == 4
    assert main(command(far, out, "--resume")) == 0
    assert is_finished(out / "k-4")


def test_a_method_without_randomness_has_its_number_chosen(far, tmp_path, monkeypatch):
    out = tmp_path / "auto"
    runs = []
    read = []

    def command(words, dataset):
        runs.append(words)
        read.append(dataset.name)
        return 0

    monkeypatch.setattr(estimate_clusters.fit, "command", command)
    words = f"ac-gdl --data {far} --clusters auto --cluster-range 2,8 --out {out} --no-figures"
    request = options.with_few_seeds(options.read("ac-gdl", words.split()[1:]))
    assert estimate_clusters.command(request, words.split()[1:]) == 0
    run = f"ac-gdl --data {far} --seeds 5 --no-figures --clusters 4 --out {out / 'k-4'}"
    assert runs == [run.split()]
    # The run gets the images that were looked at, and does not read them again.
    assert len(read) == 1


def test_without_out_the_same_command_goes_on_and_another_has_its_own_folder(
    far, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = [word for word in command(far, "X") if word not in ("--out", "X")]
    assert main(words) == 0
    assert main(words) == 0
    assert main([*words, "--criterion", "spectrum"]) == 0
    assert main([*words, "--cluster-range", "3,7"]) == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == [f"kmeans-far-clusters{end}" for end in ("", "-2", "-3")]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "--criterion best",
            "criterion: must be one of merges, spectrum, alignment, silhouette, bic, dying, stabil",
        ),
        ("--cluster-range 5", "cluster-range: must be LOW,HIGH with 2 <= LOW < HIGH, got '5'"),
        ("--cluster-range 2,60", "cluster-range: must end at most at a fifth of the different"),
        ("--data nope", "data: must be one of digits"),
        ("--stream", "criterion: must be stability with --stream, since the others need all"),
        ("--gama 1", "Unrecognized options: --gama"),
    ],
)
def test_what_cannot_be_asked_is_refused(far, tmp_path, capsys, more, message):
    assert main(command(far, tmp_path / "never", more)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "never").exists()


def test_dying_says_that_it_trains_and_refuses_a_time(far, tmp_path, capsys, monkeypatch):
    words = ["fit", "kmeans", "--data", str(far), "--clusters", "auto", "--criterion", "dying"]
    words += ["--out", str(tmp_path / "out")]
    assert main([*words, "--max-seconds", "9"]) == 2
    assert "max-seconds: must not come with --criterion dying" in capsys.readouterr().err
    monkeypatch.setattr(
        estimate_clusters, "estimate", lambda *_: Estimate(2, {2: 1.0}, ("two live.",))
    )
    assert main([*words, "--no-figures"]) == 0
    assert "dying trains an autoencoder and DEC" in capsys.readouterr().err


def test_a_criterion_needs_auto(far, capsys):
    assert main(f"fit kmeans --data {far} --clusters 3 --criterion bic".split()) == 2
    assert "criterion: must come with --clusters auto, got 'bic'" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"criterion": 5}, {"values": [1]}, {"sentences": "all"}])
def test_a_damaged_choice_is_refused(far, tmp_path, capsys, wrong):
    out = tmp_path / "auto"
    out.mkdir()
    (out / "clusters.json").write_text(json.dumps({"chosen": 3, "rows": []} | wrong))
    assert main(command(far, out, "--resume")) == 2
    assert "must hold the stability of numbers of clusters" in capsys.readouterr().err
