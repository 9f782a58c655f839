"""A run over several processes: seeds over processes where there are enough, batches otherwise.

Seeds share nothing, so that each process trains its own as an ordinary run, with checkpoints of its
own, and process 0 gathers how they ended. Where there are fewer seeds than processes, all processes
train all seeds, and share the images of each step.
"""

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.data.datasets import Dataset
from jaxclust.data.sources import Source
from jaxclust.engine import blocks, checkpoint, driver, peers, stopping
from jaxclust.engine import fit as engine
from jaxclust.engine.devices import OVERS, Over, dividing, same_bits, use_devices
from jaxclust.engine.peers import Peers
from jaxclust.errors import UsageError
from jaxclust.runs import notes, parts
from jaxclust.runs.folder import is_finished
from jaxclust.runs.plan import Plan
from jaxclust.runs.rows import package_versions
from jaxclust.runs.settings import Settings, read_settings
from jaxclust.types import Json, Method

PLAN = "plan"
BEGUN = "begun"
DONE = "done"
"""Names under which process 0 tells the others how to run, that the folder is open, and how the run
ended."""
OTHER_LABELS = "labels.npy"
ALL_LABELS = "all-labels.npy"
"""Files beside a process's checkpoints of a stream: the labels of its seeds, and in process 0 also
those of all seeds until they are whole."""


def agreed(plan: Plan) -> Plan:
    """The plan of process 0, in each process of a run; the plan as it is where there is one.

    Only process 0 looks into the run's folder. What it finds there, such as the seeds that the run
    began with, is what the others take.
    """
    here = plan.peers
    if here is None:
        return plan
    over = over_of(plan)
    if over is None and len(plan.seeds) < here.processes:
        over = "data"
    if here.first:
        peers.put(PLAN, {"seeds": list(plan.seeds), "over": over})
    else:
        told = peers.get(PLAN)
        _check_asked(plan, told)
        over = over_named(str(told["over"]))
        plan = dataclasses.replace(plan, seeds=tuple(told["seeds"]))
    count = here.processes
    if over != "data" and len(plan.seeds) < count:
        rule = f"over: must be data for {len(plan.seeds)} seeds in {count} processes"
        raise UsageError(f"{rule}, got {over}")
    return dataclasses.replace(plan, over=over, choose_seeds=False)


def _check_asked(plan: Plan, told: dict[str, Json]) -> None:
    """Refuses seeds, or a way to run them, that this process was given and process 0 was not."""
    asked = {} if plan.choose_seeds else {"seeds": list(plan.seeds)}
    asked |= {} if plan.over is None else {"over": plan.over}
    for name, value in asked.items():
        if value != told[name]:
            rule = f"{name}: must be the same in each process, is {told[name]} in process 0"
            raise UsageError(f"{rule}, got {value}")


def over_of(plan: Plan) -> Over | None:
    """How a plan's seeds run; a run that goes on without a choice goes on as it began."""
    folder = plan.out if plan.resume and not plan.find_out else None
    if plan.peers is not None and not plan.peers.first:
        folder = None
    if plan.over is None and folder is not None and (folder / "config.json").exists():
        return over_named(read_settings(folder).over)
    return plan.over


def over_named(name: str) -> Over | None:
    """A way to run seeds by its name in a file; None where this version has no such way."""
    for over in OVERS:
        if over == name:
            return over
    return None


