"""``jaxclust compare``: what it computes, and that every format says the same."""

import csv
import io

import numpy as np
import pytest

from jaxclust.comparison import tables
from jaxclust.evaluation import stats
from jaxclust.evaluation.stats import two_methods
from jaxclust.runs.files import read_rows, write_rows
from run_folders import BAD, GOOD, compare, error, make


def test_two_methods_on_shared_seeds(tmp_path, capsys):
    found = compare(capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD))
    (data,) = found["data"]
    for row, values in zip(data["methods"], (GOOD, BAD), strict=True):
        summary = stats.summary(values)
        assert (row["n"], row["mean"], row["sd"], row["low"], row["high"]) == pytest.approx(summary)
        assert (row["run_low"], row["run_high"]) == pytest.approx(stats.prediction_interval(values))
        assert row["iqm"] == pytest.approx(stats.interquartile_mean(values))
    (pair,) = data["pairs"]
    assert pair["test"] == "paired permutation"
    assert pair["p"] == pair["p_holm"] == pair["smallest_p"] == 2 / 2**8
    assert pair["difference"] == pytest.approx(np.mean(GOOD) - np.mean(BAD))
    assert pair["superiority"] == 1
    # A p below .05 takes six pairs at least.
    needed = two_methods.seeds_needed(GOOD, BAD, 0.01, True)
    assert pair["seeds_needed"] == [max(6, n) for n in needed]
    assert needed.high > 6
    assert pair["verdict"] == "dcec beats idec"
    assert (found["metric"], data["family"], found["ranks"], found["notes"]) == ("acc", 1, None, [])


def test_seeds_that_are_not_shared_are_not_paired(tmp_path, capsys):
    other = {seed + 100: acc for seed, acc in enumerate(BAD)}
    found = compare(capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", other))
    (pair,) = found["data"][0]["pairs"]
    assert (pair["test"], pair["p"]) == ("unpaired", two_methods.unpaired(GOOD, BAD))


def test_the_test_and_the_interval_can_be_chosen(tmp_path, capsys):
    runs = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD)
    for test, p in (
        ("wilcoxon", two_methods.wilcoxon(GOOD, BAD)),
        ("unpaired", two_methods.unpaired(GOOD, BAD)),
    ):
        assert compare(capsys, *runs, "--test", test)["data"][0]["pairs"][0]["p"] == p
    row = compare(capsys, *runs, "--interval", "bootstrap-t", "--metric", "nmi")["data"][0][
        "methods"
    ][0]
    assert (row["low"], row["high"]) == pytest.approx(stats.bootstrap_t(np.array(GOOD) - 0.01))


def test_a_small_alpha_has_enough_draws_or_is_refused(tmp_path, capsys):
    runs = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD)
    row = compare(capsys, *runs, "--alpha", "0.0001", "--interval", "bootstrap-t")["data"][0][
        "methods"
    ][0]
    wide = compare(capsys, *runs, "--alpha", "0.01", "--interval", "bootstrap-t")["data"][0][
        "methods"
    ][0]
    assert row["low"] is None or row["low"] < wide["low"]
    line = error(capsys, *runs, "--alpha", "0.0001", "--planned", "50")
    assert "alpha: must be at least 0.000125 for 50 comparisons, got 0.0001" in line


def test_alpha_is_that_of_every_interval_and_of_the_family(tmp_path, capsys):
    overlapping = [score + 0.07 for score in BAD]
    runs = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", overlapping)
    data = compare(capsys, *runs, "--alpha", "0.2")["data"][0]
    row, (pair,) = data["methods"][0], data["pairs"]
    assert (row["low"], row["high"]) == pytest.approx(stats.summary(GOOD, 0.8)[3:])
    assert (row["run_low"], row["run_high"]) == pytest.approx(
        stats.prediction_interval(GOOD, confidence=0.8)
    )
    gap = two_methods.difference(GOOD, overlapping, True, 0.8)
    assert (pair["low"], pair["high"]) == pytest.approx((gap.low, gap.high))
    often = two_methods.superiority(GOOD, overlapping, 0.8)
    assert 0 < often.low < often.high < 1
    assert (pair["superiority_low"], pair["superiority_high"]) == pytest.approx(
        (often.low, often.high)
    )


