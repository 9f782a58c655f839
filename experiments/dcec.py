"""DCEC's table 1 and figure 3 (Guo et al. 2017) on real images: ``python -m experiments.dcec --help``.

Each cell, a method on a data set for all its seeds, adds its rows to ``results/dcec.jsonl`` as it ends; cells whose
rows are there are skipped, and one that was stopped goes on from its checkpoint. Methods of one network share one
pretraining a seed, as in the paper.
"""

from pathlib import Path

from experiments import common

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "dcec.jsonl"
METHODS = ("kmeans", "sae-kmeans", "dec", "idec", "cae-kmeans", "dec-conv", "dcec")

# Seeds of each data set; its 54,800 steps of pretraining make the whole of MNIST a matter of hours a seed on a CPU.
SEEDS = {"digits": range(5), "usps": range(5), "mnist-test": range(5), "mnist": range(1)}

# Table 1: ACC and NMI of one run.
PAPER = {
    "usps": {
        "kmeans": (0.6682, 0.6266),
        "sae-kmeans": (0.6165, 0.5727),
        "dec": (0.6928, 0.7018),
        "idec": (0.7210, 0.7323),
        "cae-kmeans": (0.7415, 0.7330),
        "dec-conv": (0.7790, 0.8108),
        "dcec": (0.7900, 0.8257),
    },
    "mnist-test": {
        "kmeans": (0.5463, 0.5018),
        "sae-kmeans": (0.6681, 0.5959),
        "dec": (0.6994, 0.6769),
        "idec": (0.7145, 0.6940),
        "cae-kmeans": (0.7900, 0.7255),
        "dec-conv": (0.8483, 0.8262),
        "dcec": (0.8529, 0.8361),
    },
    "mnist": {
        "kmeans": (0.5424, 0.4852),
        "sae-kmeans": (0.7817, 0.7146),
        "dec": (0.8408, 0.8128),
        "idec": (0.8421, 0.8381),
        "cae-kmeans": (0.8490, 0.7927),
        "dec-conv": (0.8863, 0.8759),
        "dcec": (0.8897, 0.8849),
    },
}


def tables() -> str:
    """Table 1 from the rows."""
    return common.table(common.rows(RESULTS), tuple(SEEDS), METHODS, PAPER)


def main() -> None:
    """Runs the cells asked for, then prints the table."""
    parser = common.parser(
        "DCEC's table 1; prints the table of the rows at the end.", SEEDS, METHODS, "runs/dcec"
    )
    parser.add_argument(
        "--figure", help="only draw figure 3 of this data set, from the checkpoints in the folder"
    )
    options = parser.parse_args()
    if options.figure:
        from experiments import embeddings

        cells = ("cae-kmeans", "dec-conv", "dcec")
        path = HERE / "figures" / "dcec" / f"{options.figure}.png"
        embeddings.draw(path, options.figure, cells, SEEDS[options.figure], options.folder)
        return
    if not options.table:
        common.run_cells(RESULTS, SEEDS, options)
    print(tables())


if __name__ == "__main__":
    common.command(main)
