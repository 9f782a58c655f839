"""One list of notes for each run: what they say, where they are kept, and who shows them."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

import jaxclust as jc
from jaxclust.cli.choose_clusters import choice_of
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.ops.spectral import GraphWarning
from jaxclust.report import terminal
from jaxclust.runs import collect
from jaxclust.runs.notes import NOTES, of_run, read_notes, told, write_notes
from jaxclust.runs.sweeps import Stability
from run_folders import GOOD, make, memory_run


def notes(labels):
    return " | ".join(of_run(memory_run("dcec", np.array(labels, np.int32))))


def test_empty_clusters_are_counted():
    labels = np.tile(np.arange(50) % 7, (2, 1))
    assert notes(labels) == "3 of 10 clusters are empty"
    assert "1 of 10 clusters is empty" in notes(np.tile(np.arange(90) % 9, (2, 1)))
    assert notes(np.tile(np.arange(50) % 10, (2, 1))) == ""


def test_one_or_two_clusters_with_nearly_all_images():
    one = np.zeros((3, 1000), int)
    one[:, 0] = np.arange(3)
    assert "one cluster holds 99.9 % of the images, so that seeds agree whatever" in notes(one)
    two = np.tile(np.arange(20_000) % 2, (3, 1))
    two[:, :2] = 3
    assert "two clusters of 10 hold 99.99 % of the images" in notes(two)
    assert "hold" not in notes(np.tile(np.arange(1000) % 10, (3, 1)))


def test_seeds_that_find_other_clusters():
    labels = np.random.default_rng(0).integers(0, 10, (3, 500))
    assert "nothing supports 10 of them" in notes(labels)
    assert "supports" not in notes(labels[:1])


def test_a_number_that_no_seeds_agree_on_is_chosen_with_a_sentence():
    rows = (Stability(2, 0.1, None), Stability(3, 0.19, None))
    choice = choice_of(rows, [])
    assert choice.chosen == 3
    assert "agree at only 0.19" in choice.sentences[0]
    assert choice_of((Stability(2, 0.9, None),), []).sentences == ()


def test_a_run_keeps_them_and_all_who_read_it_show_them(tmp_path, capsys):
    images = np.zeros((40, 8, 8), np.uint8)
    images[0] = 255
    images[1] = 128
    run = jc.fit("kmeans", images, clusters=2, seeds=2, out=tmp_path / "run", progress=False)
    (note,) = [note for note in run.notes if note.startswith("one cluster")]
    assert json.loads((tmp_path / "run" / NOTES).read_text()) == list(run.notes)
    again = jc.open_run(tmp_path / "run")
    assert again.notes == run.notes
    terminal.show(again)
    out, err = capsys.readouterr()
    assert f"jaxclust: note: {note}\n" in err
    assert "which says nothing, since one cluster holds nearly all images" in out
    assert f"kmeans on array: {note}" in collect.read([str(tmp_path / "run")])[1]
    table = jc.compare({"mine": run}, np.arange(40) % 2)
    assert f"mine: {note}" in table.to_json()["notes"]
    run.save(tmp_path / "copy")
    assert read_notes(tmp_path / "copy") == run.notes
    run.save(tmp_path / "copy", overwrite=True)


@pytest.mark.parametrize("content", ["{", "{}", "[1]", "[" * 100_000])
def test_a_damaged_list_is_named(tmp_path, content):
    folder = make(tmp_path / "a", "dcec", GOOD)
    (folder / NOTES).write_text(content)
    with pytest.raises(UsageError, match=f"{NOTES} must be a list of sentences"):
        read_notes(folder)


def test_no_file_where_there_is_nothing_to_say(tmp_path):
    write_notes(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
    assert read_notes(tmp_path) == ()


def test_pictures_of_twelve_bits_are_noted(tmp_path):
    draw = np.random.default_rng(0)
    for number in range(4):
        values = draw.integers(0, 4096, (8, 8)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    (note,) = datasets.load(tmp_path).notes
    assert note.startswith("4 pictures have 16 bits and are nearly black: in 8 bits ")
    for number in range(4):
        values = draw.integers(0, 65_536, (8, 8)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    assert datasets.load(tmp_path).notes == ()


def test_one_odd_size_that_scales_all_others_is_noted(tmp_path):
    for number in range(5):
        side = 40 if number == 0 else 32
        Image.fromarray(np.full((side, side), 40 * number, np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    data = datasets.load(tmp_path)
    assert data.images.shape[1:3] == (64, 64)
    expected = "4 of 5 pictures have 32 x 32 pixels; since 1 have others, all are scaled to 64 x 64"
    assert data.notes == (f"{expected}; --size 32,32 keeps these as they are",)
    assert datasets.load(tmp_path, size=(32, 32)).notes == ()


def test_what_a_method_says_of_its_graph_is_a_note_and_other_warnings_stay_warnings():
    def say():
        with told() as notes:
            for sentence in ("the graph has two parts", "the graph has two parts", "and more"):
                warnings.warn(sentence, GraphWarning, stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)
        return notes

    with pytest.warns(UserWarning, match="another"):
        notes = say()
    assert notes == ["the graph has two parts", "and more"]
