"""Bad input of many kinds ends in one line and exit status 2, or in a sound run; never otherwise.

A command that hangs fails, too. The kinds are those of the modules beside this one; hypothesis
chooses the bytes that are inverted, and which field of a run's files becomes what.
"""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import arrays, pictures
from fuzz.drive import copied, ended, fault
from fuzz.runs import VALUES, WHOLE, changed, flipped, places

pytestmark = pytest.mark.slow

SMALL = (
    *("--pretraining.epochs", "2", "--pretraining.batch", "6", "--batch", "6"),
    *("--update-interval", "2", "--max-steps", "4", "--tolerance", "0", "--restarts", "2"),
    *("--over", "map", "--no-figures", "--quiet"),
)
POSITIONS = st.lists(st.integers(0, 2**20), min_size=1, max_size=8)
QUIET = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
"""The same examples each time, so that a failure is seen again."""


def kmeans(data, out):
    """A fit of k-means without anything that takes long."""
    words = ["--seeds", "2", "--clusters", "3", "--preset", "quick", "--no-figures", "--quiet"]
    return ["fit", "kmeans", "--data", data, *words, "--out", out]


@pytest.mark.parametrize("name", arrays.REFUSED)
def test_bad_arrays_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(arrays.REFUSED[name])
    assert ended(kmeans(tmp_path / name, tmp_path / "out")) == (2, "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", arrays.TAKEN)
def test_odd_arrays_are_taken(tmp_path, name):
    (tmp_path / name).write_bytes(arrays.TAKEN[name])
    assert ended(kmeans(tmp_path / name, tmp_path / "out")) == (0, "")


def test_special_files_are_refused(tmp_path):
    images = tmp_path / "images.npy"
    images.write_bytes(arrays.npy(arrays.X))
    (tmp_path / "special").mkdir()
    for name, path in arrays.special(tmp_path / "special").items():
        assert ended(kmeans(path, tmp_path / "out")) == (2, ""), name
        if name.endswith((".npy", ".parquet")):
            words = [*kmeans(images, tmp_path / "out"), "--features", path]
            assert ended(words) == (2, ""), name


@pytest.mark.parametrize("name", pictures.BAD)
def test_bad_pictures_are_left_out(tmp_path, name):
    folder = pictures.good(tmp_path / "folder")
    (folder / name).write_bytes(pictures.BAD[name])
    assert ended(kmeans(folder, tmp_path / "out")) == (0, "")
    assert fault(["check", folder, "--quiet"]) == ""


def test_special_files_among_pictures_are_left_out(tmp_path):
    folder = pictures.good(tmp_path / "folder")
    pictures.specials(folder)
    assert ended(kmeans(folder, tmp_path / "out")) == (0, "")
    assert fault(["check", folder, "--quiet"]) == ""


@pytest.mark.parametrize("name", pictures.REFUSED)
def test_bad_archives_and_tables_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(pictures.REFUSED[name])
    assert ended(kmeans(tmp_path / name, tmp_path / "out")) == (2, "")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of IDEC with a baseline, and a file of new images."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "data.npz").write_bytes(arrays.npz(images=arrays.X, labels=arrays.LABELS))
    (folder / "new.npy").write_bytes(arrays.npy(arrays.X))
    words = ["fit", "idec", "--data", folder / "data.npz", "--seeds", "2", *SMALL]
    assert ended([*words, "--out", folder / "run"]) == (0, "")
    return folder


def commands(whole):
    """What may be done with the run's damaged copy."""
    copy = whole / "copy"
    fit = ["fit", "idec", "--data", whole / "data.npz", "--seeds", "2", *SMALL]
    return (
        ["compare", copy],
        ["report", copy, "--out", whole / "page.html", "--overwrite"],
        ["predict", copy, "--data", whole / "new.npy", "--out", whole / "p.csv", "--overwrite"],
        ["vote", copy, "--quiet", "--overwrite"],
        [*fit, "--out", copy, "--resume"],
    )


def check(whole, file, content, words):
    """Damages one file of a copy of the run, and runs a command on it."""
    copy = copied(whole / "run", whole / "copy")
    (copy / file).write_bytes(content)
    assert fault(words) == ""


@pytest.mark.parametrize("file", ["config.json", "results.jsonl", "baseline.jsonl"])
def test_any_field_of_a_run_may_become_anything(whole, file):
    first, *rest = (whole / "run" / file).read_text().splitlines()
    if file == "config.json":
        first, rest = (whole / "run" / file).read_text(), []
    values = json.loads(first)

    @settings(QUIET, max_examples=60)
    @given(
        st.sampled_from(places(values)),
        st.sampled_from(sorted(VALUES)),
        st.sampled_from(range(len(commands(whole)))),
    )
    def edited(place, kind, command):
        line = json.dumps(changed(values, place, VALUES[kind]))
        check(whole, file, "\n".join([line, *rest]).encode(), commands(whole)[command])

    edited()


def test_any_file_of_a_run_may_become_anything(whole):
    run = whole / "run"
    files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())

    @settings(QUIET, max_examples=80)
    @given(
        st.sampled_from(files),
        st.one_of(st.sampled_from(sorted(WHOLE)), POSITIONS),
        st.sampled_from(range(len(commands(whole)))),
    )
    def damaged(file, how, command):
        before = (run / file).read_bytes() or b"\0"
        content = WHOLE[how] if isinstance(how, str) else flipped(before, how)
        check(whole, file, content, commands(whole)[command])

    damaged()


@pytest.mark.parametrize("kind", ["gone", "pipe", "folder"])
def test_any_file_of_a_run_may_be_no_file(whole, kind):
    names = [path.name for path in sorted((whole / "run").iterdir()) if path.is_file()]
    for name in names:
        for words in commands(whole):
            path = copied(whole / "run", whole / "copy") / name
            path.unlink()
            if kind == "pipe":
                os.mkfifo(path)
            elif kind == "folder":
                path.mkdir()
            assert fault(words) == "", (name, words[0])


@pytest.mark.parametrize("name", ["images.npz", "images.npy", "folder/good-0.png"])
def test_any_byte_of_the_images_may_be_another(tmp_path, name):
    folder = pictures.good(tmp_path / "folder")
    sound = {
        "images.npz": arrays.npz(images=arrays.X, labels=arrays.LABELS),
        "images.npy": arrays.npy(arrays.X),
        "folder/good-0.png": (folder / "good-0.png").read_bytes(),
    }[name]

    @settings(QUIET, max_examples=60)
    @given(POSITIONS)
    def damaged(positions):
        (tmp_path / name).write_bytes(flipped(sound, positions))
        data = folder if name.startswith("folder") else tmp_path / name
        assert fault([*kmeans(data, tmp_path / "out"), "--overwrite"]) == ""

    damaged()
