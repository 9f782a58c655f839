"""The benchmarks' settings and rows; the benchmarks themselves measure what takes time."""

import json

import jax
import numpy as np
import pytest

from benchmarks import coverage, linkage, peers, rows, seeds, step, stream
from benchmarks import tables as tables_of_numbers
from experiments import benchmark_tables
from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.engine.clocks import Times
from jaxclust.engine.phase import Phase


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder in place of the results."""
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", peers.PEERS)
def test_every_peer_pretrains_and_clusters_for_the_same_epochs(name):
    n = 1797
    method = peers.peer_method(name, n)
    method.build((8, 8, 1))
    assert len(method.phases()) == 2
    for _, algorithm, config in method.phases():
        schedule = algorithm.schedule(config, n)
        assert schedule.steps_per_window * schedule.max_windows == 8 * peers.EPOCHS
        assert (schedule.batch, config.optimizer, config.learning_rate) == (256, "adam", 1e-3)
    assert method.config.restarts == 20


def test_a_peers_settings_are_those_of_one_program():
    algorithms = [peers.peer_method("dcn", 1797).algorithm for _ in range(2)]
    assert algorithms[0] is algorithms[1]


def test_tables_of_numbers_have_a_row_for_each_program(results, monkeypatch):
    """Two blobs that each program tells apart; a row that is there is not made again."""
    classes = np.repeat([0, 1], 20)
    table = np.c_[classes, np.tile([0.0, 0.1], 20)]
    monkeypatch.setattr(tables_of_numbers, "SETS", {"blobs": lambda: (table, classes)})
    programs = {
        name: tables_of_numbers.PROGRAMS[name] for name in ("KMeans", "scikit-learn KMeans")
    }
    monkeypatch.setattr(tables_of_numbers, "PROGRAMS", programs)
    monkeypatch.setattr(tables_of_numbers, "stand_in", lambda: None)
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr("sys.argv", ["tables"])
    for _ in range(2):
        tables_of_numbers.main()
    made = rows.read_rows("tables")
    assert [row["program"] for row in made] == list(programs)
    assert [row["ari"] for row in made] == [[1.0, 1.0, 1.0]] * 2
    monkeypatch.setattr(benchmark_tables, "TABLES", results / "tables.jsonl")
    text = benchmark_tables.of_numbers().splitlines()
    assert text[2] == "| KMeans | 1.000 (1.000, 1.000, 1.000) |"


def test_a_peer_with_a_row_is_not_run_again(results, monkeypatch, capsys):
    ran = []

    def measure(name):
        ran.append(name)
        return peers.Row(name, 10, 35, "map", 1, 2, 3, 4, 5, 0.5, 0.5, "cpu", "2", {"jax": "1"})

    monkeypatch.setattr(peers, "measure", measure)
    monkeypatch.setattr(peers, "stand_in", lambda: None)
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(peers.jax.config, "update", lambda name, value: None)
    monkeypatch.setattr("sys.argv", ["peers"])
    rows.append_row("peers", {"method": "idec"})
    peers.main()
    assert ran == ["dec", "dcn"]
    assert [row["method"] for row in rows.read_rows("peers")] == ["idec", "dec", "dcn"]
    assert [json.loads(line)["method"] for line in capsys.readouterr().out.splitlines()] == ran


def test_the_peers_table_has_seconds_and_their_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_tables, "PEERS", tmp_path / "peers.jsonl")
    assert len(benchmark_tables.peers().splitlines()) == 2
    row = {"method": "dec", "clustpy_s": 100.0, "acc": 0.8, "clustpy_acc": 0.7914}
    row |= {"together_s": 40.0, "compile_s": 20.0, "solo_s": 60.0, "solo_compile_s": 25.4}
    benchmark_tables.PEERS.write_text(json.dumps(row) + "\n")
    lines = [line.strip("| ").split(" | ") for line in benchmark_tables.peers().splitlines()]
    together = ["40 (0.40)", "60 (0.60)"]
    in_turn = ["60 (0.60)", "85 (0.85)"]
    assert lines[2] == ["`dec`", "100", *together, *in_turn, "0.791", "0.800"]
    assert len(lines[0]) == len(lines[2])


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("coverage", coverage.Row),
        ("peers", peers.Row),
        ("seeds", seeds.Row),
        ("step", step.Row),
        ("stream", stream.Row),
    ],
)
def test_rows_have_the_columns_of_the_file_of_results(name, row):
    known = rows.read_rows(name)
    assert known
    assert all(tuple(line) == row._fields for line in known)


def test_a_file_that_is_not_there_has_no_rows(results):
    assert rows.read_rows("peers") == []


@pytest.mark.parametrize("title", step.NETWORKS)
def test_pytorchs_step_is_of_our_network(title, monkeypatch):
    torch_steps = pytest.importorskip(
        "benchmarks.torch_steps", reason="needs torch", exc_type=ImportError
    )
    case = step.NETWORKS[title]
    program = step.program(case)
    monkeypatch.setattr(torch_steps, "trained", lambda optimizer, loss: optimizer)
    build = torch_steps.STEPS[case.method]
    optimizer = build(program.config, case.shape, np.zeros((4, 10), np.float32))
    in_torch = sum(array.numel() for group in optimizer.param_groups for array in group["params"])
    params = jax.eval_shape(program.network.init, jax.random.key(0)).params
    in_jax = sum(leaf.size for leaf in jax.tree.leaves(params))
    # DCEC's centroids are parameters too.
    assert in_torch == in_jax + (100 if case.method == "dcec" else 0)


def test_many_seeds_are_measured_for_a_fixed_number_of_steps(monkeypatch):
    calls = []

    def run(method, images, seeds, options):
        method.build(images.shape[1:])
        calls.append((method.config, method.pretraining.epochs, seeds, options.over))
        phase = Phase(None, {}, Times(2.0, 1.0), True)
        return fit.Fit({"cluster": phase}, True, None, [], {}, {})

    monkeypatch.setattr(seeds.fit, "fit", run)
    assert seeds.measure((0, 1), "vmap") == (2.0, 1.0)
    ((config, epochs, *rest),) = calls
    assert (config.max_steps, config.tolerance, epochs, rest) == (140, 0.0, 5, [(0, 1), "vmap"])


@pytest.mark.parametrize("name", coverage.shapes())
def test_coverage_is_measured_for_every_shape(monkeypatch, name):
    monkeypatch.setattr(coverage, "TRIALS", 40)
    monkeypatch.setattr(coverage, "RESAMPLES", 99)
    draw, mean, sd, bounds = coverage.shapes()[name]
    scores = draw(np.random.default_rng(0), (4_000, 50))
    assert scores.mean() == pytest.approx(mean, abs=0.05 * sd)
    assert scores.std() == pytest.approx(sd, rel=0.05)
    measured = coverage.measure(name, 5)
    inside = ["t inside the bounds"] if bounds else []
    assert [row.interval for row in measured] == ["t", "bootstrap-t", "percentile", *inside]
    assert all(0 <= row.coverage <= 1 and row.trials == 40 for row in measured)


def test_the_neighbor_graph_and_merging_of_digits_are_measured():
    neighbors, gdl, jule = linkage.measure("digits", 1)
    assert [row["what"] for row in (neighbors, gdl, jule)] == ["neighbours", "gdl", "jule"]
    assert gdl["nmi_sqrt"] == pytest.approx(0.907, abs=5e-4)
    assert all(row["seconds"] > 0 and row["initial"] == neighbors["initial"] for row in (gdl, jule))
    columns = {tuple(row) for row in rows.read_rows("linkage")}
    assert {tuple(row) for row in (neighbors, gdl, jule)} == columns


def test_streamed_images_are_moved_ones(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(1, 256, (4, 28, 28, 1), dtype=np.uint8)
    monkeypatch.setattr(stream.datasets, "load", lambda name: datasets.Dataset(name, images, None))
    stream.moved(tmp_path / "moved.npy", 10)
    made = np.load(tmp_path / "moved.npy")
    assert (made.shape, made.dtype) == ((10, 28, 28), np.uint8)
    for number, image in enumerate(made):
        # What is not black is a part of the image, as large as what the move left in sight.
        seen_rows = np.flatnonzero(image.any(axis=1))
        seen_columns = np.flatnonzero(image.any(axis=0))
        height = len(seen_rows)
        width = len(seen_columns)
        assert min(height, width) >= 28 - stream.SHIFT
        seen = image[np.ix_(seen_rows, seen_columns)]
        down = 0 if seen_rows[0] else 28 - height
        right = 0 if seen_columns[0] else 28 - width
        whole = images[number % 4, ..., 0]
        np.testing.assert_array_equal(seen, whole[down : down + height, right : right + width])
