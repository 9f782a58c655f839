"""The algorithms, and the methods people name: an algorithm with a network, its settings and its pretraining."""

import dataclasses
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from jaxclust.methods import (
    agglomerative,
    ccnn,
    dbc,
    dcec,
    dcn,
    dctl,
    dkm,
    jule,
    pretraining,
    pretraining_layerwise,
)
from jaxclust.networks import (
    cae,
    ccnn_alexnet,
    ccnn_alexnet_plain,
    ccnn_norm,
    ccnn_resnet18,
    fcae,
    pixels,
    sae,
    tied_sae,
)
from jaxclust.networks import ccnn as ccnn_network
from jaxclust.networks import dctl as dctl_network
from jaxclust.networks import jule as jule_network
from jaxclust.types_method import Method

ALGORITHMS: dict[str, ModuleType] = {
    "ccnn": ccnn,
    "dbc": dbc,
    "dcec": dcec,
    "dcn": dcn,
    "dctl": dctl,
    "dkm": dkm,
    "jule": jule,
    "linkage": agglomerative,
}


# Pretraining of the SAE: 400 epochs of SGD (section 4.2). The sum over pixels of eq. (4), because with the authors'
# mean this step size barely moves the weights: docs/deviations.md has both, measured.
_CAE = pretraining.Config()
_SAE = pretraining.Config(epochs=400, optimizer="sgd", learning_rate=0.01, reconstruction="sum")
_SAE_STEP = {"optimizer": "sgd", "learning_rate": 0.01}
# DBC's paper has "traditional error back-propagation" and neither rates nor epochs nor batch: docs/deviations.md.
_FCAE = pretraining.Config(epochs=50, optimizer="sgd", learning_rate=0.05, batch=100)
_QUICK_CAE = {"paper": {}, "quick": {"pretraining.epochs": 100}}
_QUICK_SAE = {"paper": {}, "quick": {"pretraining.epochs": 200}}
# Reconstruction stands where CCNN's paper has ImageNet; preset random leaves it out.
_CCNN = pretraining.Config(epochs=30)
_QUICK_CCNN = {
    "paper": {},
    "quick": {"pretraining.epochs": 10},
    "random": {"epochs": 30, "pretraining.epochs": 0},
}
# The paper's epochs are those from pretrained weights, which a file has to bring here.
_FROM_FILE = {"paper": {}, "quick": {}, "random": {"epochs": 30}}
_JULE_CODE = {
    "negatives": "random",
    "margin": 0.2,
    "gamma": 1.0,
    "local_above": 100,
    "restart_rate": False,
}
# Its loss is half of ours: half the rate, and twice the decay, are the same steps.
_JULE_CAFFE = {
    "negatives": "random",
    "n_random": 10,
    "margin": 0.1,
    "hinge": "plain",
    "restart_rate": False,
}
_JULE_CAFFE |= {"learning_rate": 0.005, "weight_decay": 1e-4}
_QUICK_FCAE = {"paper": {}, "quick": {"pretraining.epochs": 10}}
# DKM's code pretrains by Adam for 50 epochs on the sum over pixels; its AEKM is k-means after the same.
_DKM = pretraining.Config(epochs=50, reconstruction="sum")
_QUICK_DKM = {"paper": {}, "quick": {"pretraining.epochs": 10}}
_DKM_ANNEALED = {
    "annealing": True,
    "alpha": 0.1,
    "alphas": 40,
    "clustering_weight": 0.1,
    "start": "uniform",
}
_KMEANS = {"max_steps": 0}
_DEC = {"reconstruction_weight": 0.0, "gamma": 1.0}

