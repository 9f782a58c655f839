"""``--clusters auto --criterion stability``: every number runs, and the most stable is taken."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from jaxclust.cli import cells, choose_clusters
from jaxclust.cli.main import main
from jaxclust.runs import collect
from jaxclust.runs.files import json_lines, write_labels
from jaxclust.runs.rows import SCORES
from jaxclust.runs.sweeps import CLUSTERS, read_choice
from run_folders import SETTINGS

# Labels of two seeds: they agree wholly for 2 and 3 clusters, and not for 4.
HALVES = np.arange(60) % 2
THIRDS = np.arange(60) % 3
LABELS = {
    2: [HALVES, 1 - HALVES],
    3: [THIRDS, (THIRDS + 1) % 3],
    4: [np.arange(60) % 4, np.arange(60) // 15],
}


def fake(arguments):
    """A finished run of two seeds with the labels above."""
    k = int(arguments[arguments.index("--clusters") + 1])
    folder = Path(arguments[arguments.index("--out") + 1])
    folder.mkdir(parents=True, exist_ok=True)
    settings = SETTINGS | {"method": "kmeans", "seeds": [0, 1], "config": {"clusters": k}}
    (folder / "config.json").write_text(json.dumps(settings))
    rows = [
        {
            "method": "kmeans",
            "data": "usps",
            "seed": s,
            "n": 60,
            "clusters": k,
            "failed": None,
            "failed_phase": None,
        }
        | dict.fromkeys(SCORES, 0.5 + s / 10)
        for s in (0, 1)
    ]
    (folder / "results.jsonl").write_text(json_lines(rows))
    write_labels(folder / "labels.npy", np.array(LABELS[k]))
    return 0, ""


def command(out, more=""):
    auto = f"--clusters auto --criterion stability --cluster-range 2,4 --out {out}"
    return f"fit kmeans --data digits --seeds 2 {auto} {more}".split()


def test_the_largest_of_the_most_stable_is_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cells, "watched", fake)
    out = tmp_path / "auto"
    assert main(command(out)) == 0
    assert "3  1.0000  <- chosen" in capsys.readouterr().out
    choice = read_choice(out)
    assert choice.chosen == 3
    assert [row.clusters for row in choice.rows] == [2, 3, 4]
    assert choice.rows[2].stability < 0.1
    # The folder stands for the chosen run.
    (cell,), _ = collect.read([str(out)])
    assert cell.folders == (out / "k-3",)


def test_nothing_is_chosen_before_all_are_there(tmp_path, monkeypatch, capsys):
    def slow(arguments):
        return (0, "") if "3" in arguments else fake(arguments)  # Stopped in time: no results.

    monkeypatch.setattr(cells, "watched", slow)
    out = tmp_path / "auto"
    assert main(command(out)) == 0
    assert "no number of clusters is chosen yet" in capsys.readouterr().out
    assert main(["compare", str(out)]) == 2
    assert "has no number of clusters chosen yet" in capsys.readouterr().err
    monkeypatch.setattr(cells, "watched", fake)
    assert main(command(out, "--resume")) == 0
    assert read_choice(out).chosen == 3


def test_a_crash_leaves_the_others(tmp_path, monkeypatch, capsys):
    def crash(arguments):
        return (-signal.SIGKILL, "") if "3" in arguments else fake(arguments)

    monkeypatch.setattr(cells, "watched", crash)
    assert main(command(tmp_path / "auto")) == 1
    assert read_choice(tmp_path / "auto").chosen == 2
    assert "3  killed by SIGKILL" in capsys.readouterr().out


def test_a_crash_after_the_results_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "watched", lambda arguments: (-signal.SIGKILL, fake(arguments)[1]))
    assert main(command(tmp_path / "auto")) == 1
    assert read_choice(tmp_path / "auto").chosen == 3


def test_failed_seeds_and_empty_clusters_are_said(tmp_path):
    def stability(*labels, clusters=2):
        write_labels(tmp_path / "labels.npy", np.array(labels))
        return choose_clusters.stability(tmp_path, clusters)

    lost = np.full(60, -1)
    assert stability(HALVES, 1 - HALVES) == (1.0, None)
    assert stability(HALVES, HALVES, lost) == (1.0, "1 of 3 seeds failed")
    assert stability(HALVES, lost) == (None, "fewer than two seeds")
    assert stability(HALVES, THIRDS, clusters=3)[1] == "1 of 2 seeds left clusters empty"
    assert stability(lost, 0 * HALVES, 0 * HALVES) == (
        1.0,
        "1 of 3 seeds failed; 2 of 3 seeds left clusters empty",
    )


def test_collapse_is_not_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cells, "watched", fake)
    monkeypatch.setitem(LABELS, 4, [0 * HALVES, 0 * HALVES])
    assert main(command(tmp_path / "auto")) == 0
    out = capsys.readouterr().out
    assert "4  1.0000  left out: 2 of 2 seeds left clusters empty" in out
    assert "3  1.0000  <- chosen" in out
    monkeypatch.setitem(LABELS, 2, LABELS[4])
    monkeypatch.setitem(LABELS, 3, LABELS[4])
    assert main(command(tmp_path / "none")) == 0
    assert "no number of clusters can be chosen: each is left out" in capsys.readouterr().out
    assert read_choice(tmp_path / "none").chosen is None


def test_what_is_known_of_other_numbers_stays_and_other_options_are_refused(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(cells, "watched", fake)
    out = tmp_path / "auto"
    assert main(command(out)) == 0
    before = read_choice(out)
    assert main([*command(out, "--resume"), "--cluster-range", "2,3"]) == 0
    assert read_choice(out) == before
    capsys.readouterr()
    assert main([*command(out, "--resume"), "--restarts", "3"]) == 2
    assert (
        "must hold the same runs, has those of --data digits --seeds 2" in capsys.readouterr().err
    )
    assert read_choice(out) == before


def test_overwriting_leaves_no_earlier_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cells, "watched", fake)
    out = tmp_path / "auto"
    assert main(command(out)) == 0
    # One that was interrupted is in no row yet.
    (out / "k-4").rename(out / "k-5")
    began = []

    def short(arguments):
        began.append(arguments)
        return (0, "") if "3" in arguments else fake(arguments)

    monkeypatch.setattr(cells, "watched", short)
    changed = ["--cluster-range", "2,3", "--restarts", "4"]
    assert main([*command(out), "--overwrite", *changed]) == 0
    assert (
        "the same command with --resume in place of --overwrite goes on" in capsys.readouterr().out
    )
    assert not any("--overwrite" in words for words in began)
    assert [path.parent.name for path in out.rglob("results.jsonl")] == ["k-2"]
    assert [row.clusters for row in read_choice(out).rows] == [2, 3]
    monkeypatch.setattr(cells, "watched", fake)
    assert main([*command(out, "--resume"), *changed]) == 0
    assert read_choice(out).chosen == 3


@pytest.mark.parametrize(
    "rows",
    [
        5,
        [5],
        [{"clusters": 3, "reason": None}],
        [{"clusters": "3", "reason": None, "stability": 1.0}],
        [{"clusters": 3, "reason": None, "stability": "high"}],
        [{"clusters": 3, "reason": None, "stability": 1.0, "left_out": 1}],
    ],
)
def test_a_damaged_list_of_numbers_is_refused(rows, tmp_path, capsys):
    out = tmp_path / "auto"
    out.mkdir()
    (out / CLUSTERS).write_text(json.dumps({"chosen": 3, "rows": rows}))
    for arguments in (command(out, "--resume"), ["compare", str(out)]):
        assert main(arguments) == 2
        assert "must hold the stability of numbers of clusters" in capsys.readouterr().err


def test_rows_of_before_have_nothing_left_out(tmp_path):
    row = {"clusters": 3, "stability": 1.0, "reason": None}
    (tmp_path / CLUSTERS).write_text(json.dumps({"chosen": 3, "rows": [row]}))
    assert choose_clusters.choose(read_choice(tmp_path).rows) == 3


def test_an_image_that_cannot_be_read_leaves_the_seeds(tmp_path):
    labels = np.array([HALVES, HALVES, np.full(60, -1)])
    labels[:, 7] = -1
    write_labels(tmp_path / "labels.npy", labels)
    assert choose_clusters.stability(tmp_path, 2) == (1.0, "1 of 3 seeds failed")


def test_a_method_without_randomness_has_no_agreement_to_choose_by(tmp_path, capsys):
    auto = f"--clusters auto --criterion stability --out {tmp_path / 'never'}"
    arguments = f"fit ac-gdl --data digits {auto}".split()
    assert main(arguments) == 2
    assert (
        "clusters: auto compares seeds, which ac-gdl does not have: it draws no random number"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--cluster-range 5", "cluster-range: must be LOW,HIGH with 2 <= LOW < HIGH, got '5'"),
        ("--cluster-range 1,5", "got '1,5'"),
        ("--seeds 1", "seeds: must be at least 2, whose agreement is the measure, got '1'"),
        ("--gama 1", "Unrecognized options: --gama"),
        ("--max-seconds 0", "max-seconds: must be above 0, got 0.0"),
        ("--data nope", "data: must be one of digits"),
        ("--resume --overwrite", "resume: must not be given together with overwrite"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, capsys, more, message):
    assert main(command(tmp_path / "never", more)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "never").exists()


def test_without_out_the_same_command_goes_on_and_another_has_its_own_folder(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cells, "watched", fake)
    auto = "--clusters auto --criterion stability --cluster-range 2,4"
    words = f"fit kmeans --data digits --seeds 2 {auto}"
    assert main(words.split()) == 0
    assert f"files: {Path('runs/kmeans-digits-clusters/k-3')}" in capsys.readouterr().out
    assert main(words.split()) == 0
    assert main([*words.split(), "--overwrite"]) == 0
    assert [path.name for path in Path("runs").iterdir()] == ["kmeans-digits-clusters"]
    assert main([*words.split(), "--restarts", "3"]) == 0
    assert read_choice(Path("runs/kmeans-digits-clusters-2")).chosen == 3


def test_quiet_names_the_chosen_folder_alone(tmp_path, monkeypatch, capsys):
    began = []
    monkeypatch.setattr(cells, "watched", lambda words: began.append(words) or fake(words))
    assert main(command(tmp_path / "auto", "--quiet")) == 0
    printed = capsys.readouterr()
    assert printed.out == f"files: {tmp_path / 'auto' / 'k-3'}\n"
    assert printed.err == ""
    assert all("--quiet" in words for words in began)
    assert "--quiet" not in read_choice(tmp_path / "auto").arguments
