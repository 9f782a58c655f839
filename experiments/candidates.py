"""The candidates for the default settings of each method: changes of its printed settings."""

from collections.abc import Mapping
from typing import Any

_TORCH = {
    "negatives": "random",
    "margin": 0.2,
    "gamma": 1.0,
    "local_above": 100,
    "restart_rate": False,
}
_CAFFE = {
    "negatives": "random",
    "n_random": 10,
    "margin": 0.1,
    "hinge": "plain",
    "restart_rate": False,
    "learning_rate": 0.005,
    "weight_decay": 1e-4,
}
_ADAM = {"optimizer": "adam", "learning_rate": 1e-3}
_PRETRAINED_BY_ADAM = {
    "pretraining.optimizer": "adam",
    "pretraining.learning_rate": 1e-3,
    "pretraining.reconstruction": "mean",
}
_EVERY_4 = {"update_epochs": 4.0}
_SGD_AFTER_ADAM = {
    f"SGD, {epochs} epochs of Adam, target every 4": _PRETRAINED_BY_ADAM
    | _EVERY_4
    | {"pretraining.epochs": epochs}
    for epochs in (100, 200)
}
_LAYERS_BY_ADAM = {
    "pretraining.optimizer": "adam",
    "pretraining.learning_rate": 1e-3,
    "pretraining.together_rate": 1.0,
}
_SLOW = {"learning_rate": 1e-3}
_BALANCED = {"select": "balanced"}
_FROM_KMEANS = {"start": "kmeans"}
_ALL = {"trainable": "all"}

CANDIDATES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "jule": {
        "printed": {},
        "caffe": _CAFFE,
        "caffe, 10 epochs": _CAFFE | {"epochs": 10},
        "caffe, dampened": _CAFFE | {"dampening": 0.9},
        "caffe, gamma 1": _CAFFE | {"gamma": 1.0},
        "torch": _TORCH,
        "torch, 10 epochs": _TORCH | {"epochs": 10},
        "torch, dampened": _TORCH | {"dampening": 0.9},
        "torch, dampened, 10 epochs": _TORCH | {"dampening": 0.9, "epochs": 10},
        "torch, gamma 2": _TORCH | {"gamma": 2.0},
    },
    "sae-kmeans": {
        f"Adam, {epochs} epochs": _PRETRAINED_BY_ADAM | {"pretraining.epochs": epochs}
        for epochs in (25, 50, 100, 200)
    },
    "dec": {
        "Adam, 50 epochs": _PRETRAINED_BY_ADAM | {"pretraining.epochs": 50} | _ADAM,
        "Adam at 1e-4, 50 epochs": _PRETRAINED_BY_ADAM
        | {"pretraining.epochs": 50, "optimizer": "adam", "learning_rate": 1e-4},
        "SGD, 50 epochs of Adam": _PRETRAINED_BY_ADAM | {"pretraining.epochs": 50},
        **_SGD_AFTER_ADAM,
    },
    "idec": {
        **_SGD_AFTER_ADAM,
        "Adam at 1e-4, 100 epochs, target every 4": _PRETRAINED_BY_ADAM
        | _EVERY_4
        | {"pretraining.epochs": 100, "optimizer": "adam", "learning_rate": 1e-4},
    },
    "dcec": {
        f"{epochs} epochs, target every 4": {"pretraining.epochs": epochs, "update_epochs": 4.0}
        for epochs in (25, 50, 100, 200)
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
    },
    "ccnn-iii": {"printed": {}, "100 epochs of pretraining": {"pretraining.epochs": 100}},
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
        "weight .01": {"clustering_weight": 0.01},
        "weight 10": {"clustering_weight": 10.0},
        "rate 1e-4": {"learning_rate": 1e-4},
        "rate 1e-4, weight .1": {"learning_rate": 1e-4, "clustering_weight": 0.1},
        "alpha 1": {"alpha": 1.0},
        "alpha .1": {"alpha": 0.1},
    },
    "dkm-annealed": {
        "printed": {},
        "weight .01": {"clustering_weight": 0.01},
        "20 epochs an alpha": {"epochs_per_alpha": 20},
        "from k-means": {"start": "kmeans"},
        "from k-means, weight 1": {"start": "kmeans", "clustering_weight": 1.0},
    },
    "dcn": {
        "Adam, 10 epochs a layer": _LAYERS_BY_ADAM | {"pretraining.epochs": 10} | _ADAM,
        "Adam at 1e-4, 10 epochs a layer": _LAYERS_BY_ADAM
        | {"pretraining.epochs": 10, "optimizer": "adam", "learning_rate": 1e-4},
        "Adam at 1e-4, 10 epochs a layer, weight .1": _LAYERS_BY_ADAM
        | {
            "pretraining.epochs": 10,
            "optimizer": "adam",
            "learning_rate": 1e-4,
            "clustering_weight": 0.1,
        },
        "Adam at 1e-4, 25 epochs a layer": _LAYERS_BY_ADAM
        | {"pretraining.epochs": 25, "optimizer": "adam", "learning_rate": 1e-4},
    },
}
