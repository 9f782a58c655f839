"""Two CPU devices for the whole session: spreading seeds over devices is tested everywhere."""

import os
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

jax.config.update("jax_num_cpu_devices", 2)

# Programs that a module compiled serve the other modules, the processes that its tests start, and
# the other workers, which inherit the environment of the process that starts them. The folder is
# new for each session, so that no program in it is old.
PROGRAMS = "JAXCLUST_TEST_PROGRAMS"
if PROGRAMS not in os.environ:
    FOLDER = tempfile.TemporaryDirectory(prefix="jaxclust-tests-")
    os.environ[PROGRAMS] = FOLDER.name
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ[PROGRAMS]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
jax.config.update("jax_compilation_cache_dir", os.environ[PROGRAMS])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

SHARED = Path(__file__).parents[2] / "shared" / "data"
if "JAXCLUST_DATA" not in os.environ and SHARED.is_dir():
    os.environ["JAXCLUST_DATA"] = str(SHARED)


def pytest_collection_modifyitems(items):
    """Puts the longest modules first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("optimized") is None)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits as a Dataset: uint8 (1797, 8, 8, 1)."""
    from jaxclust.data import datasets

    return datasets.load("digits")


@pytest.fixture(scope="session")
def few_digits(digits):
    """(images, labels) of 300 digits, for tests of mechanics."""
    return np.ascontiguousarray(digits.images[:300]), digits.labels[:300]


@pytest.fixture(scope="session")
def data(tmp_path_factory, few_digits):
    """A file of those 300 digits, as a user would hand it over."""
    path = tmp_path_factory.mktemp("data") / "few.npz"
    np.savez(path, images=few_digits[0], labels=few_digits[1])
    return path


@pytest.fixture(autouse=True, scope="module")
def programs(request):
    """Compiles a module's programs without LLVM's optimization, and frees them afterwards.

    Optimizing programs that run for moments takes a third of the time of most modules. Modules
    with the marker "optimized" test what it may change: numbers that are equal to the last bit
    however a run is cut, the speed of convolutions, and scores on real images. Processes that a
    test starts compile in the same way. Programs kept for all modules would pass the kernel's
    limit on memory maps.
    """
    plain = request.node.get_closest_marker("optimized") is None
    jax.config.update("jax_disable_most_optimizations", plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", str(plain))
        yield
    jax.clear_caches()
