"""A new method from the package's parts: DCEC on randomly moved images.

It follows DEC-DA (Guo, Zhu, Liu, Yin, ACML 2018). The whole method stands above ``RESULTS``: steps
see images that are moved at random; centroids, targets and labels come from the images as they are.
``python -m examples.compose`` runs it where its rows are missing, and compares it with DCEC.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

import jaxclust as jc
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.evaluation import stats
from jaxclust.methods import dcec, pretraining
from jaxclust.ops.batches import scaled
from jaxclust.runs.cells import Cell
from jaxclust.runs.rows import Row, read_rows, write_rows
from jaxclust.runs.settings import Settings, digest, make_settings


def moved(key, images):
    """Images turned by up to 10 degrees and shifted by up to a tenth of their size, bilinear.

    The result is float32 in [0, 1], of the images' shape (n, h, w, c).
    """

    def move(key, image):
        turn, down, right = jax.random.uniform(key, (3,), jnp.float32, -1, 1)
        height, width, _ = image.shape
        rows = jnp.arange(height) - height / 2 + 0.5
        columns = jnp.arange(width) - width / 2 + 0.5
        y, x = jnp.meshgrid(rows, columns, indexing="ij")
        sine = jnp.sin(turn * jnp.pi / 18)
        cosine = jnp.cos(turn * jnp.pi / 18)
        places = [cosine * y - sine * x + (0.5 + 0.1 * down) * height - 0.5]
        places += [sine * y + cosine * x + (0.5 + 0.1 * right) * width - 0.5]
        by_channel = jax.vmap(lambda channel: map_coordinates(channel, places, order=1), -1, -1)
        return by_channel(image)

    return jax.vmap(move)(jax.random.split(key, images.shape[0]), scaled(images))


def step(config, network, key, state, batch, rows):
    """DCEC's step on moved images, towards the target of the images as they are."""
    return dcec.step(config, network, key, state, moved(key, batch), rows)


def pretrain_step(config, network, key, state, batch, rows):
    """A step on the reconstruction of moved images."""
    return pretraining.step(config, network, key, state, moved(key, batch), rows)


METHOD = jc.method("dcec", preset="paper").replace(
    name="dcec-da",
    about="DCEC on moved images, after DEC-DA",
    step=step,
    pretrainer=pretraining.ALGORITHM._replace(step=pretrain_step),
)

RESULTS = Path(__file__).parents[1] / "experiments" / "results" / "compose.jsonl"
DCEC_RESULTS = (RESULTS.with_name("compare.jsonl"), RESULTS.with_name("dcec.jsonl"))
"""Files of the experiments with rows of DCEC."""
SEEDS = {"digits": 10, "usps": 10, "coil20-32": 10, "mnist-test": 5}
"""Number of seeds on each data set, as in ``experiments``."""
GOAL = 0.98
"""ACC on USPS, near what is reported of DEC-DA (its text is not at hand)."""


def rows_of(data: str, method: str) -> dict[int, Row]:
    """The rows of a method on a data set by seed; a seed's first row counts."""
    rows: dict[int, Row] = {}
    for path in (RESULTS, *DCEC_RESULTS):
        for row in read_rows(path) if path.exists() else []:
            if (row.data, row.method) == (data, method) and row.seed < SEEDS[data]:
                rows.setdefault(row.seed, row)
    return rows


def settings_of(method: jc.Method, data: datasets.Fingerprint) -> Settings:
    """The settings that rows of a method on a data set must have.

    They leave out the method's own functions, which runs record since version 0.2: the rows are
    older, and their hash stays.
    """
    return make_settings(method, "paper", data, range(SEEDS[data.name]), "shard")


def run_missing(
    method: jc.Method, data: datasets.Dataset, folder: Path, max_seconds: float
) -> bool:
    """Runs the seeds that have no row yet and adds their rows; False if time ran out.

    Raises:
      UsageError: there are rows of other settings.
    """
    method = method.with_settings({"clusters": data.classes})
    settings = settings_of(method, datasets.fingerprint(data))
    rows = rows_of(data.name, method.name)
    if {row.config_hash for row in rows.values()} - {digest(settings)}:
        rule = f"rows: {method.name} on {data.name} must have this version's settings"
        raise UsageError(f"{rule}, has others; remove the rows to run them again")
    missing = [seed for seed in settings.seeds if seed not in rows]
    if not missing:
        return True
    if not max_seconds > 0:
        return False
    out = folder / data.name / method.name
    run = jc.fit(method, data, seeds=missing, out=out, max_seconds=max_seconds)
    new = [dataclasses.replace(row, config_hash=digest(settings)) for row in run.rows]
    kept = read_rows(RESULTS) if RESULTS.exists() else []
    write_rows(RESULTS, [*kept, *new])
    return run.finished


def table() -> str:
    """The method beside DCEC on the sets that have rows of it, and its distance from GOAL."""
    text = ""
    cells = []
    for data in SEEDS:
        rows = rows_of(data, METHOD.name)
        if not rows:
            continue
        cells += [Cell(data, METHOD.name, rows), Cell(data, "dcec", rows_of(data, "dcec"))]
        gaps = [row.acc - GOAL for row in rows.values() if row.acc is not None]
        if data == "usps" and gaps:
            gap = stats.summary(gaps)
            interval = f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
            seeds = f"{len(gaps)} of {len(rows)} seeds"
            text = f"DCEC-DA on USPS, mean ACC - {GOAL}: {interval}, {seeds}\n"
    return f"{text}{comparison(cells, Options())}"


def main() -> None:
    """Runs the seeds that have no row, then prints the comparison."""
    parser = argparse.ArgumentParser(description="DCEC on randomly moved images, beside DCEC.")
    parser.add_argument("--data", default="usps", choices=tuple(SEEDS), help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("runs/compose"), help="for the runs")
    parser.add_argument(
        "--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later"
    )
    options = parser.parse_args()
    deadline = time.monotonic() + options.max_seconds
    data = jc.load(options.data)
    for method in (jc.method("dcec", preset="paper"), METHOD):
        if not run_missing(method, data, options.folder, deadline - time.monotonic()):
            print("out of time; the same command goes on", file=sys.stderr)
            return
    print(table())


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(f"compose: {error}")
