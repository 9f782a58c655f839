"""Notes before a run: a method's caution, also where it is listed, and settings without effect."""

import os

import pytest

import jaxclust as jc
from jaxclust.cli import signals
from jaxclust.cli.main import main
from jaxclust.methods import registry
from jaxclust.runs import collect, notes

CAUTION = "on digits this method scores below another"


def test_a_method_of_the_package_has_its_caution_in_the_list_and_before_its_run(
    data, tmp_path, monkeypatch, capsys
):
    known = registry.METHODS["kmeans"].replace(caution=CAUTION)
    monkeypatch.setitem(registry.METHODS, "kmeans", known)
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if CAUTION in line] == [f"{'':18} note: {CAUTION}"]
    assert lines[lines.index(f"{'':18} note: {CAUTION}") - 1].startswith("kmeans ")
    words = f"fit kmeans --data {data} --seeds 1 --restarts 1 --no-figures --out {tmp_path / 'run'}"
    assert main(words.split()) == 0
    # It comes once: before the run, where it can still be stopped.
    errors = capsys.readouterr().err
    assert errors.count(f"jaxclust: note: {CAUTION}\n") == 1
    assert errors.startswith("jaxclust: note for comparing: with 1 seed no test can show ")
    assert CAUTION in notes.read_notes(tmp_path / "run")
    assert f"kmeans on few: {CAUTION}" in collect.read([str(tmp_path / "run")])[1]
    # The run is finished, and nothing begins.
    for flags in ("--resume", "--resume --quiet"):
        assert main([*words.split(), *flags.split()]) == 0
        assert capsys.readouterr().err.count(f"jaxclust: note: {CAUTION}\n") == 1


def test_a_run_of_a_sweep_leaves_what_its_seeds_can_show_to_the_sweep(
    data, tmp_path, monkeypatch, capsys
):
    words = f"fit kmeans --data {data} --seeds 1 --restarts 1 --no-figures --no-baseline --out"
    for number, parent in enumerate((None, str(os.getppid()))):
        if parent is not None:
            monkeypatch.setenv(signals.PARENT, parent)
        assert main([*words.split(), str(tmp_path / f"run-{number}")]) == 0
        assert ("note for comparing: " in capsys.readouterr().err) == (parent is None)


def test_fit_says_it_where_it_shows_progress(few_digits, capsys):
    mine = jc.method("kmeans", restarts=1).replace(name="mine", caution=CAUTION)
    jc.fit(mine, few_digits[0][:50], clusters=3, seeds=1)
    assert capsys.readouterr().err.startswith(f"jaxclust: note: {CAUTION}\n")
    run = jc.fit(mine, few_digits[0][:50], clusters=3, seeds=1, progress=False)
    assert CAUTION in run.notes
    assert capsys.readouterr().err == ""


SMALL = "augment affine moves no image with a side below 16 pixels, and these have {}: "
SMALL += "they stay as they are"


@pytest.mark.parametrize(("side", "settings", "said"), [
    (15, {"augment": "affine"}, True),
    (15, {"pretraining": {"augment": "affine"}}, True),
    (16, {"augment": "affine", "pretraining": {"augment": "affine"}}, False),
    (15, {}, False),
])  # fmt: skip
def test_images_too_small_to_be_moved_are_said(side, settings, said):
    method = jc.method("dcec", **settings)
    expected = [SMALL.format(f"15 x {side + 4}")] if said else []
    assert notes.before(method, (side, side + 4, 1)) == expected
