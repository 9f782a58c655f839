"""One run that the tests of the command share."""

import jax
import pytest

from commands import command
from jaxclust.cli.main import main


@pytest.fixture(scope="session")
def finished(data, tmp_path_factory):
    """A finished run of two seeds, with its figures and its baseline.

    It is compiled as the modules that use it are, see ``programs`` in tests/conftest.py, so that
    their runs have the same numbers to the last bit.
    """
    out = tmp_path_factory.mktemp("runs") / "idec"
    jax.config.update("jax_disable_most_optimizations", True)
    assert main(command(data, out)) == 0
    return out
