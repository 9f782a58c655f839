"""Ten seeds here against ten serial runs of ClustPy: ``python -m benchmarks.peers [--table]``.

DEC, IDEC and DCN on scikit-learn's digits, fully connected 64-500-500-2000-10, batch 256, Adam, the same epochs of
pretraining and of clustering, k-means from 20 starts. Data are ready in memory, no file is written, and the clock runs
from data to labels. The program's ten seeds run together by the default way, then one after the other, each in a run of
its own. Compilation is paid once and stands apart, to be added. A method whose row is there is not run again.

What stays different: ClustPy's hidden layers have leaky ReLU, and its labels, for all three, are of one more k-means on
the last features. DCN here is as ClustPy's: weights not tied, pretrained end to end and not layer by layer.

ClustPy 0.0.3 (``pip install --no-deps clustpy==0.0.3``) needs torch and pandas; of torchvision only that it can be
imported, for which names suffice.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np

from examples.compose import changed
from experiments import common
from jaxclust.data import datasets
from jaxclust.engine import compile_clock, driver, fit
from jaxclust.evaluation import metrics
from jaxclust.methods import dcn, pretraining
from jaxclust.methods.registry import METHODS, configured
from jaxclust.networks import sae
from jaxclust.runs.rows import package_versions
from jaxclust.types import Method

RESULTS = Path(__file__).parents[1] / "experiments" / "results" / "peers.jsonl"
SEEDS = 10
EPOCHS = 35  # 280 steps of 256 of 1,797 images, two windows of the paper's 140.
PEERS = {"dec": "DEC", "idec": "IDEC", "dcn": "DCN"}
# One module for all runs: a second would compile again.
DCN = METHODS["dcn"]._replace(algorithm=changed(dcn, pretraining=pretraining), network=sae)


def settings(name: str, n: int) -> tuple[Method, Any, pretraining.Config]:
    """The method, its settings and its pretraining's for ``n`` images, as near to ClustPy's as they go."""
    config, pretraining = configured(name, clusters=10)
    # ClustPy's error is summed over pixels too.
    alike = {"optimizer": "adam", "learning_rate": 1e-3, "reconstruction": "sum"}
    if name == "dcn":
        # ClustPy's loss has half of its weight of 0.1.
        config = dataclasses.replace(
            config, epochs=EPOCHS, restarts=20, clustering_weight=0.05, **alike
        )
        return DCN, config, pretraining.Config(epochs=EPOCHS, **alike)
    config = dataclasses.replace(
        config, max_steps=-(-n // config.batch) * EPOCHS, tolerance=0.0, **alike
    )
    return METHODS[name], config, dataclasses.replace(pretraining, epochs=EPOCHS, **alike)


def ours(name: str, seeds: tuple[int, ...], over: str) -> tuple[float, float, float]:
    """Seconds of a run without compilation, of its compilation, and its mean ACC."""
    data = datasets.load("digits")
    method, config, pretraining = settings(name, len(data.images))
    clock, compiled = time.perf_counter(), compile_clock.seconds()
    done = fit.fit(method, config, pretraining, data.images, seeds, over=over)
    compiled = compile_clock.seconds() - compiled
    seconds = time.perf_counter() - clock - compiled
    acc = [metrics.accuracy(data.labels, labels) for labels in done.labels]
    return seconds, compiled, float(np.mean(acc))


def theirs(name: str) -> tuple[float, float]:
    """Seconds of SEEDS serial runs, and their mean ACC."""
    from clustpy import deep

    data = datasets.load("digits")
    pixels = (data.images.reshape(len(data.images), -1) / 255).astype(np.float32)
    seconds, acc = 0.0, []
    for seed in range(SEEDS):
        model = getattr(deep, PEERS[name])(
            10,
            batch_size=256,
            pretrain_epochs=EPOCHS,
            clustering_epochs=EPOCHS,
            pretrain_optimizer_params={"lr": 1e-3},
            clustering_optimizer_params={"lr": 1e-3},
            initial_clustering_params={"n_init": 20},
            embedding_size=10,
            device="cpu",
            random_state=seed,
        )
        clock = time.perf_counter()
        with (
            open(os.devnull, "w") as quiet,
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(quiet),
        ):
            model.fit(pixels)
        seconds += time.perf_counter() - clock
        acc.append(metrics.accuracy(data.labels, np.asarray(model.labels_).astype(np.int64)))
    return seconds, float(np.mean(acc))


def stand_in() -> None:
    """Names in torchvision's place, where it is not installed; nothing of it is used by these methods."""
    if importlib.util.find_spec("torchvision") is not None:
        return

    class Names(types.ModuleType):
        __path__ = ()

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    for name in ("", ".datasets", ".models", ".models._api", ".models.resnet", ".transforms"):
        sys.modules[f"torchvision{name}"] = Names(f"torchvision{name}")
    for name in ("datasets", "models", "transforms"):
        setattr(sys.modules["torchvision"], name, sys.modules[f"torchvision.{name}"])


def measure(name: str) -> dict[str, Any]:
    """A method's row: all runs of both."""
    import torch

    cores = os.cpu_count() or 1
    torch.set_num_threads(cores)
    seeds, over = tuple(range(SEEDS)), driver.fastest(SEEDS)
    jax.clear_caches()
    together, compiled, acc = ours(name, seeds, over)
    alone = [ours(name, (seed,), "map") for seed in seeds]
    serial, their_acc = theirs(name)
    return {
        "method": name,
        "seeds": SEEDS,
        "epochs": EPOCHS,
        "over": over,
        "together_s": round(together, 2),
        "solo_s": round(sum(seconds for seconds, _, _ in alone), 2),
        "clustpy_s": round(serial, 2),
        "compile_s": round(compiled, 2),
        "solo_compile_s": round(sum(compiled for _, compiled, _ in alone), 2),
        "acc": acc,
        "clustpy_acc": their_acc,
        "device": f"{jax.devices()[0].device_kind} x {cores} cores",
        "torch": torch.__version__,
        "versions": package_versions(),
    }


def table() -> str:
    """The rows as Markdown: seconds without compiling and with it, and in brackets the ratio to ClustPy's."""
    heads = [
        "method",
        "ClustPy, in turn, s",
        "together, s",
        "and compiling, s",
        "in turn, s",
        "and compiling, s",
    ]
    lines = [[*heads, "ACC of ClustPy", "ACC"]]
    for row in common.rows(RESULTS):
        serial = row["clustpy_s"]
        cells = [f"`{row['method']}`", f"{serial:.0f}"]
        for ours, compiled in (("together_s", "compile_s"), ("solo_s", "solo_compile_s")):
            both = (row[ours], row[ours] + row[compiled])
            cells += [f"{seconds:.0f} ({seconds / serial:.2f})" for seconds in both]
        lines.append([*cells, f"{row['clustpy_acc']:.3f}", f"{row['acc']:.3f}"])
    return common.markdown(lines)


def main() -> None:
    """Runs the methods whose rows are missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", action="store_true", help="only print the table")
    if not parser.parse_args().table:
        stand_in()
        jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, SEEDS))
        present = {row["method"] for row in common.rows(RESULTS)}
        for name in PEERS:
            if name not in present:
                common.add(RESULTS, [measure(name)])
    print(table())


if __name__ == "__main__":
    main()
