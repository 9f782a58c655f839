"""What a person writes first works, and what cannot be done is refused in one line."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
from flax import nnx

import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.data import sources
from jaxclust.data.datasets import Dataset
from jaxclust.engine import devices
from jaxclust.engine import fit as engine
from jaxclust.errors import UsageError
from jaxclust.methods import dcec
from jaxclust.networks import layers
from jaxclust.runs.rows import read_rows

SMALL = {"batch": 64, "update_interval": 2, "max_steps": 4, "restarts": 1}
PRETRAINING = {"epochs": 1, "batch": 64}


@pytest.fixture(autouse=True, scope="module")
def _one_after_the_other():
    """One program serves all seeds: spread over devices each of them would compile its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "fastest", lambda lanes: "map")
        yield


@pytest.fixture(scope="module")
def run(few_digits):
    """What a person writes first."""
    return jc.fit("kmeans", few_digits[0], clusters=10, seeds=3, progress=False)


@pytest.fixture(scope="module")
def deep(few_digits):
    """A small run of a deep method on labeled images."""
    method = jc.method("dcec", pretraining=PRETRAINING, **SMALL)
    return jc.fit(method, Dataset("few", *few_digits), seeds=2, progress=False)


def test_a_run_has_labels_scores_votes_and_predicts(run, few_digits):
    images, classes = few_digits
    assert (run.labels.shape, run.labels.dtype) == ((3, 300), np.int32)
    assert run.finished
    assert run.seeds == (0, 1, 2)
    scores = run.scores(classes)
    assert scores.acc.shape == (3,)
    assert (scores.acc > 0.4).all()
    consensus = run.consensus()
    assert consensus.labels.shape == consensus.share.shape == (300,)
    assert (consensus.share >= 1 / 3).all()
    # The run's own images get the votes on them again, and each seed's clusters have its numbers.
    predicted = run.predict(images)
    np.testing.assert_array_equal(predicted.cluster, consensus.labels)
    np.testing.assert_allclose(predicted.probability, consensus.share)
    for seed in run.seeds:
        predicted = run.predict(images, seed)
        np.testing.assert_array_equal(predicted.cluster, consensus.seed_labels[seed])
        np.testing.assert_array_equal(
            consensus.numbering[seed][run.labels[seed]], predicted.cluster
        )
    assert run.embed(images[:5]).shape == (5, 64)
    # Without true labels in the images the run has no scores of its own.
    assert all(row.acc is None for row in run.rows)


def test_what_is_printed_is_a_few_lines(run, digits, few_digits):
    assert repr(digits) == "Dataset digits: 1,797 images of 8 x 8 x 1, uint8, 10 classes"
    lines = repr(run).splitlines()
    assert lines[0] == "Run of kmeans on array: 3 seeds, 300 images of 8 x 8 x 1, 10 clusters"
    assert len(lines) == 3
    table = str(run.scores(few_digits[1])).splitlines()
    assert table[0].split() == ["kmeans"]
    assert table[1].split() == ["ACC", "NMI", "ARI"]
    assert [line.split()[0] for line in table[5:]] == ["mean", "sd", "95", "95", "consensus"]


def test_a_deep_method_in_few_epochs(deep, few_digits):
    images, classes = few_digits
    assert deep.labels.shape == (2, 300)
    assert list(deep.phases) == ["pretrain", "cluster"]
    assert deep.embed(images[:4], seed=1).shape == (4, 10)
    # The weights of one seed are one step away, and they are what embeds.
    variables = deep.variables(seed=1)
    features, _ = deep.method.build((8, 8, 1)).encode(variables, images[:4], False)
    np.testing.assert_allclose(features, deep.embed(images[:4], seed=1), rtol=1e-4, atol=1e-5)
    # A labeled data set gives the number of clusters, and its scores stand in the rows.
    assert deep.settings.clusters == 10
    assert [row.acc for row in deep.rows] == deep.scores(classes).acc.tolist()
    assert "deep" in str(jc.compare({"deep": deep}))