def test_a_family_is_corrected_together(tmp_path, capsys):
    middle = [0.75, 0.78, 0.74, 0.77, 0.79, 0.76, 0.74, 0.79]
    runs = [
        make(tmp_path / name, name, scores)
        for name, scores in (("a", GOOD), ("b", middle), ("c", BAD))
    ]
    pairs = compare(capsys, *runs)["data"][0]["pairs"]
    np.testing.assert_allclose(
        [pair["p_holm"] for pair in pairs], two_methods.holm([pair["p"] for pair in pairs])
    )
    found = compare(capsys, *runs, "--baseline", "c")
    assert found["data"][0]["family"] == 2
    assert [(pair["a"], pair["b"]) for pair in found["data"][0]["pairs"]] == [
        ("a", "c"),
        ("b", "c"),
    ]


def test_a_family_is_of_all_data_sets_or_of_each(tmp_path, capsys):
    runs = [
        make(tmp_path / f"{name}-{data}", name, scores, data=data)
        for data in ("usps", "digits")
        for name, scores in (("a", GOOD[:6]), ("b", BAD[:6]))
    ]
    together, apart = compare(capsys, *runs), compare(capsys, *runs, "--family", "data")
    assert [one["family"] for one in together["data"]] == [2, 2]
    assert [one["pairs"][0]["verdict"] for one in together["data"]] == ["cannot be shown"] * 2
    assert [one["family"] for one in apart["data"]] == [1, 1]
    assert [one["pairs"][0]["p_holm"] for one in apart["data"]] == [2 / 2**6] * 2
    assert "family of 1 (Holm)" in compare(capsys, *runs, "--family", "data", form="text")


def test_what_few_seeds_cannot_show_is_said(tmp_path, capsys):
    found = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD[:5]), make(tmp_path / "b", "idec", BAD[:5])
    )
    (pair,) = found["data"][0]["pairs"]
    assert (pair["p"], pair["verdict"]) == (0.0625, "cannot be shown")
    assert "at least 6 shared seeds" in found["notes"][0]
    # Another test is not offered once the scores have been seen.
    assert "unpaired" not in found["notes"][0]


def test_seeds_are_paired_where_half_of_them_are_shared(tmp_path, capsys):
    for count, test in ((5, "paired permutation"), (4, "unpaired")):
        few = make(tmp_path / f"few-{count}", "idec", BAD[:count])
        found = compare(capsys, make(tmp_path / f"all-{count}", "dcec", [*GOOD, *GOOD][:10]), few)
        assert found["data"][0]["pairs"][0]["test"] == test


def test_no_beats_that_hangs_on_failed_seeds(tmp_path, capsys):
    failing = [*GOOD[:6], None, None]
    found = compare(
        capsys, make(tmp_path / "a", "dcec", failing), make(tmp_path / "b", "idec", BAD)
    )
    (pair,) = found["data"][0]["pairs"]
    assert pair["n"] == [6, 6]
    assert pair["p"] == 2 / 2**6
    assert pair["p_worst"] == two_methods.paired_permutation([*GOOD[:6], 0.1, 0.1], BAD)
    assert pair["verdict"] == "not claimed: it hangs on failed or missing seeds"
    row = found["data"][0]["methods"][0]
    assert row["worst_mean"] == pytest.approx(np.mean([*GOOD[:6], 0.1, 0.1]))
    assert (
        "dcec on usps: failed seed 6 (cluster step 7), seed 7 (cluster step 7)" in found["notes"][0]
    )


