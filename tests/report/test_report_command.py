"""``jaxclust report``: the file of the consensus, and what it refuses."""

import shutil

import numpy as np

from jaxclust.cli.main import main
from jaxclust.runs.files import write_labels
from run_folders import make


def error(capsys, *arguments):
    assert main(["report", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    return err


def test_the_consensus_is_each_images_cluster_with_most_votes(tmp_path, capsys):
    labels = np.array([np.arange(100) % 10, (np.arange(100) + 1) % 10, np.arange(100) % 10])
    labels[0, 0] = labels[2, 1] = (
        7  # Each outvoted by the other two; seed 1's clusters are the others', renamed.
    )
    run = make(tmp_path / "a", "dcec", [0.5, 0.6, 0.7])
    write_labels(run / "labels.npy", labels)
    words = [
        "report",
        str(run),
        "--out",
        str(tmp_path / "page.html"),
        "--consensus",
        str(tmp_path / "votes.csv"),
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.endswith(f"wrote {tmp_path / 'votes.csv'}\n")
    head, *lines = (tmp_path / "votes.csv").read_text().splitlines()
    assert head == "data,method,image,cluster,votes"
    found = [line.split(",") for line in lines]
    assert [line[:3] for line in found] == [["usps", "dcec", str(image)] for image in range(100)]
    votes = {0: "0.6667", 1: "0.6667"}
    assert [line[4] for line in found] == [votes.get(image, "1") for image in range(100)]
    # Numbers of clusters are those of one of the seeds.
    named = [int(line[3]) for line in found]
    assert named in [(np.arange(100) % 10).tolist(), ((np.arange(100) + 1) % 10).tolist()]
    for suffix, message in (
        ("csv", "consensus: must not exist without --overwrite"),
        ("txt", "must end in .csv, got"),
    ):
        words = [run, "--out", tmp_path / "more.html", "--consensus", tmp_path / f"votes.{suffix}"]
        assert message in error(capsys, *words)
        assert not (tmp_path / "more.html").exists()


def test_what_cannot_be_reported_is_refused(run, tmp_path, capsys):
    assert "out: must end in .html, got" in error(capsys, run, "--out", tmp_path / "x.htm")
    (tmp_path / "mine.html").write_text("keep")
    assert "out: must not exist without --overwrite" in error(
        capsys, run, "--out", tmp_path / "mine.html"
    )
    assert (tmp_path / "mine.html").read_text() == "keep"
    assert "must be in a folder that exists" in error(
        capsys, run, "--out", tmp_path / "no" / "x.html"
    )
    assert "data: must be a named set or a path that exists, got 'nope'" in error(
        capsys, run, "--data", "nope", "--out", tmp_path / "x.html"
    )
    (tmp_path / "run").mkdir()
    shutil.copy(run / "config.json", tmp_path / "run")
    shutil.copy(run / "results.jsonl", tmp_path / "run")
    assert "labels.npy must hold the run's labels" in error(
        capsys, tmp_path / "run", "--out", tmp_path / "x.html"
    )
    for labels, message in (
        (10, "must hold clusters from 0 to 9, or -1"),
        (-1, "must hold clusters of seed 0, which"),
    ):
        np.save(tmp_path / "run" / "labels.npy", np.full((2, 300), labels, np.int32))
        assert message in error(capsys, tmp_path / "run", "--out", tmp_path / "x.html")
    shutil.copy(run / "labels.npy", tmp_path / "run")
    for damage in (
        "seed,window,loss\n0,0,1\n",
        "phase,seed,loss\na,0,1e-\n",
        "phase,seed,loss\na,0,1,2\n",
        "seed,phase,loss\n0\n",
        "sead,phase,window,loss\n0,a,0,1\n",
        "seed,phase,window,loss\n0,a,0,\N{BOX DRAWINGS LIGHT VERTICAL}\n",
    ):
        (tmp_path / "run" / "history.csv").write_bytes(damage.encode("cp437"))
        line = error(capsys, tmp_path / "run", "--out", tmp_path / "x.html")
        assert "history.csv line 2 must be a phase and numbers, is damaged" in line
