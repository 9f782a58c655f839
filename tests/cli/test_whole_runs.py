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
from jaxclust.runs import fit as runs_fit
from jaxclust.runs import notes
from jaxclust.runs.folder import open_folder
from jaxclust.runs.notes import write_notes
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import read_rows
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


def test_figures_that_were_interrupted_are_made_and_no_result_is_touched(run, data, capsys):
    settings = read_settings(run)
    before = (run / "results.jsonl").read_bytes()
    for path in sorted((run / "figures").iterdir())[:3]:
        path.unlink()
    assert is_whole(run, settings)
    assert lacks_figures(run, settings)
    assert main(command(data, run, "--resume")) == 0
    assert "2 seeds" not in capsys.readouterr().err
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


KMEANS = "--restarts 1 --over map --quiet"


@pytest.fixture
def kmeans(data, tmp_path, monkeypatch):
    """Gives the finished run of k-means in a folder, and clusters no second time."""
    out = tmp_path / "kmeans"
    words = f"fit kmeans --data {data} --out {out} --seeds 2 {KMEANS}".split()
    assert main(words) == 0
    monkeypatch.setattr(runs_fit.engine, "fit", None)
    return out, [*words, "--resume"]


def test_a_run_without_curves_needs_none_to_be_whole(kmeans):
    out, again = kmeans
    assert not (out / "figures" / "curves.png").exists()
    assert not lacks_figures(out, read_settings(out))
    assert main(again) == 0


def test_the_table_of_an_earlier_version_is_made_from_the_labels_alone(kmeans):
    out, again = kmeans
    table = (out / "clusters.csv").read_text()
    before = (out / "results.jsonl").stat().st_mtime_ns
    (out / "clusters.csv").unlink()
    assert not is_whole(out, read_settings(out))
    assert main(again) == 0
    assert (out / "clusters.csv").read_text() == table
    assert (out / "results.jsonl").stat().st_mtime_ns == before
    # Without a checkpoint that can be used the labels alone make it.
    (out / "clusters.csv").unlink()
    shutil.rmtree(out / "checkpoint" / "cluster")
    (out / "checkpoint" / "cluster").mkdir()
    assert main(again) == 0
    columns = [line.split(",") for line in (out / "clusters.csv").read_text().splitlines()]
    assert columns[0] == ["image", "cluster", "share", "seed_0", "seed_1"]
    whole = [line.split(",") for line in table.splitlines()]
    assert [line[:3] for line in columns] == [line[:3] for line in whole]


@pytest.mark.parametrize("content", [None, "{"])
def test_notes_and_a_baseline_that_are_gone_or_damaged_are_made_again(
    run, data, monkeypatch, content, capsys
):
    write_notes(run, ["old"])  # A run of two seeds may have nothing to say of.
    before = (run / "results.jsonl").read_bytes()
    rows = [row.seed for row in read_rows(run / "baseline.jsonl")]
    for name in ("notes.json", "baseline.jsonl"):
        (run / name).unlink()
        if content is not None:
            (run / name).write_text(content)
    monkeypatch.setattr(notes, "after", lambda *parts: ["one cluster is odd"])
    assert main(command(data, run, "--resume")) == 0
    assert "note: one cluster is odd" in capsys.readouterr().err
    assert notes.read_notes(run) == ("one cluster is odd",)
    assert [row.seed for row in read_rows(run / "baseline.jsonl")] == rows
    assert (run / "results.jsonl").read_bytes() == before


@pytest.mark.slow
def test_a_stop_names_what_it_has_kept_and_nothing_older(data, tmp_path, capsys):
    out = tmp_path / "run"
    flags = "--max-seconds 1e-9 --no-baseline --pretraining.epochs 1"
    assert main(command(data, out, flags)) == 0
    while "after window 1" not in capsys.readouterr().out:
        assert main(command(data, out, f"{flags} --resume")) == 0
    assert (out / "figures" / "curves.png").exists()
    assert main(command(data, out, f"{flags} --no-figures --resume")) == 0
    line = capsys.readouterr().out
    assert "; labels.npy show it after window 2 of the clustering" in line
    assert "curves.png" not in line
