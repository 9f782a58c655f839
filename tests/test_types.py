"""The annotations of types hold."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_pyright_has_no_complaint():
    """It takes half a minute on one core, in which the other workers go on with other tests."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
