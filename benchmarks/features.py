"""Pictures a second of the pretrained networks: ``python -m benchmarks.features [--torch]``.

Each network runs on random pictures of its own size, without reading or decoding any. With
``--torch`` the same batches go through PyTorch in turns with JAX, in the same process, and the
ratio of the best times is printed; a ratio below 1 means that JAX is faster. The weights are drawn:
speed does not depend on them.
"""

import argparse
import json
from collections.abc import Callable

import jax
import numpy as np

from jaxclust.engine.clocks import Stopwatch
from jaxclust.networks.pretrained import FEATURES, FeatureNetwork
from jaxclust.runs.rows import device_name, peak_memory_mb
from jaxclust.types import Json

Embed = Callable[[np.ndarray], np.ndarray]


def measure(name: str, batch: int, repeats: int, with_torch: bool) -> dict[str, Json]:
    """A row with the best seconds of a batch for JAX and, where asked for, for PyTorch.

    Raises:
      RuntimeError: the two give different features.
    """
    network = FEATURES[name]._replace(batch=batch)
    variables = network.fold(drawn(network))
    placed = jax.device_put(variables)
    images = np.random.default_rng(1).integers(0, 256, (batch, network.side, network.side, 3))
    images = images.astype(np.uint8)
    runs: dict[str, Embed] = {"jax": lambda x: network.embed(placed, x)}
    if with_torch:
        from benchmarks import torch_features

        runs["torch"] = torch_features.embedder(name, variables)
    results = {kind: run(images) for kind, run in runs.items()}  # Compiles, too.
    for kind, found in results.items():
        if not np.allclose(found, results["jax"], atol=1e-3 * np.abs(found).max()):
            raise RuntimeError(f"{kind} gives other features of {name}")
    seconds: dict[str, list[float]] = {kind: [] for kind in runs}
    for _ in range(repeats):
        for kind, run in runs.items():
            watch = Stopwatch()
            run(images)
            seconds[kind].append(watch.read().seconds)
    row: dict[str, Json] = {"network": name, "batch": batch, "device": device_name()}
    for kind, values in seconds.items():
        row[f"{kind}_pictures_a_second"] = round(batch / min(values), 1)
    if with_torch:
        row["ratio"] = round(min(seconds["jax"]) / min(seconds["torch"]), 3)
    return row | {"peak_memory_mb": peak_memory_mb()}


def drawn(network: FeatureNetwork) -> dict[str, np.ndarray]:
    """Arrays of a network, drawn so that its maps neither vanish nor grow."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in network.shapes().items():
        if len(shape) == 4:
            # The file of SqueezeNet has the output's channels last, that of Lite0 first.
            fan = np.prod(shape) / (shape[3] if "/" in name else shape[0])
            array = rng.standard_normal(shape) * np.sqrt(2 / fan)
        elif name.endswith(("weight", "running_var")):
            array = np.ones(shape)
        else:
            array = np.zeros(shape)
        arrays[name] = array.astype(np.float32)
    return arrays


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(
        description="Pictures a second of the pretrained networks, and their ratio to PyTorch."
    )
    parser.add_argument("--networks", default=",".join(FEATURES), help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=16, help="pictures (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=10, help="timings (default: %(default)s)")
    parser.add_argument("--torch", action="store_true", help="measure PyTorch in turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    options = parser.parse_args()
    for name in options.networks.split(","):
        row = measure(name, options.batch, options.repeats, options.torch)
        line = "  ".join(f"{key} {value}" for key, value in row.items())
        print(json.dumps(row) if options.json else line, flush=True)


if __name__ == "__main__":
    main()
