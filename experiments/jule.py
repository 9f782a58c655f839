"""JULE's tables 3 to 6 and figure 1 (Yang, Parikh, Batra 2016) on real images: ``python -m experiments.jule --help``.

    python -m experiments.jule                              JULE, and table 3's other rows: pixels of unit length
    python -m experiments.jule --variants code,gamma-1      the same with other settings, see jule_settings.py
    python -m experiments.jule --features                   table 4: the other rows on JULE's features
    python -m experiments.jule --transfer                   tables 5 and 6
    python -m experiments.jule --figure mnist-test          figure 1 (trains one seed once more)
    python -m experiments.jule --table                      only print the tables

Each cell adds its rows to ``results/jule.jsonl`` as it ends; one whose rows are there is skipped, and JULE goes on from
its checkpoint where it was stopped. Tables 4 to 6 read JULE's checkpoints, and with figure 1 take
``--variants`` too. COIL-100 is at 32x32 here, at 128x128 in the paper.
"""

import argparse
import sys
import time
from pathlib import Path

from experiments import common, jule_features
from experiments.jule_settings import LAYERS, OTHERS, RESULTS, SEEDS, VARIANTS, settings
from jaxclust.methods.registry import METHODS
from jaxclust.runs import repeat
from jaxclust.runs.settings import make_settings

TITLES = (*OTHERS, "jule-sf", "jule-rc")


def _titled(
    titles: tuple[str, ...], published: dict[str, tuple[float | None, ...]]
) -> common.Paper:
    return {
        data: {name: (value,) for name, value in zip(titles, values, strict=True)}
        for data, values in published.items()
    }


RUNS = 3
"""Behind each of the paper's numbers (section 4.1.3)."""

# NMI(sqrt), in the order of the titles: tables 3 and 4.
PAPER = _titled(
    TITLES,
    {
        "coil20": (0.775, 0.512, 0.954, 0.945, 0.950, 1.000, 1.000),
        "coil100-32": (0.822, 0.711, 0.963, 0.954, 0.964, 0.978, 0.985),
        "usps-11000": (0.447, 0.579, 0.774, 0.854, 0.840, 0.858, 0.913),
        "mnist-test": (0.528, 0.662, 0.810, 0.864, 0.853, 0.876, 0.915),
        "mnist": (0.500, 0.686, 0.017, 0.017, 0.017, 0.906, 0.913),
    },
)
PAPER_FEATURES = _titled(
    OTHERS,
    {
        "coil20": (0.926, 0.896, 1.000, 1.000, 1.000),
        "coil100-32": (0.919, 0.884, 0.989, 0.985, 0.990),
        "usps-11000": (0.758, 0.783, 0.910, 0.913, 0.914),
        "mnist-test": (0.908, 0.901, 0.893, 0.915, 0.909),
        "mnist": (0.927, 0.918, 0.919, 0.913, 0.907),
    },
)
PAPER_TRANSFERS = _titled(
    LAYERS,
    {
        "transfer coil20-32 to coil100-32": (0.924, 0.927, 0.939, 0.934),
        "transfer coil100-32 to coil20-32": (0.944, 0.949, 0.957, 0.951),
        "transfer mnist-test to usps-11000": (0.874, 0.892, 0.907, 0.908),
        "transfer usps-11000 to mnist-test": (0.872, 0.873, 0.886, None),
    },
)


def run_jule(data: str, variant: str, options: argparse.Namespace, deadline: float) -> bool:
    """JULE on a data set for all its seeds; False if time ran out."""
    dataset, config = settings(data, variant)
    wanted = make_settings("jule", variant, dataset, tuple(SEEDS[data]), options.over, config, None)
    key = {"data": data, "preset": variant}
    places = (options.folder / data / variant, None)
    return common.run_cell(
        RESULTS, wanted, dataset, METHODS["jule"], config, None, places, deadline, key
    )[0]


