"""The cells of DCEC's table 1: methods, data sets and their seeds."""

from experiments.rows import RESULTS as FOLDER

RESULTS = FOLDER / "dcec.jsonl"
METHODS = ("kmeans", "sec", "sae-kmeans", "dec", "idec", "cae-kmeans", "dec-conv", "dcec")
# All of MNIST takes 54,800 steps of pretraining, which is hours a seed on a CPU.
SEEDS = {"digits": range(5), "usps": range(5), "mnist-test": range(5), "mnist": range(1)}
