"""The comparison of every method: that its seeds can show something, and what it says where they
cannot."""

import dataclasses

import pytest

from experiments import compare, rows, runner
from experiments.experiment import Request
from jaxclust.cli.main import main
from jaxclust.comparison import tables
from jaxclust.data import datasets
from jaxclust.data.named_sets import SETS
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.runs import collect
from jaxclust.runs.rows import SCORES, Row, row_name, write_rows

pytestmark = pytest.mark.usefixtures("fingerprints_once")

LARGEST = "coil20-32"
"""Its images are the largest: whatever takes another set's takes these."""
EVERYTHING = tuple(range(10))


def row(data, method, seed, score=0.5, **more):
    """A row at the default, with one score for all metrics."""
    more = {"preset": "default", "config_hash": method} | more
    made = Row(method, data, seed, 100, 10)
    return dataclasses.replace(made, **dict.fromkeys(SCORES, score), **more)


@pytest.fixture(scope="module")
def names():
    """The names of the rows of every compared method that takes the largest images."""
    found = []
    for name in (name for name in compare.BUILT if name not in compare.LATER):
        method = registry.method(name, clusters=SETS[LARGEST].classes)
        try:
            method.build(SETS[LARGEST].shape)
        except UsageError:
            continue
        found += [row_name(name, labeling) for labeling in method.algorithm.labelings]
    return found


@pytest.fixture(scope="module")
def comparison(names, tmp_path_factory):
    """Rows of every method and seed, in which each method beats the ones before by far."""
    path = tmp_path_factory.mktemp("compare") / "rows.jsonl"
    made = [
        row(data, method, seed, 0.1 + 0.03 * place + 0.001 * seed)
        for data, seeds in compare.SEEDS.items()
        for place, method in enumerate(names)
        for seed in range(seeds)
    ]
    write_rows(path, made)
    return compare.against_baseline(*collect.read([str(path)]))


@pytest.mark.parametrize("data", [name for name, seeds in compare.SEEDS.items() if seeds == 10])
def test_ten_seeds_of_all_methods_can_show_a_difference(comparison, names, data):
    (mine,) = (found for found in comparison.data if found.name == data)
    assert mine.family == len(mine.pairs) == len(names) - 1
    assert {pair.b for pair in mine.pairs} == {compare.BASELINE}
    assert max(pair.smallest_holm for pair in mine.pairs) <= comparison.options.alpha
    assert all(pair.verdict == f"{pair.a} beats kmeans" for pair in mine.pairs)


def test_later_methods_are_a_family_of_their_own(own):
    rows.add(compare.RESULTS, [row("digits", "kmeans", seed, 0.5) for seed in EVERYTHING])
    rows.add(
        compare.RESULTS,
        [
            row("digits", name, seed, 0.8 + 0.001 * seed, config_hash=None)
            for name in ("sc-njw", "dcec")
            for seed in EVERYTHING
        ],
    )
    assert "sc-njw" not in {pair.a for pair in compare.results().data[0].pairs}
    (later,) = compare.later_results(compare.SPECTRAL).data
    assert [pair.a for pair in later.pairs] == ["sc-njw"]
    assert later.family == len(compare.SPECTRAL)
    assert compare.later_results(compare.FACTORS) is None
    assert compare.later_results(compare.AUTOENCODERS) is None
    assert compare.text().count("sc-njw beats kmeans") == 1


def test_no_other_set_has_larger_images():
    shapes = [SETS[data].shape for data in compare.SEEDS]
    pairs = [zip(shape, SETS[LARGEST].shape, strict=True) for shape in shapes]
    assert all(mine <= most for pair in pairs for mine, most in pair)


def test_five_seeds_are_said_to_be_too_few(comparison):
    (mine,) = (found for found in comparison.data if found.name == "mnist-test")
    assert {pair.verdict for pair in mine.pairs} == {"cannot be shown"}
    text = tables.text(comparison)
    kinds = "test paired permutation, sign flips against a constant"
    assert f"{kinds}, family of {mine.family} (Holm)" in text
    assert "in a family of 24 a difference needs at least 10 shared seeds" in text


