"""The table: what a reader sees of finished and of failed seeds."""

from jaxclust.report import terminal


def row(seed, acc, method="dcec", failed=None):
    scores = {"acc": acc, "nmi": acc, "ari": acc}
    return {
        "method": method,
        "seed": seed,
        **scores,
        "seconds": 2.0,
        "compile_seconds": 3.0,
        "failed": failed,
        "failed_phase": None if failed is None else "cluster",
    }


def test_mean_sd_and_interval():
    text = terminal.table([[row(0, 0.5), row(1, 0.7)]])
    lines = {line[:10].strip(): line.split() for line in text.splitlines()}
    assert lines["mean"][1] == "0.6000"
    assert lines["sd"][1] == "0.1414"
    # 0.6 -+ t(0.975, 1) * 0.1414 / sqrt(2), t = 12.706
    assert lines["95 % low"][3] == "-0.6706"
    assert lines["95 % high"][3] == "1.8706"


def test_methods_stand_side_by_side():
    text = terminal.table(
        [[row(0, 0.5), row(1, 0.7)], [row(0, 0.1, "kmeans"), row(1, 0.2, "kmeans")]]
    )
    first = next(line for line in text.splitlines() if line.startswith("seed 0"))
    assert first.split()[2:] == [
        "0.5000",
        "0.5000",
        "0.5000",
        "2.0",
        "3.0",
        "0.1000",
        "0.1000",
        "0.1000",
        "2.0",
        "3.0",
    ]
    assert text.splitlines()[0].split() == ["dcec", "kmeans"]


def test_a_clock_of_the_whole_run_has_no_spread():
    lines = terminal.table([[row(0, 0.5), row(1, 0.7)]]).splitlines()
    assert next(line for line in lines if line.startswith("sd")).split()[-2:] == ["-", "-"]
    assert next(line for line in lines if line.startswith("mean")).split()[-2:] == ["2.0", "3.0"]


def test_one_seed_has_no_interval():
    lines = terminal.table([[row(0, 0.5)]]).splitlines()
    assert next(line for line in lines if line.startswith("sd")).split()[1] == "-"


def test_failed_seeds_are_named():
    text = terminal.table([[row(0, 0.5), row(1, None, failed=17)]])
    assert "dcec: failed with NaN or inf, not in the mean: seed 1 (cluster step 17)" in text
    assert next(line for line in text.splitlines() if line.startswith("seed 1")).split()[2] == "-"
