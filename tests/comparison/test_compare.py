"""``jaxclust compare``: which tests it makes, and what it claims."""

import numpy as np
import pytest

from jaxclust.evaluation import stats
from jaxclust.evaluation.stats import power, two_methods
from run_folders import BAD, GOOD, compare, error, make


def test_two_methods_on_shared_seeds(tmp_path, capsys):
    result = compare(capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD))
    (data,) = result["data"]
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
    needed = power.seeds_needed(GOOD, BAD, 0.01, True)
    assert pair["seeds_needed"] == [max(6, n) for n in needed]
    assert needed.high > 6
    assert pair["verdict"] == "dcec beats idec"
    assert (result["metric"], data["family"], result["ranks"], result["notes"]) == (
        "acc",
        1,
        None,
        [],
    )


def test_seeds_that_are_not_shared_are_not_paired(tmp_path, capsys):
    other = {seed + 100: acc for seed, acc in enumerate(BAD)}
    result = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", other)
    )
    (pair,) = result["data"][0]["pairs"]
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
    result = compare(capsys, *runs, "--baseline", "c")
    assert result["data"][0]["family"] == 2
    assert [(pair["a"], pair["b"]) for pair in result["data"][0]["pairs"]] == [
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
    result = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD[:5]), make(tmp_path / "b", "idec", BAD[:5])
    )
    (pair,) = result["data"][0]["pairs"]
    assert (pair["p"], pair["verdict"]) == (0.0625, "cannot be shown")
    assert "at least 6 shared seeds" in result["notes"][0]
    # Another test is not offered once the scores have been seen.
    assert "unpaired" not in result["notes"][0]


def test_seeds_are_paired_where_half_of_them_are_shared(tmp_path, capsys):
    for count, test in ((5, "paired permutation"), (4, "unpaired")):
        few = make(tmp_path / f"few-{count}", "idec", BAD[:count])
        result = compare(capsys, make(tmp_path / f"all-{count}", "dcec", [*GOOD, *GOOD][:10]), few)
        assert result["data"][0]["pairs"][0]["test"] == test


def test_comparisons_that_are_planned_are_corrected_for(tmp_path, capsys):
    runs = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD)
    (pair,) = compare(capsys, *runs)["data"][0]["pairs"]
    for planned, verdict in (
        (1, "dcec beats idec"),
        (6, "dcec beats idec"),
        (7, "cannot be shown"),
    ):
        result = compare(capsys, *runs, "--planned", planned)
        (mine,) = result["data"][0]["pairs"]
        assert mine["p"] == pair["p"] == 2 / 2**8
        assert mine["p_holm"] == planned * pair["p"]
        assert (result["data"][0]["family"], mine["verdict"]) == (planned, verdict)
    assert "planned: must be at least 0, got -1" in error(capsys, *runs, "--planned", -1)


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
    """Thirty methods have 435 pairs in a family, for which a t test needs fewer seeds."""
    runs = [
        make(tmp_path / f"m{i}", f"m{i}", [0.01 * i + 0.0001 * seed for seed in range(5)])
        for i in range(30)
    ]
    result = compare(capsys, *runs, "--test", test)
    pairs = result["data"][0]["pairs"]
    (hint,) = [note for note in result["notes"] if "in a family of 435 a difference needs" in note]
    least = int(hint.split("at least ")[1].split()[0])
    resamples = 43_499
    for n in (least, least - 1):
        small = power.smallest_p(
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


def test_the_seeds_that_two_methods_share_are_paired_and_the_rest_named(tmp_path, capsys):
    result = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD[:7])
    )
    (pair,) = result["data"][0]["pairs"]
    assert (pair["test"], pair["n"], pair["p"]) == ("paired permutation", [7, 7], 2 / 2**7)
    shared = "difference and test are of the 7 sound seeds that they share, of 8 and 7"
    assert f"dcec and idec on usps: {shared}" in result["notes"]


def test_a_few_shared_seeds_among_others_are_not_paired(tmp_path, capsys):
    other = {6: BAD[6], 7: BAD[7]} | {seed + 100: acc for seed, acc in enumerate(BAD[:6])}
    result = compare(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", other)
    )
    (pair,) = result["data"][0]["pairs"]
    assert (pair["test"], pair["n"], pair["verdict"]) == ("unpaired", [8, 8], "dcec beats idec")


def test_no_claim_against_the_means_of_all_seeds(tmp_path, capsys):
    """On the seeds that both have the second is better, on its own seeds far worse."""
    lost = dict(enumerate([acc - 0.02 for acc in GOOD]))
    others = dict(enumerate(GOOD)) | dict.fromkeys(range(8, 14), 0.1)
    result = compare(
        capsys, make(tmp_path / "a", "dcec", others), make(tmp_path / "b", "idec", lost)
    )
    (pair,) = result["data"][0]["pairs"]
    assert pair["difference"] == pytest.approx(0.02)
    assert pair["verdict"] == "not claimed: it hangs on seeds that only one has"