def test_no_beats_that_hangs_on_failed_seeds_that_only_one_has(tmp_path, capsys):
    """Better on the seeds that both have; with its other seeds, most of which failed, worse at worst."""
    a = dict.fromkeys(range(9), 0.80) | dict.fromkeys(range(9, 16))
    b = dict.fromkeys(range(9), 0.70)
    found = compare(capsys, make(tmp_path / "a", "dcec", a), make(tmp_path / "b", "idec", b))
    (pair,) = found["data"][0]["pairs"]
    assert (pair["test"], pair["p"], pair["p_worst"]) == ("paired permutation", 2 / 2**9, 2 / 2**9)
    assert found["data"][0]["methods"][0]["worst_mean"] < 0.7
    assert pair["verdict"] == "not claimed: it hangs on failed or missing seeds"


def test_no_beats_that_hangs_on_seeds_whose_rows_are_lost(tmp_path, capsys):
    whole = make(tmp_path / "b", "idec", BAD)
    failing = make(tmp_path / "a", "dcec", [*GOOD[:6], None, None])
    before = compare(capsys, failing, whole)
    rows = read_rows(failing / "results.jsonl")
    write_rows(failing / "results.jsonl", rows[:6])
    after = compare(capsys, failing, whole)
    (pair,) = after["data"][0]["pairs"]
    assert pair == before["data"][0]["pairs"][0]
    assert pair["verdict"] == "not claimed: it hangs on failed or missing seeds"
    row = after["data"][0]["methods"][0]
    assert (row["missing"], row["n"]) == ([6, 7], 6)
    assert row["worst_mean"] == pytest.approx(np.mean([*GOOD[:6], 0.1, 0.1]))


def test_a_method_without_randomness_misses_no_seeds(tmp_path, capsys):
    whole, constant = (
        make(tmp_path / "a", "dcec", GOOD),
        make(tmp_path / "b", "ac-ward", [0.7, 0.7]),
    )
    before = compare(capsys, whole, constant)
    write_rows(constant / "results.jsonl", read_rows(constant / "results.jsonl")[:1])
    after = compare(capsys, whole, constant)
    assert after["data"][0]["pairs"] == before["data"][0]["pairs"]
    row = after["data"][0]["methods"][1]
    assert (row["method"], row["missing"], row["worst_mean"]) == ("ac-ward", [], 0.7)


def test_comparisons_that_are_planned_are_corrected_for(tmp_path, capsys):
    runs = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD)
    (pair,) = compare(capsys, *runs)["data"][0]["pairs"]
    for planned, verdict in (
        (1, "dcec beats idec"),
        (6, "dcec beats idec"),
        (7, "cannot be shown"),
    ):
        found = compare(capsys, *runs, "--planned", planned)
        (mine,) = found["data"][0]["pairs"]
        assert mine["p"] == pair["p"] == 2 / 2**8
        assert mine["p_holm"] == planned * pair["p"]
        assert (found["data"][0]["family"], mine["verdict"]) == (planned, verdict)
    assert "planned: must be at least 0, got -1" in error(capsys, *runs, "--planned", -1)


def test_a_failed_seed_betters_no_mean(tmp_path, capsys):
    """Half of the clusters' chance would: K is 2, the set has more classes."""
    low = [acc - 0.6 for acc in BAD]
    runs = [make(tmp_path / "a", "dcec", [*low[:7], None]), make(tmp_path / "b", "idec", low)]
    for run in runs:
        lines = read_rows(run / "results.jsonl")
        write_rows(run / "results.jsonl", [row | {"clusters": 2} for row in lines])
    row = compare(capsys, *runs)["data"][0]["methods"][0]
    assert row["worst_mean"] == pytest.approx(np.mean([*low[:7], min(low)]))


