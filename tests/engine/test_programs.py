"""Compiled programs on disk: the next process takes them."""

import os
import subprocess
import sys

import pytest

from jaxclust.cli.main import main
from jaxclust.engine import programs

SCRIPT = """
import jax, jax.monitoring
from jaxclust.cli.main import main
from jaxclust.engine import programs

hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None
)
jax.jit(lambda x: x + 1)(1)  # JAX has looked for its cache by now, and found none.
programs.LEAST_SECONDS = 0
{before}
programs.keep()
jax.jit(lambda x: x + 2)(1).block_until_ready()
print(len(hits))
"""


def hits(folder, before="", **environment):
    """How many programs a new process takes from the cache."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION")
    }
    words = [sys.executable, "-c", SCRIPT.format(before=before)]
    done = subprocess.run(
        words,
        env=kept | {"JAXCLUST_CACHE": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def files(folder):
    return sorted(path for path in folder.rglob("*-cache"))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder that a first process filled."""
    folder = tmp_path_factory.mktemp("first")
    assert hits(folder) == 0
    return folder


def test_a_second_process_takes_the_programs_of_the_first(first):
    kept = files(first)
    assert len(kept) == 1
    assert kept[0].is_relative_to(first / "programs")
    assert hits(first) == 1
    assert files(first) == kept


@pytest.mark.parametrize(
    ("before", "environment"),
    [
        ("programs.turn_off()", {}),
        ("", {"JAX_ENABLE_COMPILATION_CACHE": "false"}),
        ("", {"JAX_COMPILATION_CACHE_DIR": "{own}"}),
    ],
    ids=["turned off", "off for JAX", "a folder of the user's"],
)
def test_who_says_otherwise_is_heard(tmp_path, before, environment):
    own = str(tmp_path / "own")
    environment = {name: value.format(own=own) for name, value in environment.items()}
    assert hits(tmp_path / "cache", before, **environment) == 0
    assert not files(tmp_path / "cache")


def test_a_folder_that_cannot_be_made_is_no_cache(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert hits(tmp_path / "cache") == 0


def test_a_folder_of_another_user_is_no_cache(first):
    # Root may write everywhere, so that the answer of the system stands in. Without it the programs
    # there are taken, as the test of a second process has.
    refused = "programs.os.access = lambda path, mode: False"
    kept = files(first)
    assert hits(first, refused) == 0
    assert files(first) == kept


def test_processors_of_other_kinds_have_other_folders(monkeypatch):
    here = programs._processor()
    assert here == programs._processor()
    monkeypatch.setattr(programs.platform, "machine", lambda: "another")
    assert programs._processor() != here


@pytest.mark.parametrize(("words", "count"), [([], 0), (["--no-cache"], 1)])
def test_the_command_has_a_flag_for_it(monkeypatch, capsys, words, count):
    calls = []
    monkeypatch.setattr(programs, "turn_off", lambda: calls.append(True))
    assert main(["fit", "dcec", "--data", "no such set", *words]) == 2
    assert "data: must be one of" in capsys.readouterr().err
    assert len(calls) == count
