"""The command without a run: what it lists, and how it ends."""

import re
import subprocess
import sys

from jaxclust.cli.main import main


def test_methods_are_listed(capsys):
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    for name in (
        "kmeans",
        "sae-kmeans",
        "dec",
        "idec",
        "cae-kmeans",
        "dec-conv",
        "dcec",
        "ac-gdl",
        "jule",
    ):
        assert re.search(rf"^{name} ", out, re.MULTILINE)


def test_a_reader_that_has_enough_ends_it_without_a_word():
    command = [sys.executable, "-m", "jaxclust", "methods"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)