def test_ranks_that_point_against_the_means_claim_nothing(tmp_path, capsys):
    """Eleven seeds a little better, one lost: the ranks are A's, the mean is B's."""
    a = [0.7 + 0.001 * seed for seed in range(1, 12)] + [0.2]
    runs = make(tmp_path / "a", "dcec", a), make(tmp_path / "b", "idec", [0.7] * 12)
    (pair,) = compare(capsys, *runs, "--test", "wilcoxon")["data"][0]["pairs"]
    assert pair["p"] == two_methods.wilcoxon(a, [0.7] * 12) < 0.05
    assert pair["difference"] < 0
    assert pair["verdict"] == "not claimed: ranks and means point apart"


@pytest.mark.parametrize("test", ["auto", "wilcoxon", "unpaired"])
def test_seeds_needed_never_lie_below_what_the_family_needs(tmp_path, capsys, test):
    """Thirty methods of five seeds: 435 pairs in a family, which asks for far more seeds than a t test needs."""
    runs = [
        make(tmp_path / f"m{i}", f"m{i}", [0.01 * i + 0.0001 * seed for seed in range(5)])
        for i in range(30)
    ]
    found = compare(capsys, *runs, "--test", test)
    pairs = found["data"][0]["pairs"]
    (hint,) = [note for note in found["notes"] if "in a family of 435 a difference needs" in note]
    least = int(hint.split("at least ")[1].split()[0])
    resamples = 43_499
    for n in (least, least - 1):
        small = two_methods.smallest_p(
            n, n if test == "unpaired" else None, test == "wilcoxon", resamples
        )
        assert (small * 435 <= 0.05) == (n == least)
    assert {pair["verdict"] for pair in pairs} == {"cannot be shown"}
    assert min(min(pair["seeds_needed"]) for pair in pairs) >= least


def test_many_shared_seeds_show_what_fewer_do(tmp_path, capsys):
    """From 18 pairs on arrangements are drawn: as many as the family needs."""
    runs = [
        make(tmp_path / f"m{i}", f"m{i}", [0.02 * i + 0.0001 * s for s in range(18)])
        for i in range(33)
    ]
    pairs = compare(capsys, *runs)["data"][0]["pairs"]
    assert len(pairs) == 528
    assert all(pair["smallest_holm"] <= 0.05 for pair in pairs)
    assert {pair["verdict"].split()[1] for pair in pairs} == {"beats"}


def test_the_losers_failed_seeds_leave_the_claim(tmp_path, capsys):
    found = compare(
        capsys,
        make(tmp_path / "a", "dcec", GOOD),
        make(tmp_path / "b", "idec", [*BAD[:7], None]),
        "--metric",
        "ari",
    )
    assert found["data"][0]["pairs"][0]["verdict"] == "dcec beats idec"


def test_a_method_that_failed_throughout(tmp_path, capsys):
    found = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", [None] * 8)
    )
    (pair,) = found["data"][0]["pairs"]
    assert (pair["p"], pair["verdict"], found["data"][0]["family"]) == (None, "not tested", 0)
    assert found["data"][0]["methods"][1]["mean"] is None


def test_one_seed(tmp_path, capsys):
    found = compare(capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", [0.7]))
    assert found["data"][0]["methods"][1]["low"] is None
    assert found["data"][0]["pairs"][0]["verdict"] == "not tested"
    assert "one seed has no interval" in found["notes"][0]


def test_a_deterministic_method_is_a_constant(tmp_path, capsys):
    found = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "ac-ward", [0.7, 0.7])
    )
    row = found["data"][0]["methods"][1]
    assert (row["n"], row["constant"], row["low"]) == (1, True, None)
    (pair,) = found["data"][0]["pairs"]
    assert pair["p"] == two_methods.paired_permutation(GOOD, [0.7] * 8)
    assert pair["test"] == "sign flips against a constant"
    assert pair["verdict"] == "dcec beats ac-ward"