@pytest.mark.parametrize("seeds", [3, [0, 1, 2], range(3), (0, 1, 2), np.arange(3)])
def test_seeds_are_a_count_a_list_or_a_range(run, few_digits, seeds):
    again = jc.fit("kmeans", few_digits[0], clusters=10, seeds=seeds, progress=False)
    assert again.seeds == (0, 1, 2)
    np.testing.assert_array_equal(again.labels, run.labels)


def test_images_need_no_axis_of_channels(run, few_digits):
    flat = few_digits[0][..., 0]
    again = jc.fit("kmeans", flat, clusters=10, seeds=3, progress=False)
    np.testing.assert_array_equal(again.labels, run.labels)
    np.testing.assert_array_equal(again.predict(flat).cluster, again.consensus().labels)


def test_paths_are_text_or_paths(data, tmp_path):
    for path in (data, str(data)):
        dataset = jc.load(path)
        assert (dataset.name, dataset.classes) == ("few", 10)
    out = str(tmp_path / "run")
    first = jc.fit("kmeans", dataset, seeds=1, out=out, progress=False)
    assert first.directory == tmp_path / "run"
    np.testing.assert_array_equal(jc.open_run(out).labels, first.labels)
    features = tmp_path / "mine.npy"
    np.save(features, dataset.images.reshape(300, 64).astype(np.float32))
    for path in (features, str(features)):
        own = jc.fit("kmeans", dataset, seeds=1, features=path, progress=False)
        assert own.settings.data.name == "few+mine"
    with pytest.raises(UsageError, match="to take new ones, is on mine.npy"):
        own.predict(dataset.images)


def test_a_saved_run_is_opened_again(deep, few_digits, tmp_path):
    images, classes = few_digits
    deep.save(tmp_path / "run")
    opened = jc.open_run(tmp_path / "run")
    np.testing.assert_array_equal(opened.labels, deep.labels)
    assert opened.rows == deep.rows
    assert opened.settings == deep.settings
    assert repr(opened) == repr(deep)
    assert opened.method.config == deep.method.config
    assert str(opened.scores(classes)) == str(deep.scores(classes))
    for seed in deep.seeds:
        expected = deep.predict(images, seed)
        for value, other in zip(opened.predict(images, seed), expected, strict=True):
            np.testing.assert_array_equal(value, other)
    # What was opened can be saved, too, with all that makes it whole.
    opened.save(str(tmp_path / "copy"))
    copy = jc.open_run(tmp_path / "copy")
    np.testing.assert_array_equal(copy.embed(images[:3]), deep.embed(images[:3]))
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == names
    with pytest.raises(UsageError, match="save: must be to another folder than the run's own"):
        copy.save(tmp_path / "copy", overwrite=True)
    with pytest.raises(UsageError, match="out: must not exist without"):
        deep.save(tmp_path / "copy")
    deep.save(tmp_path / "copy", overwrite=True)
    np.testing.assert_array_equal(jc.open_run(tmp_path / "copy").labels, deep.labels)


def test_the_commands_take_a_run_that_python_wrote(deep, few_digits, data, tmp_path, capsys):
    deep.save(tmp_path / "deep")
    plain = jc.fit("kmeans", Dataset("few", *few_digits), seeds=2, progress=False)
    plain.save(tmp_path / "plain")
    out = tmp_path / "clusters.csv"
    assert main(f"predict {tmp_path / 'deep'} --data {data} --out {out}".split()) == 0
    lines = out.read_text().splitlines()
    assert [int(line.split(",")[1]) for line in lines[1:]] == deep.consensus().labels.tolist()
    assert lines == (tmp_path / "deep" / "clusters.csv").read_text().splitlines()
    capsys.readouterr()
    assert main(f"compare {tmp_path / 'deep'} {tmp_path / 'plain'} --format json".split()) == 0
    (compared,) = json.loads(capsys.readouterr().out)["data"]
    assert [row["method"] for row in compared["methods"]] == ["dcec", "kmeans"]
    assert list(compared["methods"][0]["seeds"].values()) == [row.acc for row in deep.rows]
    page = tmp_path / "page.html"
    assert main(f"report {tmp_path / 'deep'} {tmp_path / 'plain'} --out {page}".split()) == 0
    assert "dcec" in page.read_text()


