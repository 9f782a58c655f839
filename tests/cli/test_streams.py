"""A finished run ends well whatever stdout and stderr are."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from jaxclust.cli import main
def run(words):
    print("Käfer 写真 \\udcff")
    print("note", file=sys.stderr)
    open(words[0], "w").write("done")
    return 0
main._run = run
sys.exit(main.main(sys.argv[1:]))
"""


def ended(tmp_path, redirection, **environment):
    done = tmp_path / "done.txt"
    words = f'"{sys.executable}" -c "$SCRIPT" {done} {redirection}'
    environment = os.environ | environment | {"SCRIPT": SCRIPT}
    end = subprocess.run(["sh", "-c", words], capture_output=True, env=environment, check=False)
    assert end.returncode == 0, end.stderr
    # What a closed stream was given must not land in the first file that is opened.
    assert done.read_text() == "done"
    return end


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_lose_nothing_but_the_text(tmp_path, redirection):
    end = ended(tmp_path, redirection)
    assert b"Traceback" not in end.stderr
    if redirection == "2>&-":
        assert b"note" not in end.stdout


def test_a_terminal_gets_escapes_for_what_it_cannot_show(tmp_path):
    end = ended(tmp_path, "", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert end.stdout == b"K\\xe4fer \\u5199\\u771f \\udcff\n"
