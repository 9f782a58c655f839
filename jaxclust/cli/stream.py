"""The command behind ``jaxclust fit METHOD --stream``."""

import csv
import ctypes
import dataclasses
import io
import sys
from typing import Any

import jax
import numpy as np

from jaxclust.cli import options
from jaxclust.cli.progress import Bars
from jaxclust.data import datasets, sources
from jaxclust.engine import fit, fit_stream
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS
from jaxclust.networks import torch_weights
from jaxclust.report import terminal
from jaxclust.runs import tensorboard
from jaxclust.runs.files import write_file, write_rows
from jaxclust.runs.folder import open_folder
from jaxclust.runs.history import history_csv
from jaxclust.runs.rows import make_rows
from jaxclust.runs.settings import make_settings

MALLOPT = {-1: 2**28, -3: 15 * 2**20, -8: 1}
"""glibc's M_TRIM_THRESHOLD, M_MMAP_THRESHOLD (below ``streaming.BLOCK_BYTES``) and M_ARENA_MAX."""
NAMED = 10
"""Unreadable images that stderr names; ``unreadable.csv`` has all."""


def command(name: str, common: Any, config: Any, pretraining: Any, given: set[str]) -> int:
    """Runs it from the parsed flags, of which ``given`` were typed; exit status 0."""
    _give_blocks_back()
    method = METHODS[name]
    if not fit_stream.supported(method):
        able = [one for one, method in METHODS.items() if fit_stream.supported(method)]
        raise UsageError(f"stream: must be with one of {', '.join(able)}, got {name}")
    for flag in ("features", "pretrained"):
        if getattr(common, flag) is not None:
            raise UsageError(f"{flag}: must not be given with stream")
    for flag in ("baseline", "figures"):  # On unless said otherwise, but of images in memory alone.
        if f"--{flag}" in given:
            raise UsageError(
                f"{flag}: must not be asked for with stream, it needs all images in memory"
            )
    seeds = options.seeds(common.seeds)
    source = sources.open_source(common.data, options.size(common.size))
    if "--clusters" not in given:
        if source.labels is None:
            raise UsageError(f"clusters: must be given, since {source.name} has no labels")
        config = dataclasses.replace(config, clusters=max(int(source.labels.max()) + 1, 2))
    network = fit.build(method, config, source.shape[1:])
    first = (
        None
        if common.weights is None
        else torch_weights.read(common.weights, method.network, network)
    )
    over = options.over(common.over, len(seeds))
    fit_stream.check(method, config, source, first)
    if first is not None:
        fit.check_weights(first, data=common.data)
    block = fit_stream.block_size(config, method, source)
    fit.check(
        method,
        config,
        pretraining,
        jax.ShapeDtypeStruct((block, *source.shape[1:]), source.dtype),
        over,
    )
    # The first centroids are images of the first block, which holds what can be read alone.
    datasets.check_clusters(
        next(source.blocks(block, fit_stream.order_of(seeds[0], 0))),
        config.clusters,
        " in the first block",
    )
    # Only its length counts from here on, and what says what it is.
    dataset = datasets.Dataset(source.name, source, source.labels)
    wanted = make_settings(
        name, common.preset, dataset, seeds, over, config, pretraining, source.fingerprint()
    )
    wanted["stream"] = block
    # Of the blocks, for all seeds.
    wanted["order"] = seeds[0]
    if first is not None:
        wanted["weights"] = first.digest
    open_folder(common.out, wanted, common.resume, common.overwrite, options.origin(common))
    if terminal.finished(common.out):
        return 0
    with Bars() as bars:
        done, lost = fit_stream.fitted(
            method,
            config,
            pretraining,
            source,
            seeds,
            common.out / "labels.npy",
            common.out / "checkpoint",
            over=over,
            weights=first,
            max_seconds=common.max_seconds,
            progress=bars.show,
        )
    steps = fit.steps_per_window(method, config, pretraining, wanted["stream"])
    write_file(common.out / "history.csv", history_csv(done, seeds, steps))
    if common.tensorboard:
        tensorboard.write(common.out / "tensorboard", done, seeds, steps)
    if not done.finished:
        skipped = (
            f"; {source.skipped} times an image could not be read so far" if source.skipped else ""
        )
        print(
            f"stopped after {common.max_seconds:g} s with a checkpoint{skipped}; go on with --resume"
        )
        return 0
    if lost:
        names = [f"{source.called(index)} ({reason})" for index, reason in lost.items()]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        print(
            f"jaxclust: warning: {len(lost)} of {len(source)} images could not be read and were skipped: "
            f"{', '.join(names[:NAMED])}{more}",
            file=sys.stderr,
        )
        table = io.StringIO()
        lines = ([index, source.called(index), reason] for index, reason in lost.items())
        csv.writer(table, lineterminator="\n").writerows([["image", "name", "reason"], *lines])
        write_file(common.out / "unreadable.csv", table.getvalue())
        read = np.setdiff1d(np.arange(len(source)), list(lost))
        labels = done.labels[:, read]
        done = done._replace(labels=labels, labelings={"": labels})
        dataset = dataset._replace(
            images=read, labels=None if source.labels is None else source.labels[read]
        )
    rows = make_rows(wanted, dataset, done, steps["cluster"])
    write_rows(common.out / "results.jsonl", [row | {"unreadable": len(lost)} for row in rows])
    terminal.conclude(common.out)
    return 0


def _give_blocks_back() -> None:
    """Under glibc: memory of a block's size goes back to the system once it is free, what a step needs stays.

    By glibc's own rules blocks move into the heap after the first that was freed, and each thread has a heap; what is
    left free in them adds up, and a run of a million images of 28x28 took a sixth more memory than one of 100,000.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in MALLOPT.items():
            mallopt(parameter, value)
