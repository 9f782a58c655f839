"""A whole run from Python, without the record that ``runs`` keeps."""

import functools
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import fit
from jaxclust.methods import pretraining, registry
from jaxclust.networks import sae

METHOD = registry.method(
    "idec",
    clusters=4,
    batch=64,
    update_interval=4,
    max_steps=8,
    restarts=2,
    tolerance=0.0,
    pretraining={"epochs": 2, "batch": 64},
).replace(network=functools.partial(sae, hidden=(24,)))  # The paper's layers compile slowly.
MAP = fit.Options(over="map")


@pytest.fixture(scope="module")
def run(few_digits, tmp_path_factory):
    """Two seeds, run in an empty folder without a directory of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield fit.fit(METHOD, few_digits[0], (0, 7), MAP)


@pytest.fixture(scope="module")
def kept(few_digits, tmp_path_factory):
    """The same two seeds with checkpoints: the run, its folder, and how it went.

    The run's progress waits half a second after each chunk; the wall-clock time and the sum of
    the waits are told.
    """
    folder = tmp_path_factory.mktemp("kept")
    waits = []

    def progress(phase, event):
        if event is not None:
            time.sleep(0.5)
            waits.append(0.5)

    begin = time.perf_counter()
    options = MAP._replace(directory=folder, progress=progress)
    done = fit.fit(METHOD, few_digits[0], (0, 7), options)
    return done, folder, time.perf_counter() - begin, waits


def test_without_a_directory_nothing_is_written(run):
    assert run.finished
    assert (run.labels.shape, run.labels.dtype) == ((2, 300), np.int32)
    assert list(run.phases) == ["pretrain", "cluster"]
    assert all(
        phase.times.seconds >= 0 and phase.times.compile_seconds >= 0
        for phase in run.phases.values()
    )
    assert not list(Path.cwd().iterdir())


def test_a_seed_gives_the_same_labels_whoever_runs_beside_it(run, few_digits):
    alone = fit.fit(METHOD, few_digits[0], (7,), MAP)
    np.testing.assert_array_equal(run.labels[1], alone.labels[0])


def test_checkpoints_and_progress_change_no_label(run, kept):
    np.testing.assert_array_equal(kept[0].labels, run.labels)


def test_the_callers_time_is_none_of_the_runs(kept):
    done, _, passed, waits = kept
    assert len(waits) >= 2
    assert sum(phase.times.seconds for phase in done.phases.values()) < passed - sum(waits)


def test_an_event_has_the_pace_of_its_chunk_without_the_callers_time(few_digits):
    seconds = {"pretrain": 0.0, "cluster": 0.0}
    reached = {"pretrain": 0, "cluster": 0}

    def progress(phase, event):
        if event is not None:
            time.sleep(0.2)
            window = int(np.max(event.lanes.window))
            seconds[phase] += event.pace * (window - reached[phase])
            reached[phase] = window

    done = fit.fit(METHOD, few_digits[0], (0, 7), MAP._replace(progress=progress))
    for name, phase in done.phases.items():
        assert reached[name] == np.max(phase.lanes.window)
        assert 0 < seconds[name] <= phase.times.seconds


def test_a_finished_directory_is_read_and_not_run_again(kept, few_digits):
    first, folder, _, _ = kept
    events = []
    options = MAP._replace(directory=folder, progress=lambda phase, event: events.append(event))
    again = fit.fit(METHOD, few_digits[0], (0, 7), options)
    assert events == [None, None]
    np.testing.assert_array_equal(first.labels, again.labels)
    for name in ("loss", "window", "lane"):
        np.testing.assert_array_equal(
            first.phases["cluster"].history[name], again.phases["cluster"].history[name]
        )
    # What the run took, not what reading it takes.
    assert 0 < again.phases["pretrain"].times.seconds <= first.phases["pretrain"].times.seconds


@pytest.mark.parametrize(
    ("field", "settings", "seeds", "over"),
    [
        ("seeds", {}, (0, 2), "map"),
        ("over", {}, (0, 7), "vmap"),
        ("images", {}, (0, 7), "map"),
        ("pretraining.epochs", {"pretraining.epochs": 3}, (0, 7), "map"),
        ("config.gamma", {"gamma": 0.5}, (0, 7), "map"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_the_fields(
    kept, few_digits, field, settings, seeds, over
):
    images = few_digits[0][::-1] if field == "images" else few_digits[0]
    options = fit.Options(over=over, directory=kept[1])
    with pytest.raises(
        ValueError, match=f"checkpoint: .* must be of the same training, differs in {field} "
    ):
        fit.fit(METHOD.with_settings(settings), images, seeds, options)


def test_the_hook_sees_the_start_and_every_window_and_changes_no_label(run, few_digits):
    windows = {"pretrain": [], "cluster": []}

    def note(phase, event):
        windows[phase].append(event.lanes.window.tolist())

    done = fit.fit(METHOD, few_digits[0], (0, 7), MAP._replace(on_window=note))
    assert windows == {phase: [[0, 0], [1, 1], [2, 2]] for phase in ("pretrain", "cluster")}
    np.testing.assert_array_equal(done.labels, run.labels)


def test_k_means_leaves_a_checkpoint_too(few_digits, tmp_path):
    method = registry.method("kmeans", clusters=4)
    options = MAP._replace(directory=tmp_path)
    done = fit.fit(method, few_digits[0], (0,), options)
    assert (tmp_path / "cluster" / "0").is_dir()
    again = fit.fit(method, few_digits[0], (0,), options)
    np.testing.assert_array_equal(done.labels, again.labels)


def test_a_seed_lost_in_pretraining_costs_the_others_no_labels(few_digits, tmp_path):
    def step(config, network, key, state, batch, rows):
        state, info = pretraining.step(config, network, key, state, batch, rows)
        # One of the two seeds has the larger first weight.
        first = jnp.ravel(jax.tree.leaves(state.variables)[-1])[0]
        return state, info._replace(loss=jnp.where(first > 0, jnp.nan, info.loss))

    method = METHOD.replace(pretrainer=pretraining.ALGORITHM._replace(step=step))
    method = method.with_settings({"pretraining.epochs": 1})
    options = MAP._replace(directory=tmp_path, max_seconds=1e-9)
    done = fit.fit(method, few_digits[0], (0, 1, 2, 3), options)
    assert not done.finished
    lost = [failure is not None for failure in done.failed]
    assert 0 < sum(lost) < 4
    labels = done.labelings[""]
    assert (labels[lost] == -1).all()
    assert labels[[not one for one in lost]].min() >= 0