def start_devices(method: Method, data: Dataset | Source, plan: Plan) -> Over:
    """Has JAX use the devices that the seeds can use, and returns how these run.

    Processes wait here for each other: when one starts its devices, JAX gives the others two
    minutes for theirs, and some may still read images.

    Args:
      method: what clusters.
      data: the images, or a stream of them.
      plan: as ``agreed`` gives it.
    """
    over = over_of(plan)
    if plan.peers is None:
        return use_devices(over, len(plan.seeds))
    count = plan.peers.processes
    cores = min(peers.meet(plan.peers, "cores", os.cpu_count() or 1))
    if over == "data":
        streamed = isinstance(data, Source)
        n = blocks.block_size(method, data) if streamed else len(data.images)
        batches = [algorithm.schedule(config, n).batch for _, algorithm, config in method.phases()]
        return use_devices(over, len(plan.seeds), dividing(cores, count, batches))
    # The largest share decides for all, so that all run alike.
    return use_devices(over, -(-len(plan.seeds) // count), cores)


def fit(
    method: Method, images: np.ndarray | Source, plan: Plan, options: engine.Options
) -> engine.Fit:
    """``engine.fit`` in this process, or in all processes of a run, of which this is process 0.

    Args:
      method: what clusters.
      images: of the run.
      plan: whose seeds run.
      options: how they run; over several processes they have a directory.

    Raises:
      UsageError: the folder has checkpoints of another number of processes.
    """
    if plan.peers is None or options.directory is None:
        return engine.fit(method, images, plan.seeds, options)
    place = Path(options.directory)
    if plan.over != "data" and is_finished(place.parent):
        return engine.fit(method, images, plan.seeds, options)  # It is read again, for its figures.
    part = _part(place, plan.peers)
    peers.put(BEGUN, {"place": str(place.absolute()), "anew": not part.exists()})
    if plan.over == "data":
        done = engine.fit(method, images, plan.seeds, options)
        if not done.finished:
            _take_stops(plan.peers)
        return done
    streamed = isinstance(images, Source)
    own = _own_options(options, plan, place, streamed)
    fits = [engine.fit(method, images, plan.peers.share(plan.seeds), own)]
    table = None
    if streamed:
        shape = (len(plan.seeds), len(images))
        table = parts.table_of(part / ALL_LABELS, shape, fits[0].labels)
    for process in plan.peers.others:
        fits.append(parts.received(process, fits[0], plan, table))
    if not all(fit.finished for fit in fits):
        return engine.Fit({}, False, None, [None] * len(plan.seeds), {}, {})
    done = parts.joined(fits, plan.seeds)
    if table is not None and options.labels is not None:
        os.replace(part / ALL_LABELS, options.labels)
        done = done._replace(labels=np.load(options.labels, mmap_mode="r"))
        done = done._replace(labelings={"": done.labels})
    for name, phase in done.phases.items():
        training = driver.Training(phase.lanes, phase.history, True)
        checkpoint.save(place / name, phase.about, training, phase.times)
    return done


def follow(
    method: Method,
    images: np.ndarray | Source,
    plan: Plan,
    settings: Settings,
    options: engine.Options,
) -> None:
    """Does the part of a process other than 0, and waits for the end of the run.

    Args:
      method: as in process 0.
      images: as there.
      plan: as ``agreed`` gives it.
      settings: what process 0 has to have, too.
      options: how seeds run.

    Raises:
      UsageError: this process cannot write its checkpoints.
    """
    assert plan.peers is not None
    number = plan.peers.process
    peers.put(f"settings/{number}", _comparable(settings))
    begun = peers.get(BEGUN)
    if begun is None:
        return
    if plan.over == "data":
        options = options._replace(label=False, directory=None, labels=None)
        engine.fit(method, images, plan.seeds, options)
        peers.put(f"status/{number}", stopping.status())
        peers.get(DONE)
        return
    place = Path(begun["place"])
    part = _part(place, plan.peers)
    if begun["anew"]:
        shutil.rmtree(part, ignore_errors=True)
    options = _own_options(options, plan, place, isinstance(images, Source))
    with notes.told() as told:
        fitted = engine.fit(method, images, plan.peers.share(plan.seeds), options)
    parts.sent(number, fitted, told)
    if peers.get(DONE):
        shutil.rmtree(part, ignore_errors=True)


def _comparable(settings: Settings) -> dict[str, Any]:
    """What has to be the same in each process: settings, and the packages' versions."""
    return settings.to_json() | {"over": same_bits(settings.over), "versions": package_versions()}


def check_same(plan: Plan, settings: Settings) -> None:
    """Refuses processes with other images, settings or packages. Process 0 calls it.

    Names of images with the same content do not matter, nor do packages that only one of two
    processes has.

    Raises:
      UsageError: a process differs.
    """
    for process in plan.peers.others if plan.peers is not None else ():
        own = _comparable(settings)
        other = peers.get(f"settings/{process}")
        data, others = own["data"], other["data"]
        if data["sha256"] and data["sha256"] == others["sha256"]:
            others["name"] = data["name"]
        versions, both = own["versions"], other["versions"]
        own["versions"] = {name: versions[name] for name in versions if name in both}
        other["versions"] = {name: both[name] for name in both if name in versions}
        differing = checkpoint.differences(own, other)
        if differing:
            rule = "settings: must be the same in each process"
            raise UsageError(f"{rule}, process {process} differs in {'; '.join(differing)}")


def _take_stops(here: Peers) -> None:
    """Stops this process as the signal did that has stopped another one."""
    for process in here.others:
        stopping.follow(peers.get(f"status/{process}"))


def check_begun(place: Path, plan: Plan) -> None:
    """Refuses a run that began over another number of processes, where that has checkpoints.

    Args:
      place: of the run's checkpoints.
      plan: how it is to go on.

    Raises:
      UsageError: it was begun otherwise.
    """
    if is_finished(place.parent):
        return  # Only files beside the results are made again.
    counts = {path.parent.name.rpartition("-")[2] for path in place.glob("process-*-of-*/*")}
    spread = plan.peers is not None and plan.over != "data"
    count = str(plan.peers.processes) if plan.peers is not None and spread else "1"
    own = [path for path in place.glob("[!.]*") if not path.name.startswith("process-")]
    if not counts and spread and own:
        counts = {"1"}
    if counts and counts != {count}:
        rule = f"processes: must be {', '.join(sorted(counts))} to go on with {place.parent}"
        raise UsageError(f"{rule}, as it began, got {count}")


def end(plan: Plan, out: Path | None, finished: bool) -> None:
    """Tells the other processes how the run ended; the parts of one that is finished are deleted.

    Args:
      plan: of the run.
      out: its folder.
      finished: whether all seeds have ended and the results are written.
    """
    if plan.peers is not None and plan.peers.first:
        if peers.peek(BEGUN) is None:
            peers.put(BEGUN, None)  # There was nothing to run.
        peers.put(DONE, finished)
    # An earlier start may have been killed just before its others knew that the run was finished.
    for part in (out / "checkpoint").glob("process-*-of-*") if finished and out is not None else ():
        shutil.rmtree(part, ignore_errors=True)


def _part(place: Path, here: Peers) -> Path:
    """The folder of a process's own checkpoints."""
    return place / f"process-{here.process}-of-{here.processes}"


def _own_options(
    options: engine.Options, plan: Plan, place: Path, streamed: bool
) -> engine.Options:
    """Options for this process's seeds, whose folder is tried before any long work.

    Raises:
      UsageError: the folder cannot be written to.
    """
    assert plan.peers is not None
    part = _part(place, plan.peers)
    try:
        part.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=part) as tried:
            tried.write(b"1")
    except OSError as error:
        rule = f"out: {part} must be a folder that process {plan.peers.process} can write to"
        raise UsageError(f"{rule}, got {error.strerror}") from error
    labels = part / OTHER_LABELS if streamed else None
    return options._replace(directory=part, labels=labels, first_seed=plan.seeds[0])