IMAGES = np.random.default_rng(0).integers(0, 255, (20, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES.astype(np.float32)}, r"images: floats must lie in \[0, 1\], got \d+ to"),
        ({"images": np.full((20, 8, 8), np.nan)}, "images: must be finite, got NaN or inf in 1280"),
        ({"images": IMAGES[0]}, r"images: must be of rank 3 .* or 4 .*, got shape \(8, 8\)"),
        ({"images": IMAGES.astype(np.int64)}, "images: must be uint8 .*, got dtype int64"),
        ({"images": "digits"}, "images: must be an array or a data set, .*, got 'digits'"),
        ({"images": [IMAGES[0], IMAGES[1, :4]]}, "images: must be of one shape"),
        ({"images": Dataset("x", np.full((9, 2, 2), np.inf), None)}, "images: must be finite"),
        ({"clusters": 21}, "clusters: must be at most the number of images, 20, got 21"),
        ({"clusters": 1}, "clusters: must be at least 2, got 1"),
        ({"clusters": 2.7}, "clusters: must be int, got 2.7"),
        ({"clusters": None}, "clusters: must be given, since array has no labels"),
        ({"seeds": "3"}, "seeds: must be a count from 1 or a list such as 0,3,7 .*, got '3'"),
        ({"seeds": 0}, "seeds: must be a count from 1 .*, got 0"),
        ({"seeds": 2.5}, "seeds: must be a count from 1 .*, got 2.5"),
        ({"seeds": [1, 1]}, r"seeds: must be a count from 1 .*, got \[1, 1\]"),
        ({"seeds": [True, 2]}, r"seeds: must be a count from 1 .*, got \[True, 2\]"),
        ({"seeds": [-1]}, r"seeds: must be a count from 1 .*, got \[-1\]"),
        ({"method": "kmean"}, "method: must be one of .*, got 'kmean'; did you mean kmeans?"),
        ({"method": 3}, "method: must be a name or a method that jaxclust.method made, got 3"),
        ({"preset": "fast"}, "preset: must be one of default, paper, quick, got 'fast'"),
        ({"features": "hog"}, "onnx:FILE or the path of an .npy or .parquet file, got 'hog'"),
        ({"weights": "none"}, "weights: none must be a .safetensors file, and is not there"),
        ({"method": "ccnn-resnet18"}, "weights: must be given for ccnn-resnet18"),
        ({"max_seconds": 0}, "max_seconds: must be above 0, got 0"),
        ({"max_seconds": "9"}, "max_seconds: must be above 0, got '9'"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "fit", None)
    given = {"method": "kmeans", "images": IMAGES, "clusters": 3, "out": "run", "progress": False}
    with pytest.raises(UsageError, match=message) as caught:
        jc.fit(**(given | arguments))
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_unknown_settings_are_refused():
    with pytest.raises(UsageError, match="settings: dcec has .*, got 'gama'; did you mean gamma?"):
        jc.method("dcec", gama=1)
    with pytest.raises(UsageError, match="got 'pretraining.epoch'; did you mean"):
        jc.method("dcec", pretraining={"epoch": 1})
    with pytest.raises(UsageError, match="gamma: must be float, got 'much'"):
        jc.method("dcec", gamma="much")
    with pytest.raises(UsageError, match="replace: must be of .*, got 'steps'"):
        jc.method("dcec").replace(steps=None)


def test_labels_that_do_not_fit_are_refused(run):
    with pytest.raises(UsageError, match=r"labels: must be of shape \(300,\), one for each image"):
        run.scores(np.zeros(299, int))
    with pytest.raises(UsageError, match="labels: must be integers, got dtype float64"):
        run.scores(np.zeros(300))
    with pytest.raises(UsageError, match="labels: .*, got None"):
        run.scores(None)
    with pytest.raises(UsageError, match="seed: must be one of 0, 1, 2, got 7"):
        run.predict(IMAGES, seed=7)
    with pytest.raises(UsageError, match=r"images: must be of shape \(n, 8, 8, 1\), got \(2, 4"):
        run.predict(IMAGES[:2, :4])


