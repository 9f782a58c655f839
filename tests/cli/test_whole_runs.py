"""A run is finished when every file of it is there and whole, and it is known by its content."""

import json
import shutil

import numpy as np
import pytest

from commands import command, error, same
from jaxclust.cli.main import main
from jaxclust.data.datasets import Fingerprint
from jaxclust.engine import devices
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.runs.folder import open_folder
from jaxclust.runs.reading import open_run
from jaxclust.runs.settings import make_settings, read_settings
from jaxclust.runs.whole import is_whole, lacks_figures


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run."""
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    return out


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("name", ["labels.npy", "clusters.csv", "history.csv"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), cut], ids=["gone", "cut"])
def test_a_run_with_a_file_gone_or_cut_is_not_whole(run, name, damage):
    settings = read_settings(run)
    assert is_whole(run, settings)
    damage(run / name)
    assert not is_whole(run, settings)


def test_what_is_missing_is_made_again(finished, run, data, capsys):
    (run / "labels.npy").unlink()
    cut(run / "clusters.csv")
    (run / "figures" / "cluster-9.png").unlink()
    assert main(command(data, run, "--resume --quiet")) == 0
    assert "finished already" not in capsys.readouterr().out
    same(run, finished)
    assert (run / "clusters.csv").read_text() == (finished / "clusters.csv").read_text()
    assert not lacks_figures(run, read_settings(run))


def test_figures_that_were_interrupted_are_made_and_no_result_is_touched(run, data):
    settings = read_settings(run)
    before = (run / "results.jsonl").read_bytes()
    for path in sorted((run / "figures").iterdir())[:3]:
        path.unlink()
    assert is_whole(run, settings)
    assert lacks_figures(run, settings)
    assert main(command(data, run, "--resume --quiet")) == 0
    assert not lacks_figures(run, settings)
    assert (run / "results.jsonl").read_bytes() == before


def test_rows_of_other_settings_are_refused(run, data, capsys):
    config = json.loads((run / "config.json").read_text())
    config["config"]["gamma"] = 0.7
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="must hold rows of the settings in its config.json"):
        open_run(run)
    line = error(capsys, command(data, run, "--resume --no-figures --gamma 0.7"))
    assert "config_hash is" in line


def test_a_renamed_copy_of_the_data_and_other_devices_go_on(finished, run, data, tmp_path, capsys):
    copy = tmp_path / "other-name.npz"
    shutil.copy(data, copy)
    (run / "results.jsonl").unlink()
    flags = "--resume --no-figures --no-baseline --quiet"
    arguments = [word if word != "shard" else "map" for word in command(copy, run, flags)]
    assert main(arguments) == 0
    same(run, finished)
    assert read_settings(run).data.name == "few"
    capsys.readouterr()
    # Images of the same shape that are others stay others.
    with np.load(data) as file:
        np.savez(copy, images=file["images"][::-1], labels=file["labels"])
    line = error(capsys, command(copy, run, flags))
    assert "must hold the same run, differs in data" in line
    assert "data.sha256" in line


def test_ways_that_differ_by_rounding_are_not_the_same():
    assert devices.same_bits("shard") == devices.same_bits("map")
    assert len({devices.same_bits(over) for over in devices.OVERS}) == len(devices.OVERS) - 1


def test_a_stream_of_exchanged_pictures_is_refused(tmp_path):
    data = Fingerprint("photos", (9, 8, 8, 3), "uint8", "0" * 64)

    def settings(content):
        origin = {"content": content} if content else {}
        return make_settings(registry.method("ccnn"), "paper", data, (0,), "map", origin=origin)

    open_folder(tmp_path / "run", settings("a"), False, False)
    open_folder(tmp_path / "run", settings("a"), True, False)
    with pytest.raises(UsageError, match="differs in the content of the pictures' files"):
        open_folder(tmp_path / "run", settings("b"), True, False)
    # A run of an earlier version does not say what its files held.
    open_folder(tmp_path / "old", settings(None), False, False)
    open_folder(tmp_path / "old", settings("b"), True, False)
