"""Ten seeds of jaxclust against ten serial runs of ClustPy: ``python -m benchmarks.peers``.

DEC, IDEC and DCN run on scikit-learn's digits with the fully connected network 64-500-500-2000-10,
batch 256, Adam, the same epochs of pretraining and of clustering, and k-means from 20 starts. Data
are ready in memory, no file is written, and the clock runs from data to labels. The ten seeds of
jaxclust run together by its default way, then one after the other, each in a run of its own.
Compilation stands in columns of its own, to be added. A row is appended to
``experiments/results/peers.jsonl`` for each method that has none; the table in docs/results.md
is made from these rows.

Two differences stay. ClustPy's hidden layers have leaky ReLU. Its labels, for all three methods,
are of one more k-means on the last features. DCN is set here as ClustPy has it: weights are not
tied, and pretraining is end to end instead of layer by layer.

ClustPy 0.0.3 (``pip install --no-deps clustpy==0.0.3``) needs torch and pandas. It also imports
torchvision, of which these methods use nothing: names suffice.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.rows import append_row, read_rows
from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.engine.clocks import Stopwatch, Times
from jaxclust.engine.devices import Over, fastest
from jaxclust.evaluation import metrics
from jaxclust.methods import pretraining, registry
from jaxclust.networks import sae
from jaxclust.runs.rows import device_name, package_versions
from jaxclust.types import Method

SEEDS = 10
EPOCHS = 35
"""280 steps of 256 of the 1,797 images; for DEC and IDEC two windows of the paper's 140."""
PEERS = ("dec", "idec", "dcn")
# ClustPy sums its error over pixels too.
ALIKE = {"optimizer": "adam", "learning_rate": 1e-3, "reconstruction": "sum"}
# One method for all runs, so that they share its compiled program.
DCN = registry.method("dcn", "paper").replace(
    network=sae, pretrainer=pretraining.ALGORITHM, pretraining=pretraining.Config()
)


class Row(NamedTuple):
    """A method's result.

    Attributes:
      method: the method's name.
      seeds: how many.
      epochs: passes over the images in pretraining, and again in clustering.
      over: how jaxclust runs the seeds together.
      together_s: seconds of jaxclust for all seeds in one run, without compilation.
      solo_s: seconds of jaxclust for all seeds, each in a run of its own.
      clustpy_s: seconds of ClustPy for all seeds.
      compile_s: seconds of compiling the one run.
      solo_compile_s: seconds of compiling the single runs.
      acc: mean accuracy of jaxclust's one run.
      clustpy_acc: mean accuracy of ClustPy.
      device: what they ran on.
      torch: version of PyTorch.
      versions: of the packages that decide jaxclust's numbers.
    """

    method: str
    seeds: int
    epochs: int
    over: Over
    together_s: float
    solo_s: float
    clustpy_s: float
    compile_s: float
    solo_compile_s: float
    acc: float
    clustpy_acc: float
    device: str
    torch: str
    versions: dict[str, str]


def peer_method(name: str, n: int) -> Method:
    """The method with its settings for ``n`` images, as near to ClustPy's as they go."""
    method = DCN if name == "dcn" else registry.method(name, "paper")
    if name == "dcn":
        # ClustPy's loss has half of its weight of 0.1.
        own = {"epochs": EPOCHS, "restarts": 20, "clustering_weight": 0.05}
    else:
        own = {"max_steps": -(-n // method.config.batch) * EPOCHS, "tolerance": 0.0}
    before = {f"pretraining.{name}": value for name, value in ALIKE.items()}
    return method.with_settings(
        {"clusters": 10, **ALIKE, **own, **before, "pretraining.epochs": EPOCHS}
    )


def jaxclust_times(name: str, seeds: tuple[int, ...], over: Over) -> tuple[Times, float]:
    """Times of a run, and its mean accuracy."""
    data = datasets.load("digits")
    assert data.labels is not None
    method = peer_method(name, len(data.images))
    watch = Stopwatch()
    labels = fit.fit(method, data.images, seeds, fit.Options(over=over)).labels
    times = watch.read()
    assert labels is not None
    return times, float(np.mean([metrics.accuracy(data.labels, lane) for lane in labels]))


def clustpy_times(name: str) -> tuple[float, float]:
    """Seconds of SEEDS serial runs of ClustPy, and their mean accuracy."""
    from clustpy import deep  # pyright: ignore[reportMissingImports]

    data = datasets.load("digits")
    assert data.labels is not None
    pixels = (data.images.reshape(len(data.images), -1) / 255).astype(np.float32)
    peer = {"dec": deep.DEC, "idec": deep.IDEC, "dcn": deep.DCN}[name]
    seconds = 0.0
    acc = []
    for seed in range(SEEDS):
        model = peer(
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
        watch = Stopwatch()
        with silence():
            model.fit(pixels)
        seconds += watch.read().seconds
        acc.append(metrics.accuracy(data.labels, np.asarray(model.labels_).astype(np.int64)))
    return seconds, float(np.mean(acc))


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Lets nothing that is printed inside be seen."""
    with (
        open(os.devnull, "w") as quiet,
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        yield


class _Names(types.ModuleType):
    """A module in which every name is there, as an empty class."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in() -> None:
    """Puts names in torchvision's place where it is not installed, so that ClustPy can be imported.

    The three methods use nothing of it.
    """
    if importlib.util.find_spec("torchvision") is not None:
        return
    for name in ("", ".datasets", ".models", ".models._api", ".models.resnet", ".transforms"):
        sys.modules[f"torchvision{name}"] = _Names(f"torchvision{name}")
    for name in ("datasets", "models", "transforms"):
        setattr(sys.modules["torchvision"], name, sys.modules[f"torchvision.{name}"])


def check_installed(parser: argparse.ArgumentParser) -> None:
    """Ends the process with one line where ClustPy or PyTorch is not installed."""
    for package in ("torch", "clustpy"):
        if importlib.util.find_spec(package) is None:
            parser.error(f"{package}: must be installed, and is not")


def measure(name: str) -> Row:
    """A method's row, from all runs of both programs."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(os.cpu_count() or 1)
    seeds = tuple(range(SEEDS))
    over = fastest(SEEDS)
    jax.clear_caches()
    together, acc = jaxclust_times(name, seeds, over)
    solo = [jaxclust_times(name, (seed,), "map")[0] for seed in seeds]
    clustpy_seconds, clustpy_acc = clustpy_times(name)
    return Row(
        method=name,
        seeds=SEEDS,
        epochs=EPOCHS,
        over=over,
        together_s=round(together.seconds, 2),
        solo_s=round(sum(times.seconds for times in solo), 2),
        clustpy_s=round(clustpy_seconds, 2),
        compile_s=round(together.compile_seconds, 2),
        solo_compile_s=round(sum(times.compile_seconds for times in solo), 2),
        acc=acc,
        clustpy_acc=clustpy_acc,
        device=device_name(),
        torch=torch.__version__,
        versions=package_versions(),
    )


def main() -> None:
    """Runs the methods whose rows are missing, and prints and keeps their rows."""
    parser = argparse.ArgumentParser(
        description="Ten seeds of jaxclust against ten serial runs of ClustPy."
    )
    parser.parse_args()
    check_installed(parser)
    stand_in()
    jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, SEEDS))
    present = [row["method"] for row in read_rows("peers")]
    for name in PEERS:
        if name not in present:
            row = measure(name)._asdict()
            append_row("peers", row)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
