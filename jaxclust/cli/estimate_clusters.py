"""``jaxclust fit METHOD --clusters auto``: looks at the images once, then clusters them.

``jaxclust.runs.number`` has the criteria. The number is kept in ``clusters.json``, and the run in
the folder ``k-K`` beside it, so that ``compare`` and ``report`` take the folder for the run. With
``--criterion stability`` each number has a run of its own: see ``choose_clusters``.
"""

import sys
import time

from jaxclust.cli import fit, options, sweep
from jaxclust.cli.choose_clusters import (
    Own,
    check_same,
    delete_choice,
    folder_of,
    number_range,
)
from jaxclust.cli.options import Request
from jaxclust.cli.parse import parse_known
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine.devices import use_devices
from jaxclust.errors import UsageError
from jaxclust.runs import feature_inputs
from jaxclust.runs.number import DEFAULT, Estimate, estimate
from jaxclust.runs.plan import Plan, check_plan, with_clusters
from jaxclust.runs.sweeps import Choice, read_choice, write_choice
from jaxclust.types import Method


def command(request: Request, words: list[str], dataset: Dataset | None = None) -> int:
    """Chooses the number of clusters unless the folder has it, and runs the method with it.

    Args:
      request: what ``words`` ask for.
      words: the options after ``jaxclust fit METHOD``; the run gets those that are not ``Own``.
      dataset: the images where they were read already.

    Returns:
      The exit status: 0, or 1 if every seed failed.

    Raises:
      UsageError: the options cannot be carried out.
    """
    given, method, plan = request
    start = time.monotonic()
    criterion = DEFAULT if given.criterion is None else given.criterion
    if given.stream:
        rule = "criterion: must be stability with --stream, since the others need all images"
        raise UsageError(f"{rule}, got {criterion}")
    if criterion == "dying" and given.max_seconds is not None:
        rule = "max-seconds: must not come with --criterion dying, whose training is not stopped"
        raise UsageError(f"{rule}, got {given.max_seconds:g}")
    numbers = number_range(given.cluster_range)
    options.check_data(given)
    _, rest = parse_known(Own, words, "jaxclust fit", add_help=False)
    tried = f"{numbers[0]},{numbers[-1]}"
    common = ["--data", given.data, "--seeds", given.seeds, "--cluster-range", tried, *rest]
    out = folder_of(request, criterion, common)
    choice = None if given.overwrite else read_choice(out)
    if choice is not None:
        check_same(choice, criterion, common, out)
    if choice is None or choice.chosen is None:
        if dataset is None:
            dataset = datasets.read(given.data, options.reading(given))
        if criterion == "dying" and not given.quiet:
            line = "dying trains an autoencoder and DEC with three seeds first, which takes minutes"
            print(f"jaxclust: {line}", file=sys.stderr)
        number = _estimate(dataset, method, plan, criterion, numbers)
        if given.overwrite:
            delete_choice(out)
        values = {str(clusters): value for clusters, value in number.values.items()}
        choice = Choice(
            number.clusters, (), tuple(common), criterion, values, tuple(number.sentences)
        )
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_choice(out, choice)
        except OSError as error:
            rule = "out: must be a folder that can be written to"
            raise UsageError(f"{rule}, got {out} ({error.strerror})") from error
    if not given.quiet:
        print(f"number of clusters by {criterion}, the best of {tried.replace(',', ' to ')}:")
        for sentence in choice.sentences:
            print(sentence)
    folder = out / f"k-{choice.chosen}"
    run = [method.name, "--data", given.data, "--seeds", given.seeds, *rest]
    run += ["--clusters", str(choice.chosen), "--out", str(folder)]
    if given.max_seconds is not None:
        left = given.max_seconds - (time.monotonic() - start)
        if left <= 0:
            print(f"out of time; {sweep.goes_on(given.overwrite)}")
            return 0
        run += ["--max-seconds", f"{left:.3f}"]
    if folder.exists():
        run.append("--resume")
    if given.quiet:
        run.append("--quiet")
    return fit.command(run, dataset)


def _estimate(
    dataset: Dataset, method: Method, plan: Plan, criterion: str, numbers: range
) -> Estimate:
    """The number of clusters of the images, or of the features in their place."""
    check_plan(with_clusters(method, dataset, numbers[0]), dataset, plan)
    # Before anything starts JAX, which then keeps the number of its devices.
    use_devices(plan.over, len(plan.seeds))
    if plan.features is not None:
        dataset, _ = feature_inputs.replaced(dataset, plan.features)
    return estimate(criterion, dataset.images, numbers)