def test_ranks_over_data_sets_pool_the_seeds(tmp_path, capsys):
    runs = []
    for number in range(8):
        for method, scores in (("a", GOOD), ("b", BAD), ("c", GOOD[::-1])):
            shifted = [acc - 0.01 * number - (0.001 if method == "c" else 0) for acc in scores]
            runs.append(make(tmp_path / f"{method}{number}", method, shifted, data=f"d{number}"))
    few = compare(capsys, *runs[:9])["ranks"]
    assert few["ranks"] == [1.0, 3.0, 2.0]
    assert few["critical_difference"] is None
    assert few["smallest_p"] == 0.75
    assert [pair["p"] for pair in few["pairs"]] == [0.75] * 3
    assert compare(capsys, *runs[:9], "--baseline", "b")["ranks"]["smallest_p"] == 0.5
    against = compare(capsys, *runs, "--baseline", "b")["ranks"]["pairs"]
    assert [(pair["a"], pair["b"]) for pair in against] == [("a", "b"), ("b", "c")]
    assert "(asymptotic)" in compare(capsys, *runs[:9], form="text")
    many = compare(capsys, *runs)["ranks"]
    assert many["critical_difference"] == pytest.approx(
        2.343 * np.sqrt(3 * 4 / (6 * 8)), rel=1e-3
    )  # Demsar's table 5.
    assert many["friedman"] == pytest.approx([16.0, np.exp(-8)])
    plain = compare(capsys, *runs, form="csv").splitlines()
    assert f"ranks,,,,critical_difference,{many['critical_difference']}" in plain
    assert f"ranks,,,,friedman.0,{many['friedman'][0]}" in plain


def test_ranks_with_failed_seeds_show_the_worst_case(tmp_path, capsys):
    runs = []
    for number in range(8):
        for method, scores in (("a", [*GOOD[:1], *[None] * 7]), ("b", BAD)):
            shifted = [None if acc is None else acc - 0.01 * number for acc in scores]
            runs.append(make(tmp_path / f"{method}{number}", method, shifted, data=f"d{number}"))
    found = compare(capsys, *runs)["ranks"]
    assert (found["ranks"], found["ranks_worst"]) == ([1.0, 2.0], [2.0, 1.0])
    assert compare(capsys, *runs[:6])["ranks"]["pairs"][0].keys() == {"a", "b", "p", "p_worst"}
    lines = [line.split() for line in compare(capsys, *runs, form="text").splitlines()]
    place = lines.index(["method", "mean", "rank", "failed", "or", "missing", "as", "chance"])
    assert lines[place + 1 : place + 3] == [["a", "1.00", "2.00"], ["b", "2.00", "1.00"]]
    assert ["A", "B", "corrected", "p", "failed", "or", "missing", "as", "chance"] in lines


def test_ranks_without_the_baseline_have_no_pairs(tmp_path, capsys):
    runs = [
        make(tmp_path / f"{name}-{data}", name, scores, data=data)
        for name, scores in (("dcec", GOOD), ("idec", BAD), ("kmeans", BAD))
        for data in ("usps", "digits")
    ]
    assert compare(capsys, *runs, "--baseline", "kmeans")["ranks"]["smallest_p"] is not None
    found = compare(capsys, *runs[:5], "--baseline", "kmeans")
    assert (found["ranks"]["pairs"], found["ranks"]["smallest_p"]) == ([], None)
    assert "pairs of ranks" not in compare(capsys, *runs[:5], "--baseline", "kmeans", form="text")


def test_ranks_name_a_method_that_failed_throughout(tmp_path, capsys):
    runs = [
        make(
            tmp_path / f"{method}{number}",
            method,
            scores if number or method != "c" else [None] * 8,
            data=f"d{number}",
        )
        for number in range(3)
        for method, scores in (("a", GOOD), ("b", BAD), ("c", GOOD))
    ]
    found = compare(capsys, *runs)
    assert found["ranks"]["methods"] == ["a", "b"]
    assert "ranks leave out, as without a score on some data set: c" in found["notes"]