def test_a_stopped_run_goes_on_in_its_folder_and_is_read_when_it_is_finished(
    deep, few_digits, tmp_path, monkeypatch
):
    """With another number of devices a run goes on as it began."""
    data = Dataset("few", *few_digits)
    out = tmp_path / "run"
    stopped = jc.fit(deep.method, data, seeds=2, out=out, max_seconds=1e-6, progress=False)
    assert not stopped.finished
    assert repr(stopped).endswith("stopped before its end")
    with pytest.raises(UsageError, match="run: was stopped before its end and has no labels yet"):
        stopped.scores(few_digits[1])
    with pytest.raises(UsageError, match="save: must be of a finished run"):
        stopped.save(tmp_path / "copy")
    with pytest.raises(UsageError, match=f"run: {out} must be finished, has no results.jsonl"):
        jc.open_run(out)
    monkeypatch.setattr(devices, "fastest", lambda lanes: "vmap")
    whole = jc.fit(deep.method, data, seeds=2, out=out, progress=False)
    assert whole.settings.over == "map"
    np.testing.assert_array_equal(whole.labels, deep.labels)
    history = whole.phases["cluster"].history
    assert sorted(history["window"].tolist()) == sorted(
        deep.phases["cluster"].history["window"].tolist()
    )
    monkeypatch.setattr(engine, "fit", None)
    again = jc.fit(deep.method, data, seeds=2, out=out, progress=False)
    assert not again.phases
    np.testing.assert_array_equal(again.labels, deep.labels)
    other = deep.method.with_settings({"gamma": 0.5})
    with pytest.raises(UsageError, match=r"must hold the same run, differs in config.gamma"):
        jc.fit(other, data, seeds=2, out=out, progress=False)


def test_a_stream_is_clustered_in_a_folder(few_digits, tmp_path):
    np.save(tmp_path / "images.npy", few_digits[0][:60])
    stream = sources.open_source(str(tmp_path / "images.npy"))
    settings = {"clusters": 3, "batch": 12, "reliable": 12, "sample": 30, "epochs": 1}
    settings |= {"filters": (3, 4), "adaptation": (5,)}
    method = jc.method("ccnn-ii", pretraining={"epochs": 0}, **settings)
    with pytest.raises(UsageError, match="out: must be given for a stream"):
        jc.fit(method, stream, seeds=1, progress=False)
    run = jc.fit(method, stream, seeds=1, out=tmp_path / "run", progress=False)
    assert run.labels.shape == (1, 60)
    run.save(tmp_path / "copy")
    np.testing.assert_array_equal(jc.open_run(tmp_path / "copy").labels, run.labels)
    history = (tmp_path / "copy" / "history.csv").read_text()
    assert history == (tmp_path / "run" / "history.csv").read_text()


def test_the_preset_of_a_method_is_kept(few_digits):
    method = jc.method("kmeans", preset="quick", clusters=10)
    run = jc.fit(method, few_digits[0], seeds=1, progress=False)
    assert (run.settings.preset, run.rows[0].preset) == ("quick", "quick")
    assert run.method.preset == "quick"
    with pytest.raises(UsageError, match="preset: must come with a method's name, got 'quick'"):
        jc.fit(method, few_digits[0], preset="quick")


def slow_step(config, network, key, state, batch, rows):
    """The step of DCEC, as a function of one's own."""
    return dcec.step(config, network, key, state, batch, rows)


class OneLayer(nnx.Module):
    """An autoencoder of one layer each way."""

    def __init__(self, shape, embedding, *, rngs):
        self.shape = shape
        pixels = int(np.prod(shape))
        self.inner = layers.Dense(pixels, embedding, rngs=rngs)
        self.outer = layers.Dense(embedding, pixels, rngs=rngs)

    def encode(self, images):
        return self.inner(images.reshape(len(images), -1))

    def reconstruct(self, images):
        features = self.encode(images)
        return self.outer(features).reshape(-1, *self.shape), features


