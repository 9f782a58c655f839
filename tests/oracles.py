"""Answers of other packages on random tables, which ``python tests/oracles.py`` makes.

These packages need pandas and seaborn, which is too much for each test run, so that their answers
are kept in oracles.json:
``pip install statsmodels==0.15.0 scikit-posthocs==0.17.1 autorank==1.3.0 arch absl-py
baycomp==1.0.3``, and ``pip install --no-deps rliable==1.2.0``.
"""

import itertools
import json
import warnings
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("oracles.json")
SIZES = (2, 3, 5, 8, 13, 40, 100)
"""Numbers of seeds."""
ANSWERS = json.loads(PATH.read_text()) if PATH.exists() else {}
"""The kept answers."""


def drawn_scores(seed: int, n: int, center: float = 0.8, digits: int = 12) -> np.ndarray:
    """n scores; two digits make ties."""
    return np.round(np.random.default_rng([seed, n]).normal(center, 0.05, n), digits)


def scores(rng: np.random.Generator, n: int, center: float, digits: int) -> list[float]:
    """n scores in [0, 1]; few digits make ties."""
    return np.round(np.clip(rng.normal(center, 0.05, n), 0, 1), digits).tolist()


def main() -> None:
    """Writes the file."""
    import pandas as pd
    import scikit_posthocs
    from autorank import autorank
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.nonparametric import rank_compare_2indep
    from statsmodels.stats.power import TTestIndPower, TTestPower

    rng = np.random.default_rng(8)
    answers: dict[str, list] = {"holm": [], "superiority": [], "power": [], "nemenyi": []}
    for n, digits in itertools.product((1, *SIZES), (1, 3, 12)):
        p = np.round(rng.uniform(size=n) ** 2, digits).tolist()
        answers["holm"].append({"p": p, "corrected": multipletests(p, method="holm")[1].tolist()})
    for (n, m), digits in itertools.product(itertools.product(SIZES, SIZES), (1, 2)):
        a, b = scores(rng, n, 0.8, digits), scores(rng, m, 0.78, digits)
        if np.ptp(a) == 0 or np.ptp(b) == 0 or max(a) < min(b) or max(b) < min(a):
            continue  # No variance in their formula.
        result = rank_compare_2indep(np.array(a), np.array(b))
        if not result.var > 0:
            continue
        low, high = result.conf_int(alpha=0.05)
        answers["superiority"].append({"a": a, "b": b, "expected": [result.prob1, low, high]})
    for effect, power, alpha in itertools.product((0.3, 0.8, 1.5, 3.0), (0.8, 0.9), (0.05, 0.005)):
        for paired, solver in ((True, TTestPower()), (False, TTestIndPower())):
            n = solver.solve_power(
                effect_size=effect, power=power, alpha=alpha, alternative="two-sided"
            )
            row = {
                "effect": effect,
                "power": power,
                "alpha": alpha,
                "paired": paired,
                "n": float(np.ravel(n)[0]),
            }
            answers["power"].append(row)
    for (n, k), digits in itertools.product(((8, 2), (8, 3), (10, 5), (30, 4), (100, 10)), (1, 3)):
        table = np.array([scores(rng, k, 0.7, digits) for _ in range(n)]) + np.round(
            np.arange(k) / 50, digits
        )
        p = scikit_posthocs.posthoc_nemenyi_friedman(table).to_numpy()
        frame = pd.DataFrame(table, columns=[f"m{i}" for i in range(k)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ranked = (
                autorank(frame, approach="frequentist", force_mode="nonparametric")
                if k > 2
                else None
            )
        answers["nemenyi"].append(
            {
                "scores": table.tolist(),
                "p": p.tolist(),
                "cd": None if ranked is None else ranked.cd,
                "ranks": None
                if ranked is None
                else ranked.rankdf["meanrank"].sort_index().tolist(),
            }
        )
    answers |= {"equality": equality(rng), "rliable": centers(rng), "cliques": cliques(rng)}
    PATH.write_text(json.dumps(answers) + "\n")


def equality(rng: np.random.Generator) -> list[dict]:
    """p of two one-sided t tests by statsmodels, and probabilities of a margin by baycomp."""
    from statsmodels.stats.weightstats import ttost_ind, ttost_paired

    kept = []
    for (n, m), margin in itertools.product(((2, 3), (5, 5), (10, 7), (40, 40)), (0.01, 0.05)):
        a = np.array(scores(rng, n, 0.8, 12))
        near = a + rng.normal(0.004, 0.01, n)
        other = np.array(scores(rng, m, 0.79, 12))
        kept.append(
            {
                "a": a.tolist(),
                "near": near.tolist(),
                "other": other.tolist(),
                "margin": margin,
                "paired": float(ttost_paired(a, near, -margin, margin)[0]),
                "unpaired": float(ttost_ind(a, other, -margin, margin, usevar="unequal")[0]),
                "rope": rope(a, near, margin),
            }
        )
    return kept


def rope(a: np.ndarray, b: np.ndarray, margin: float) -> list[float]:
    """Probabilities by baycomp that b is below a by more than the margin, within it, and above.

    Its own formula of the variance is for overlapping folds; seeds do not overlap.
    """
    from baycomp.single import Posterior

    variance = np.var(b - a, ddof=1) / a.size
    posterior = Posterior(np.mean(b - a), variance, a.size - 1, margin, np.mean(a), np.mean(b))
    return [float(probability) for probability in posterior.probs()]


def centers(rng: np.random.Generator) -> list[dict]:
    """Aggregates and a performance profile by rliable."""
    from rliable import library, metrics

    kept = []
    for runs, sets in ((5, 2), (10, 3), (7, 9)):
        table = np.clip(rng.normal(rng.uniform(0.4, 0.9, sets), 0.06, (runs, sets)), 0, 1)

        levels = np.linspace(0.3, 0.9, 7)
        names = ("mean", "median", "iqm")
        kept.append(
            {
                "scores": table.tolist(),
                "centers": [float(getattr(metrics, f"aggregate_{name}")(table)) for name in names],
                "levels": levels.tolist(),
                "profile": library.score_distributions(table, levels).tolist(),
            }
        )
    return kept


def cliques(rng: np.random.Generator) -> list[dict]:
    """The bars of scikit-posthocs's critical-difference diagram."""
    import matplotlib
    import pandas as pd
    import scikit_posthocs

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kept = []
    for n, k in ((8, 3), (10, 6), (20, 8)):
        table = rng.normal(0.7 + np.arange(k) / 25, 0.08, (n, k))
        p = scikit_posthocs.posthoc_nemenyi_friedman(table)
        ranks = pd.DataFrame(-table).rank(axis=1).mean()
        drawn = scikit_posthocs.critical_difference_diagram(ranks, p)
        bars = []
        for bar in drawn["crossbars"]:
            ends = np.concatenate([np.atleast_1d(line.get_xdata()) for line in bar])
            bars.append([float(ends.min()), float(ends.max())])
        pyplot.close("all")
        kept.append({"scores": table.tolist(), "ranks": ranks.tolist(), "bars": sorted(bars)})
    return kept


if __name__ == "__main__":
    main()