def test_the_seeds_that_two_methods_share_are_paired_and_the_rest_named(tmp_path, capsys):
    found = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD[:7])
    )
    (pair,) = found["data"][0]["pairs"]
    assert (pair["test"], pair["n"], pair["p"]) == ("paired permutation", [7, 7], 2 / 2**7)
    said = "dcec and idec on usps: difference and test are of the 7 sound seeds that they share, of 8 and 7"
    assert said in found["notes"]


def test_a_few_shared_seeds_among_others_are_not_paired(tmp_path, capsys):
    other = {6: BAD[6], 7: BAD[7]} | {seed + 100: acc for seed, acc in enumerate(BAD[:6])}
    found = compare(capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", other))
    (pair,) = found["data"][0]["pairs"]
    assert (pair["test"], pair["n"], pair["verdict"]) == ("unpaired", [8, 8], "dcec beats idec")


def test_no_claim_against_the_means_of_all_seeds(tmp_path, capsys):
    """On the seeds that both have the second is better, on its own seeds far worse."""
    lost = dict(enumerate([acc - 0.02 for acc in GOOD]))
    others = dict(enumerate(GOOD)) | dict.fromkeys(range(8, 14), 0.1)
    found = compare(
        capsys, make(tmp_path / "a", "dcec", others), make(tmp_path / "b", "idec", lost)
    )
    (pair,) = found["data"][0]["pairs"]
    assert pair["difference"] == pytest.approx(0.02)
    assert pair["verdict"] == "not claimed: it hangs on seeds that only one has"


def test_every_format_says_the_same(tmp_path, capsys):
    runs = make(tmp_path / "a", "dcec", [*GOOD[:7], None]), make(tmp_path / "b", "my_method%", BAD)
    found = compare(capsys, *runs)
    mean = f"{found['data'][0]['methods'][0]['mean']:.4f}"
    for form in ("text", "markdown", "latex"):
        out = compare(capsys, *runs, form=form)
        assert mean in out
        assert "failed seed 7" in out
    assert r"my\_method\%" in compare(capsys, *runs, form="latex")
    lines = list(csv.DictReader(io.StringIO(compare(capsys, *runs, form="csv"))))
    values = {(line["table"], line["method"], line["quantity"]): line["value"] for line in lines}
    assert float(values["methods", "dcec", "mean"]) == found["data"][0]["methods"][0]["mean"]
    assert float(values["pairs", "dcec", "p_holm"]) == found["data"][0]["pairs"][0]["p_holm"]
    assert values["methods", "dcec", "seeds.7"] == ""
    assert values["settings", "", "metric"] == "acc"
    assert values["settings", "", "family"] == "all"
    assert values["data", "", "family"] == str(found["data"][0]["family"])
    # A column of p with failed or missing as chance stands where seeds failed.
    worst = f"{found['data'][0]['pairs'][0]['p_worst_holm']:.2g}"
    (line,) = [
        line for line in compare(capsys, *runs, form="text").splitlines() if "my_method%  +" in line
    ]
    assert worst in line.split()
    whole = compare(capsys, make(tmp_path / "c", "idec", GOOD), runs[1], form="text")
    assert "failed or missing as chance" not in whole


def test_names_and_reasons_stay_in_their_line():
    row = {"a": "x<script>", "b": "y", "verdict": "x|\ny"}
    found = tables.Table("a\ntitle", ["A"], [[row["a"]], [row["verdict"]]])
    assert tables._escaped("a note\n\\input{x}") == r"a note \textbackslash{}input\{x\}"
    assert [tables._plain(cell) for (cell,) in found.rows] == ["x&lt;script>", "x\\| y"]
    assert tables._range([4, 9, two_methods.MOST_SEEDS]) == "4 to 100000 or more"


def test_latex_escapes_each_special_once():
    assert tables._escaped(r"a\b_{x}^2~$5&#%<>") == (
        r"a\textbackslash{}b\_\{x\}\textasciicircum{}2\textasciitilde{}\$5\&\#\%$<$$>$"
    )