METHODS: dict[str, Method] = {
    "kmeans": Method(
        "k-means on pixels", dcec, pixels, dcec.Config(**_KMEANS), None, {"paper": {}, "quick": {}}
    ),
    "sae-kmeans": Method(
        "k-means on a stacked autoencoder's features",
        dcec,
        sae,
        dcec.Config(**_KMEANS),
        _SAE,
        _QUICK_SAE,
    ),
    "dec": Method(
        "Deep Embedded Clustering (Xie et al. 2016)",
        dcec,
        sae,
        dcec.Config(**_DEC, **_SAE_STEP),
        _SAE,
        _QUICK_SAE,
    ),
    "idec": Method(
        "Improved DEC, with reconstruction (Guo et al. 2017)",
        dcec,
        sae,
        dcec.Config(**_SAE_STEP),
        _SAE,
        _QUICK_SAE,
    ),
    "cae-kmeans": Method(
        "k-means on a convolutional autoencoder's features",
        dcec,
        cae,
        dcec.Config(**_KMEANS),
        _CAE,
        _QUICK_CAE,
    ),
    "dec-conv": Method(
        "DEC on the convolutional autoencoder", dcec, cae, dcec.Config(**_DEC), _CAE, _QUICK_CAE
    ),
    "dcec": Method(
        "Deep Convolutional Embedded Clustering (Guo et al. 2017)",
        dcec,
        cae,
        dcec.Config(),
        _CAE,
        _QUICK_CAE,
    ),
    "fcae-kmeans": Method(
        "k-means on a fully convolutional autoencoder's features",
        dcec,
        fcae,
        dcec.Config(**_KMEANS),
        _FCAE,
        _QUICK_FCAE,
    ),
    "dbc": Method(
        "Discriminatively Boosted Clustering (Li et al. 2017)",
        dbc,
        fcae,
        dbc.Config(),
        _FCAE,
        _QUICK_FCAE,
    ),
    "ccnn": Method(
        "Clustering CNN, drift-compensated (Hsu and Lin 2018)",
        ccnn,
        ccnn_network,
        ccnn.Config(),
        _CCNN,
        _QUICK_CCNN,
    ),
    "ccnn-i": Method(
        "CCNN without drift compensation, its Baseline I",
        ccnn,
        ccnn_network,
        ccnn.Config(compensation="none"),
        _CCNN,
        _QUICK_CCNN,
    ),
    "ccnn-ii": Method(
        "mini-batch k-means on CCNN's first features, its Baseline II",
        ccnn,
        ccnn_network,
        ccnn.Config(trainable="nothing", reliable=50),
        _CCNN,
        _QUICK_CCNN,
    ),
    "ccnn-iii": Method(
        "k-means on CCNN's first features, its Baseline III",
        ccnn,
        ccnn_network,
        ccnn.Config(trainable="nothing", start="kmeans", epochs=0),
        _CCNN,
        {"paper": {}, "quick": {"pretraining.epochs": 10}, "random": {"pretraining.epochs": 0}},
    ),
    "ccnn-norm": Method(
        "CCNN with batch normalisation", ccnn, ccnn_norm, ccnn.Config(), _CCNN, _QUICK_CCNN
    ),
    "ccnn-alexnet": Method(
        "CCNN on AlexNet, for images of 63 pixels or more",
        ccnn,
        ccnn_alexnet,
        ccnn.Config(),
        None,
        _FROM_FILE,
    ),
    "ccnn-alexnet-plain": Method(
        "CCNN on AlexNet without adaptation layers",
        ccnn,
        ccnn_alexnet_plain,
        ccnn.Config(fc9="glorot"),
        None,
        _FROM_FILE,
    ),
    "ccnn-resnet18": Method(
        "CCNN on ResNet-18, for images of 32 pixels or more",
        ccnn,
        ccnn_resnet18,
        ccnn.Config(),
        None,
        _FROM_FILE,
    ),
    **{
        name: Method(
            about,
            agglomerative,
            pixels,
            agglomerative.Config(linkage=kind),
            None,
            {"paper": {}, "quick": {}},
        )
        for name, about, kind in (
            ("ac-link", "average linkage on pixels", "average"),
            ("ac-gdl", "graph degree linkage on pixels (Zhang et al. 2012)", "gdl"),
            ("ac-pic", "linkage by path integral on pixels (Zhang et al. 2013)", "path"),
            ("ac-zell", "linkage by zeta function on pixels (Zhao and Tang 2008)", "zeta"),
        )
    },
    "jule": Method(
        "Joint Unsupervised Learning (Yang et al. 2016)",
        jule,
        jule_network,
        jule.Config(),
        None,
        {"paper": {}, "quick": {"epochs": 5}, "code": _JULE_CODE, "caffe": _JULE_CAFFE},
    ),
    "dctl": Method(
        "Deep convolutional transform learning with k-means (Goel et al. 2022)",
        dctl,
        dctl_network,
        dctl.Config(),
        None,
        {"paper": {}, "quick": {}},
    ),
    "dcn": Method(
        "Deep Clustering Network (Yang et al. 2017)",
        dcn,
        tied_sae,
        dcn.Config(),
        pretraining_layerwise.Config(),
        {"paper": {}, "quick": {"pretraining.epochs": 25}},
    ),
    "dkm": Method(
        "Deep k-Means, pretrained (Fard et al. 2020)", dkm, sae, dkm.Config(), _DKM, _QUICK_DKM
    ),
    "dkm-annealed": Method(
        "Deep k-Means with annealing, not pretrained (Fard et al. 2020)",
        dkm,
        sae,
        dkm.Config(**_DKM_ANNEALED),
        None,
        {"paper": {}, "quick": {}},
    ),
    "aekm": Method(
        "k-means on the features of DKM's autoencoder",
        dcec,
        sae,
        dcec.Config(**_KMEANS, restarts=10),
        _DKM,
        _QUICK_DKM,
    ),
}
FROM_FILE = frozenset(name for name, method in METHODS.items() if method.presets is _FROM_FILE)
"""Methods whose pretrained weights a file has to bring, under every preset but "random"."""


def configured(
    name: str, preset: str = "paper", clusters: int | None = None
) -> tuple[Any, pretraining.Config | None]:
    """A method's settings under a preset.

    Args:
      name: of ``METHODS``.
      preset: "paper"; "quick": fewer epochs and nothing else; or another of the method's ``presets``.
      clusters: number of clusters; None keeps the paper's.

    Raises:
      ValueError: an unknown method or preset, or a number of clusters below 2.
    """
    if name not in METHODS:
        raise ValueError(f"method: must be one of {', '.join(METHODS)}, got {name!r}")
    method = METHODS[name]
    if preset not in method.presets:
        raise ValueError(f"preset: must be one of {', '.join(method.presets)}, got {preset!r}")
    found = changed(method.config, method.pretraining, method.presets[preset])
    return (
        found if clusters is None else (dataclasses.replace(found[0], clusters=clusters), found[1])
    )


def changed(
    config: Any, pretraining: pretraining.Config | None, changes: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Settings, and those of the pretraining, with the fields "name" or "pretraining.name" of ``changes`` replaced."""
    prefix = "pretraining."
    ours = {name: value for name, value in changes.items() if not name.startswith(prefix)}
    theirs = {
        name.removeprefix(prefix): value
        for name, value in changes.items()
        if name.startswith(prefix)
    }
    pretraining = None if pretraining is None else dataclasses.replace(pretraining, **theirs)
    return dataclasses.replace(config, **ours), pretraining
