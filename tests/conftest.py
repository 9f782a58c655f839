"""Two CPU devices for the whole session: spreading seeds over devices is tested everywhere."""

import gc
import os
from pathlib import Path

# One worker runs on each core: further threads of scikit-learn and of OpenBLAS would only wait.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import jax
import numpy as np
import pytest
from jax._src import compiler

jax.config.update("jax_num_cpu_devices", 2)

# Most tests run a program once, so that compiling it takes longer than running it. XLA's usual
# code generator for fused operations, in many parallel pieces, takes four times as long as this.
USUAL_FLAGS = os.environ.get("XLA_FLAGS", "")
QUICK_FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"

if QUICK_FLAGS in USUAL_FLAGS:  # A worker inherits them.
    USUAL_FLAGS = USUAL_FLAGS.replace(QUICK_FLAGS, "").strip()
os.environ["XLA_FLAGS"] = f"{USUAL_FLAGS} {QUICK_FLAGS}"

# Programs that a test compiled serve the other tests, the processes that tests start, the other
# workers, and the next time that the tests run. JAX finds a program by its text, its options and
# the compiler's version, so that none is old.
PROGRAMS = Path(__file__).parents[1] / ".pytest_cache" / "programs"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(PROGRAMS)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
jax.config.update("jax_compilation_cache_dir", str(PROGRAMS))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.devices()  # Reads XLA_FLAGS before a module changes them.

SHARED = Path(__file__).parents[2] / "shared" / "data"
if "JAXCLUST_DATA" not in os.environ and SHARED.is_dir():
    os.environ["JAXCLUST_DATA"] = str(SHARED)


WHOLE_RUNS = ("cli", "engine", "examples", "experiments", "groups", "report", "runs", "tests")
"""Folders whose modules make whole runs or start processes, and take the longest; "tests" has the
modules that are in no folder below it."""

MAKES_A_RUN = "test_fit_command.py"
"""It makes the run that other modules read, while the other workers have modules without it."""


def pytest_collection_modifyitems(items):
    """Puts the longest modules first, so that no worker is left alone with one at the end."""

    def quick(item):
        optimized = item.get_closest_marker("optimized") is not None
        whole = item.path.parent.name in WHOLE_RUNS
        types = item.path.name == "test_types.py"
        return not types, not optimized, item.path.name != MAKES_A_RUN, not whole

    items.sort(key=quick)


def pytest_collection_finish():
    """Has Python look for unreachable objects less often.

    Tracing makes millions of small objects, and each search passes over all imported modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


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
    from shared_runs import made_once

    images, labels = few_digits
    return made_once(
        tmp_path_factory, "few.npz", lambda path: np.savez(path, images=images, labels=labels)
    )


@pytest.fixture(scope="session")
def finished(data, tmp_path_factory):
    """A finished run of IDEC with two seeds, its figures and its baseline, for the worker alone.

    It is compiled as the modules that use it are, see ``programs``, so that their runs have the
    same numbers to the last bit.
    """
    from commands import command
    from jaxclust.cli.main import main
    from shared_runs import copy_of_one

    def make(out):
        jax.config.update("jax_disable_most_optimizations", True)
        assert main(command(data, out)) == 0

    return copy_of_one(tmp_path_factory, "idec", make)


def usual_options(compile_options):
    """JAX's ``get_compile_options`` with XLA's usual code generator in place of QUICK_FLAGS."""
    usual = {"xla_cpu_use_fusion_emitters": True, "xla_cpu_parallel_codegen_split_count": 32}

    def options(*arguments, env_options_overrides=None, **named):
        overrides = usual | (env_options_overrides or {})
        return compile_options(*arguments, env_options_overrides=overrides, **named)

    return options


@pytest.fixture(autouse=True, scope="module")
def programs(request):
    """Compiles a module's programs in the quickest way, and frees them afterwards.

    Without LLVM's optimization and with QUICK_FLAGS most modules take half of the time. Modules
    with the marker "optimized" test what this may change, and are compiled as users' programs are:
    numbers that are equal to the last bit however a run is cut. Their programs take three times as
    long to compile or longer. Processes that a test starts compile as its module does. Programs
    kept for all modules would pass the kernel's limit on memory maps.
    """
    plain = request.node.get_closest_marker("optimized") is None
    jax.config.update("jax_disable_most_optimizations", plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", str(plain))
        if not plain:
            # A process reads the flags once, when it first compiles, and JAX has no public door to
            # what they set: here they are for the processes that tests start.
            patch.setenv("XLA_FLAGS", USUAL_FLAGS)
            usual = usual_options(compiler.get_compile_options)
            patch.setattr(compiler, "get_compile_options", usual)
        yield
    jax.clear_caches()