SMALL_NETWORK = functools.partial(jc.networks.sae, hidden=(16,))
IDEC = jc.method("idec", clusters=10, pretraining=PRETRAINING, **SMALL)
OWN_NETWORK = jc.networks.from_flax(OneLayer)


@pytest.mark.parametrize(
    ("method", "own"),
    [
        (
            IDEC.replace(name="mine", step=slow_step, network=OWN_NETWORK),
            {"network": "OneLayer", "step": f"{__name__}.slow_step"},
        ),
        (IDEC.replace(network=OWN_NETWORK), {"network": "OneLayer"}),
        (IDEC.replace(network=SMALL_NETWORK), {"network": "sae(hidden=(16,))"}),
    ],
)
def test_parts_of_ones_own(method, own, few_digits, tmp_path):
    run = jc.fit(method, few_digits[0], seeds=2, progress=False)
    run.save(tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["own"] == {"algorithm": "dcec", "labelings": [""]} | own
    opened = jc.open_run(tmp_path / "run", method=method)
    own = run.consensus().seed_labels[1]
    np.testing.assert_array_equal(opened.predict(few_digits[0], 1).cluster, own)
    np.testing.assert_array_equal(opened.embed(few_digits[0]), run.embed(few_digits[0]))
    # Without the method the run is read, and only what needs its functions is refused.
    unknown = jc.open_run(tmp_path / "run")
    np.testing.assert_array_equal(unknown.labels, run.labels)
    with pytest.raises(UsageError, match="method: must be given for .*run, since") as caught:
        unknown.predict(few_digits[0])
    assert len(str(caught.value).splitlines()) == 1
    other = method.with_settings({"gamma": 0.7})
    with pytest.raises(UsageError, match="method: must be the one of .*, differs in config.gamma"):
        jc.open_run(tmp_path / "run", method=other)
    # In its folder the run is the same, and nobody goes on with it by another step.
    again = jc.fit(method, few_digits[0], seeds=2, out=tmp_path / "run", progress=False)
    np.testing.assert_array_equal(again.predict(few_digits[0], 1).cluster, own)
    plain = IDEC.replace(name=method.name, network=method.network, refresh=None)
    with pytest.raises(UsageError, match="must hold the same run, differs in own"):
        jc.fit(plain, few_digits[0], seeds=2, out=tmp_path / "run", progress=False)


def test_a_run_with_a_damaged_file_is_refused(run, tmp_path):
    run.save(tmp_path / "run")
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    assert [row.seed for row in rows] == [0, 1, 2]
    lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    (tmp_path / "run" / "results.jsonl").write_text("\n".join(lines[:2]))
    with pytest.raises(UsageError, match=r"must hold a row for each seed, \(0, 1, 2\), got \[0, 1"):
        jc.open_run(tmp_path / "run")
    (tmp_path / "run" / "results.jsonl").write_text("\n".join(lines))
    np.save(tmp_path / "run" / "labels.npy", run.labels[:2])
    with pytest.raises(UsageError, match=r"must hold labels of shape \(3, 300\), got \(2, 300\)"):
        jc.open_run(tmp_path / "run")


def test_the_package_alone_loads_nothing_heavy():
    heavy = ("jax", "flax", "matplotlib", "numpy", "optax", "scipy", "sklearn")
    code = f"import sys, jaxclust; print([name for name in {heavy} if name in sys.modules])"
    code += "; print(dir(jaxclust)); print(jaxclust.__version__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, names, _ = out.stdout.splitlines()
    assert loaded == "[]"
    expected = {"load", "fit", "method", "compare", "open_run", "DeepClustering", "Method", "Run"}
    expected |= {"Network", "Algorithm", "methods", "networks", "ops", "data"}
    assert expected <= {name.strip("' []") for name in names.split(",")}


def test_every_name_of_the_face_is_there():
    assert dir(jc) == sorted(jc.__all__)
    for name in jc.__all__:
        assert getattr(jc, name) is not None
    assert "dcec" in jc.methods.names()
    assert "digits" in jc.data.names()
    with pytest.raises(AttributeError, match="module 'jaxclust' has no attribute 'fitted'"):
        jc.fitted  # noqa: B018