def test_ranks_are_over_all_sets(comparison):
    assert list(comparison.ranks.data) == list(compare.SEEDS)


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A file of rows of the comparison's own, and no other experiment."""
    monkeypatch.setattr(compare, "OTHERS", ())
    monkeypatch.setattr(compare, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(compare, "CONSENSUS", tmp_path / "consensus.jsonl")


def asked(folder):
    """A request for runs in a folder."""
    return Request(data=("digits",), folder=folder)


def test_a_finished_cell_is_run_once_and_its_rows_of_other_settings_are_refused(
    own, monkeypatch, tmp_path
):
    def sweep(words):
        assert words[0] == "fit"
        name = words[words.index("--methods") + 1]
        out = tmp_path / "runs" / "digits" / name
        out.parent.mkdir(parents=True)
        flags = ["--data", "digits", "--seeds", "10", "--no-figures", "--no-baseline", "--out"]
        assert main(["fit", name, *flags, str(out)]) == 0

    monkeypatch.setattr(runner, "jaxclust", sweep)
    for _ in range(2):  # A second folder would be an error.
        assert compare.run_set("digits", ["ac-gdl"], asked(tmp_path / "runs"))
    made = rows.read(compare.RESULTS)
    assert [row.seed for row in made] == list(range(10))
    # The method draws nothing: ten seeds agree, and their consensus has the score of each.
    (line,) = rows.read_lines(compare.CONSENSUS)
    assert (line["data"], line["method"], line["seeds"]) == ("digits", "ac-gdl", 10)
    assert line["acc"] == made[0].acc
    method = registry.get("ac-gdl")
    other = method.replace(config=dataclasses.replace(method.config, n_neighbors=7))
    monkeypatch.setitem(registry.METHODS, "ac-gdl", other)
    rule = "rows: digits, ac-gdl must have the settings of the method, has others"
    with pytest.raises(UsageError, match=rule):
        compare.run_set("digits", ["ac-gdl"], asked(tmp_path / "runs"))


@pytest.fixture
def others(monkeypatch, tmp_path, digits):
    """DCEC on digits: seeds 0 to 4 in another experiment's file, 3 to 5 in the comparison's own."""
    path = tmp_path / "other.jsonl"
    monkeypatch.setattr(compare, "OTHERS", ((path, lambda row: row.variant is None),))
    monkeypatch.setattr(compare, "RESULTS", tmp_path / "rows.jsonl")
    # How seeds ran together decides nothing, nor which they are.
    more = {"config_hash": compare.config_hash(digits, "dcec"), "preset": "default"}

    def made(origin, seeds, **changes):
        return [
            row("digits", "dcec", seed, extra={"from": origin}, **more | changes) for seed in seeds
        ]

    rows.add(
        path,
        made("other", [*range(5), 10])
        + made("other", [6], variant="other")
        + made("other", [7], preset="printed"),
    )
    rows.add(compare.RESULTS, made("own", (3, 4, 5)))


def test_rows_that_another_experiment_has_count(others, digits):
    origins = {made.seed: made.extra["from"] for made in compare.present()}
    assert origins == {0: "other", 1: "other", 2: "other", 3: "own", 4: "own", 5: "own"}
    lacking = compare.missing(digits, ["dcec", "idec"])
    assert lacking == {"dcec": (6, 7, 8, 9), "idec": EVERYTHING}


def test_tables_have_sets_and_methods_in_one_order(own):
    pairs = [
        ("usps", "dec"),
        ("usps", "kmeans"),
        ("digits", "dcn"),
        ("digits", "jule-sf"),
        ("digits", "kmeans"),
    ]
    made = [row(*pair, seed, config_hash="same") for pair in pairs for seed in (0, 1)]
    write_rows(compare.RESULTS, made)
    found = {
        data.name: [summary.method for summary in data.methods] for data in compare.results().data
    }
    assert list(found.items()) == [
        ("digits", ["kmeans", "jule-sf", "dcn"]),
        ("usps", ["kmeans", "dec"]),
    ]


def test_a_seed_with_two_scores_is_refused(others):
    first, *kept = rows.read(compare.RESULTS)
    write_rows(compare.RESULTS, [dataclasses.replace(first, acc=0.4), *kept])
    rule = "rows: digits, dcec, seed 3 must have one score in .*, got two of the same"
    with pytest.raises(UsageError, match=rule):
        compare.present()


def test_only_the_seeds_that_are_missing_run_together_with_those_that_lack_the_same(
    others, monkeypatch, tmp_path
):
    ran = []
    monkeypatch.setattr(runner, "jaxclust", lambda words: ran.append(words[1:9]))
    compare.run_set("digits", ["dcec", "idec", "dec"], asked(tmp_path / "runs"))

    def command(methods, seeds, out):
        words = ["--methods", methods, "--data", "digits", "--seeds", seeds]
        return [*words, "--out", str(tmp_path / out)]

    assert ran == [
        command("dcec", "6,7,8,9,", "runs/seeds-6-7-8-9"),
        command("idec,dec", "0,1,2,3,4,5,6,7,8,9,", "runs"),
    ]


def test_a_page_has_whole_runs_and_adds_the_rows_that_are_missing(
    others, monkeypatch, tmp_path, digits
):
    def sweep(words):
        methods = words[words.index("--methods") + 1]
        ran.append(methods)
        for name in methods.split(","):
            folder = tmp_path / "runs" / "digits" / name
            folder.mkdir(parents=True)
            score = 0.5 if name == "dcec" else 0.6
            more = {"config_hash": hashes.get(name, "old"), "extra": {"from": "page"}}
            made = [row("digits", name, seed, score, **more) for seed in range(10)]
            write_rows(folder / "results.jsonl", made)

    ran = []
    hashes = {name: compare.config_hash(digits, name) for name in ("dcec", "idec")}
    monkeypatch.setattr(runner, "jaxclust", sweep)
    monkeypatch.setattr(compare, "keep_consensus", lambda *_: None)  # These runs have no labels.
    request = asked(tmp_path / "runs")
    assert compare.run_set("digits", ["dcec", "idec"], request, page=True)
    assert ran == ["dcec,idec"]
    rule = "sae-kmeans/results.jsonl must have the settings of the method, has others"
    with pytest.raises(UsageError, match=rule):
        compare.run_set("digits", ["sae-kmeans"], request)
    origins = {(made.method, made.seed): made.extra["from"] for made in compare.present()}
    expected = ["other"] * 3 + ["own"] * 3 + ["page"] * 4
    assert [origins["dcec", seed] for seed in range(10)] == expected
    assert [origins["idec", seed] for seed in range(10)] == ["page"] * 10
    # A run that repeats what is there and ends elsewhere is no run of the same.
    path = tmp_path / "runs" / "digits" / "dcec" / "results.jsonl"
    first, *kept = rows.read(path)
    write_rows(path, [dataclasses.replace(first, acc=0.4), *kept])
    with pytest.raises(UsageError, match="digits, dcec, seed 0 must have one score"):
        compare.present(rows.read(path))


@pytest.mark.parametrize("data", compare.SEEDS)
def test_rows_of_the_papers_experiments_have_the_methods_own_settings(data):
    known = SETS[data]
    if known.file is not None and known.path is None:
        pytest.skip(f"no {known.file} here")
    compare.missing(datasets.load(data), registry.names())


def test_a_preset_that_gives_the_same_schedule_counts_as_the_default():
    # At the sizes of the paper's sets, the default's rules for small sets change nothing.
    assert compare.is_default("dcec", "paper", 9298)
    assert compare.is_default("dcec", "paper", 10_000)
    assert not compare.is_default("dcec", "paper", 1797)
    assert not compare.is_default("dec", "paper", 9298)
    assert not compare.is_default("dcec", "quick", 9298)
    assert not compare.is_default("dcec", "caffe", 9298)
    assert compare.is_default("kmeans", "paper", 1797)
