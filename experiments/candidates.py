"""The candidates for the default settings of each method: changes of its printed settings."""

from collections.abc import Mapping
from typing import Any

from experiments.papers.jule import cells as jule

_TORCH = jule.changes("torch")
_CAFFE = jule.changes("paper")
_PRETRAINED_BY_ADAM = {
    "pretraining.optimizer": "adam",
    "pretraining.learning_rate": 1e-3,
    "pretraining.reconstruction": "mean",
}
_50_EPOCHS = _PRETRAINED_BY_ADAM | {"pretraining.epochs": 50}
_100_EPOCHS = _PRETRAINED_BY_ADAM | {"pretraining.epochs": 100}
_AT_1E_3 = {"optimizer": "adam", "learning_rate": 1e-3}
_AT_1E_4 = {"optimizer": "adam", "learning_rate": 1e-4}
_EVERY_4 = {"update_epochs": 4.0}
_LAYERS_BY_ADAM = {
    "pretraining.optimizer": "adam",
    "pretraining.learning_rate": 1e-3,
    "pretraining.together_rate": 1.0,
    "pretraining.epochs": 10,
}
_32_STEPS = {"pretraining.least_steps": 32}
_SLOW = {"learning_rate": 1e-3}
_BALANCED = {"select": "balanced"}
_FROM_KMEANS = {"start": "kmeans"}
_ALL = {"trainable": "all"}
_LONG = {"pretraining.epochs": 100}
_COUNTED = {"start_count": 100}

CANDIDATES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "jule": {
        "printed": {},
        "caffe": _CAFFE,
        "torch, 10 epochs": {**_TORCH, "epochs": 10},
        "caffe, 10 epochs": {**_CAFFE, "epochs": 10},
        "torch": _TORCH,
        "torch, dampened": {**_TORCH, "dampening": 0.9},
        "torch, dampened, 10 epochs": {**_TORCH, "dampening": 0.9, "epochs": 10},
        "torch, gamma 2": {**_TORCH, "gamma": 2.0},
        "caffe, gamma 1": {**_CAFFE, "gamma": 1.0},
        "caffe, dampened": {**_CAFFE, "dampening": 0.9},
    },
    "sae-kmeans": {
        f"Adam, {epochs} epochs": _PRETRAINED_BY_ADAM | {"pretraining.epochs": epochs}
        for epochs in (25, 50, 100)
    },
    "dec": {
        "Adam, 50 epochs": _50_EPOCHS | _AT_1E_3,
        "Adam at 1e-4, 50 epochs": _50_EPOCHS | _AT_1E_4,
        "SGD, 50 epochs of Adam": _50_EPOCHS,
        "SGD, 100 epochs of Adam, target every 4": _100_EPOCHS | _EVERY_4,
        "SGD, 100 epochs of Adam of 32 steps, target every 4": _100_EPOCHS | _EVERY_4 | _32_STEPS,
    },
    "idec": {"SGD, 100 epochs of Adam, target every 4": _100_EPOCHS | _EVERY_4},
    "dcec": {
        f"{epochs} epochs, target every 4": {"pretraining.epochs": epochs} | _EVERY_4
        for epochs in (50, 100, 200)
    }
    | {
        "100 epochs of 32 steps, target every 4": _32_STEPS
        | _EVERY_4
        | {"pretraining.epochs": 100},
        "200 epochs of 32 steps, target every 4": _32_STEPS | _EVERY_4,
    },
    "ccnn": {
        "printed": {},
        "rate .001": _SLOW,
        "rate .001, balanced": _SLOW | _BALANCED,
        "rate .001, balanced, from k-means": _SLOW | _BALANCED | _FROM_KMEANS,
        "rate .0001, balanced, from k-means": _BALANCED | _FROM_KMEANS | {"learning_rate": 1e-4},
        "all layers, rate .001, balanced, from k-means": _SLOW | _BALANCED | _FROM_KMEANS | _ALL,
        "all layers, rate .0001, balanced, from k-means": _BALANCED
        | _FROM_KMEANS
        | _ALL
        | {"learning_rate": 1e-4},
        "all layers, rate .01, balanced, from k-means": _BALANCED | _FROM_KMEANS | _ALL,
        "100 epochs, rate .001, balanced, from k-means, count 100": _LONG
        | _SLOW
        | _BALANCED
        | _FROM_KMEANS
        | _COUNTED,
        "100 epochs, all layers, rate .001, balanced, from k-means, count 100": _LONG
        | _SLOW
        | _BALANCED
        | _FROM_KMEANS
        | _COUNTED
        | _ALL,
        "100 epochs, all layers, rate .01, balanced, from k-means, count 100": _LONG
        | _BALANCED
        | _FROM_KMEANS
        | _COUNTED
        | _ALL,
        **{
            f"100 epochs of 32 steps, {name}, from a sample, count {count}": _LONG
            | _32_STEPS
            | _BALANCED
            | {"start": "sample", "sample": 2000, "start_count": count}
            | changes
            for name, changes in (("rate .001", _SLOW), ("rate .01", {}))
            for count in (10, 100)
        },
    },
    "ccnn-iii": {
        "printed": {},
        "100 epochs of pretraining": _LONG,
        "100 epochs of 32 steps": _LONG | _32_STEPS,
    },
    "dctl": {
        f"{layers} layers, {filters} filters of {kernel}": {
            "layers": layers,
            "filters": filters,
            "kernel": kernel,
        }
        for layers in (1, 2)
        for filters in (3, 8, 16)
        for kernel in (3, 5, 7)
        # More filters than entries cannot be orthogonal, and are refused.
        if filters <= kernel**2
    },
    "dkm": {
        "printed": {},
        "weight .1": {"clustering_weight": 0.1},
        "pretraining of 32 steps": _32_STEPS,
        "pretraining of 32 steps, weight .01": _32_STEPS | {"clustering_weight": 0.01},
    },
    "dkm-annealed": {
        "printed": {},
        "32 steps": {"least_steps": 32},
    },
    "dcn": {
        "Adam at 1e-4, 10 epochs a layer": _LAYERS_BY_ADAM | _AT_1E_4,
        "Adam at 1e-4, 10 epochs a layer, weight .1": _LAYERS_BY_ADAM
        | _AT_1E_4
        | {"clustering_weight": 0.1},
        "Adam at 1e-4, 10 epochs of 32 steps a layer": _LAYERS_BY_ADAM | _AT_1E_4 | _32_STEPS,
        "Adam at 1e-4, 10 epochs of 32 steps a layer, all of 32 steps": _LAYERS_BY_ADAM
        | _AT_1E_4
        | _32_STEPS
        | {"least_steps": 32},
    },
}
