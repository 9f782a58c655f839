"""Nothing that a file's name says reaches the terminal as an escape code."""

import re
from pathlib import Path

import pytest

import jaxclust
from jaxclust.cli import methods
from jaxclust.cli.main import main
from jaxclust.cli.plain_text import plain
from jaxclust.errors import UsageError
from run_folders import GOOD, make

EVIL = "\x1b]0;title\x07\x1b[2Jx\u202egpj"


def test_plain_text():
    assert plain("a\tb\nc\x1b[31m") == "a\tb\nc\\x1b[31m"
    assert plain("caf\u00e9 \udcff\u202e\x9b") == "caf\u00e9 \\xff\\u202e\\x9b"


def test_what_a_command_prints_is_plain(monkeypatch, capsys):
    monkeypatch.setattr(methods, "command", lambda words: print(EVIL) or 0)
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert out.startswith("\\x1b]0;title\\x07")


def test_a_refusal_is_plain(monkeypatch, capsys):
    def run(words):
        raise UsageError(f"data: must be there, got {EVIL}")

    monkeypatch.setattr(methods, "command", run)
    assert main(["methods"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "latex", "json"])
def test_a_comparison_is_plain(form, tmp_path, capsys):
    runs = [str(make(tmp_path / name, name, GOOD, data=f"set{EVIL}")) for name in ("a", "b")]
    assert main(["compare", *runs, "--format", form]) == 0
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", capsys.readouterr().out)


def test_one_module_alone_writes_csv():
    root = Path(jaxclust.__file__).parent
    writers = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if re.search(r"csv\.(writer|DictWriter)\(", path.read_text())
    ]
    # The second passes its lines through the first one's ``to_rows``.
    assert sorted(writers) == ["data/csv_cells.py", "runs/files.py"]
    assert "to_rows(lines)" in (root / "runs/files.py").read_text()