def tables() -> str:
    """All of them, from the rows."""
    # "preset" names the variant for JULE, and for other methods what they cluster.
    present = common.rows(RESULTS)
    text = []
    rows = [row for row in present if row["preset"] in ("pixels", "paper")]
    text += [
        "Table 3: NMI(sqrt), on pixels of unit length; COIL-100 is at 32x32, the paper's at 128x128"
    ]
    text += [common.table(rows, tuple(SEEDS), TITLES, PAPER, ("nmi_sqrt",), RUNS), ""]
    for inputs in sorted(
        {row["preset"] for row in present if row["preset"].startswith("features")}
    ):
        rows = [row for row in present if row["preset"] == inputs]
        text += [f"Table 4: NMI(sqrt), on JULE's {inputs}"]
        text += [common.table(rows, tuple(SEEDS), OTHERS, PAPER_FEATURES, ("nmi_sqrt",), RUNS), ""]
    variants = sorted(
        {row["preset"] for row in present if row["method"].startswith("jule-")} - {"paper"}
    )
    for variant in variants:
        rows = [row for row in present if row["preset"] == variant]
        typed = [
            word
            for name, value in VARIANTS[variant].items()
            for word in repeat.flag_words(name, value)
        ]
        text += [f"JULE, {variant}: {' '.join(typed)}"]
        text += [
            common.table(rows, tuple(SEEDS), ["jule-sf", "jule-rc"], PAPER, ("nmi_sqrt",), RUNS),
            "",
        ]
    text += [
        "Tables 5 and 6: NMI(sqrt), graph degree linkage with criterion (7) on a network trained elsewhere"
    ]
    rows = [
        row | {"data": row["preset"]} for row in present if row["preset"].startswith("transfer")
    ]
    pairs = list(dict.fromkeys(row["preset"] for row in rows))
    published = {pair: PAPER_TRANSFERS.get(pair.split(", ")[0], {}) for pair in pairs}
    text += [common.table(rows, pairs, LAYERS, published, ("nmi_sqrt",), RUNS)]
    return "\n".join(text)


def main() -> None:
    """Runs what is asked for, then prints the tables."""
    parser = common.parser("JULE's tables and figure 1.", SEEDS, (*OTHERS, "jule"), "runs/jule")
    parser.add_argument(
        "--variants", default="paper", help="JULE's settings, by comma (default: %(default)s)"
    )
    parser.add_argument("--features", action="store_true", help="table 4, from JULE's checkpoints")
    parser.add_argument(
        "--transfer", action="store_true", help="tables 5 and 6, from JULE's checkpoints"
    )
    parser.add_argument("--figure", help="only draw figure 1, of this data set")
    options = parser.parse_args()
    names = common.listed("data", options.data, SEEDS)
    methods = common.listed("methods", options.methods, (*OTHERS, "jule"))
    variants = common.listed("variants", options.variants, VARIANTS)
    if options.features and methods == ["jule"]:
        raise ValueError(f"methods: must be of {', '.join(OTHERS)}, for features, got 'jule'")
    common.use_cores(options.over)
    if options.figure:
        for variant in variants:
            name = jule_features.preset(options.figure, variant).replace(", ", "-")
            jule_features.figure(
                Path(__file__).parent / "figures" / "jule" / f"{name}.png", options.figure, variant
            )
        return
    deadline = time.monotonic() + options.max_seconds
    others = [name for name in methods if name != "jule"]
    if options.table:
        ready = True
    elif options.features:
        ready = all(
            jule_features.run(names, others, options.folder, variant, deadline)
            for variant in variants
        )
    elif options.transfer:
        ready = all(
            jule_features.transfer(names, options.folder, variant, deadline) for variant in variants
        )
    else:
        wanted = [(data, variant) for data in names for variant in variants if "jule" in methods]
        ready = jule_features.run(names, others, None, "paper", deadline)
        ready = ready and all(
            run_jule(data, variant, options, deadline) for data, variant in wanted
        )
    if not ready:
        print("out of time; the same command goes on", file=sys.stderr)
    print(tables())


if __name__ == "__main__":
    common.command(main)
