"""The command without a run: its help, what it lists, and how it ends."""

import re
import subprocess
import sys

import pytest

import jaxclust
from jaxclust.cli import main as command
from jaxclust.cli import methods
from jaxclust.cli.main import COMMANDS, main
from jaxclust.cli.options import CHOICES, Options
from jaxclust.cli.parse import flags
from jaxclust.errors import UsageError


def test_methods_are_listed(capsys):
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    kinds = re.findall(r"^(\w+): ", out, re.MULTILINE)
    assert kinds == ["deep", "features", "linkage", "spectral", "factors", "ensemble"]
    assert out.index("spectral: ") < out.index("sc-njw ") < out.index("sec ")
    names = "kmeans sae-kmeans dec idec cae-kmeans dec-conv dcec ac-gdl jule"
    for name in names.split():
        assert re.search(rf"^{name} ", out, re.MULTILINE)


def test_data_sets_are_listed(capsys):
    assert main(["datasets"]) == 0
    assert re.search("^digits +1,797", capsys.readouterr().out, re.MULTILINE)


def test_a_reader_that_has_enough_ends_it_without_a_word():
    words = [sys.executable, "-m", "jaxclust", "methods"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxclust {jaxclust.__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_command(words, capsys):
    assert main(words) == 0
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert f"jaxclust {name}" in out


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), ["fit", "dcec"]])
def test_every_command_has_help(words, capsys):
    assert main([*words, "--help"]) == 0
    printed = capsys.readouterr()
    assert f"usage: jaxclust {' '.join(words)}" in printed.out
    assert printed.err == ""


def test_help_of_a_method_has_its_settings_and_not_those_of_others(capsys):
    assert main(["fit", "dcec", "--preset", "quick", "--help"]) == 0
    out = capsys.readouterr().out
    for flag in ("--data", "--clusters K|auto", "--gamma", "--pretraining.epochs"):
        assert flag in out
    assert "--reliable" not in out
    assert main(["fit", "ccnn", "--help"]) == 0
    assert "--reliable" in capsys.readouterr().out


def test_the_short_help_of_fit_names_every_option_once_and_the_common_ones_first(capsys):
    assert main(["fit", "--help"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 65
    assert max(map(len, out.splitlines())) <= 82
    shown = re.findall(r"^  (--[\w-]+)", out, re.MULTILINE)
    # An option that is on unless it is turned off is shown by its other half.
    expected = set(flags(Options)) - {"--baseline", "--figures", "--cache"}
    assert sorted(shown) == sorted(expected)
    assert shown[:3] == ["--data", "--clusters", "--seeds"]


def test_help_without_a_method_is_the_short_one_wherever_it_stands(capsys):
    assert main(["fit", "--help"]) == 0
    short = capsys.readouterr().out
    for words in (["--data", "digits", "--help"], ["--seeds=3", "-h"]):
        assert main(["fit", *words]) == 0
        assert capsys.readouterr().out == short
    assert main(["fit", "--data", "digits", "--methods", "dec", "--help"]) == 0
    assert "--methods A,B" in capsys.readouterr().out
    criteria = " ".join(short[short.index("--criterion") :].split()).partition(" network")[0]
    for name in CHOICES:
        assert name in criteria


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["comapre"], "compare"),
        (["--verison"], "--version"),
        (["fit", "dcecc", "--data", "digits"], "dcec"),
        (["fit", "dcec", "--data", "digts"], "digits"),
        (["fit", "dcec", "--data", "digits", "--preset", "papr"], "paper"),
        (["fit", "dcec", "--data", "digits", "--gama", "1"], "--gamma"),
        (["fit", "--methods", "dcec,kmean", "--data", "digits"], "kmeans"),
        (["compare", "x", "--metrc", "acc"], "--metric"),
        (["compare", "x", "--metric", "ac"], "acc"),
    ],
)
def test_a_wrong_word_is_answered_by_the_nearest(words, hint, capsys):
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"; did you mean {hint}?")


def test_help_imports_no_method():
    code = """
import sys
from jaxclust.cli.main import main
assert main(["--help"]) == 0
heavy = ("jax", "numpy", "tyro", "jaxclust.methods", "jaxclust.runs")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert end.stderr.strip() == "[]"


def test_what_a_user_can_cause_is_one_line(monkeypatch, capsys):
    def ends(error):
        def run(words):
            raise error

        monkeypatch.setattr(methods, "command", run)
        return main(["methods"]), capsys.readouterr().err

    assert ends(UsageError("gamma: must be\nat least 0, got -1")) == (
        2,
        "jaxclust: gamma: must be at least 0, got -1\n",
    )
    assert ends(OSError("disk full")) == (2, "jaxclust: disk full\n")
    assert ends(KeyboardInterrupt()) == (130, "jaxclust: interrupted\n")


@pytest.mark.parametrize("error", [ValueError("a bug"), TypeError("a bug"), RuntimeError("a bug")])
def test_a_bug_shows_its_traceback(error, monkeypatch):
    def run(words):
        raise error

    monkeypatch.setattr(methods, "command", run)
    with pytest.raises(type(error), match="a bug"):
        main(["methods"])


def test_an_interrupted_fit_says_how_to_go_on(monkeypatch, capsys):
    from jaxclust.cli import fit

    def run(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "command", run)
    assert command.main(["fit", "dcec"]) == 130
    line = "interrupted; the same command with --resume goes on from the last checkpoint"
    assert capsys.readouterr().err == f"jaxclust: {line}\n"
