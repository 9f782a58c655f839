"""CCNN's baselines I to III, which are other settings of CCNN, and CCNN on other networks."""

import dataclasses
from collections.abc import Mapping

from jaxclust import networks
from jaxclust.methods import ccnn, checks, pretraining
from jaxclust.methods.ccnn import Config
from jaxclust.types import PRETRAINING, Method

(_CCNN,) = ccnn.METHODS
_PRETRAINING_OF_THE_PAPER = checks.changes(
    ccnn.PRETRAINING_DEFAULT, pretraining.Config(epochs=30), PRETRAINING
)
_ONE_DEFAULT = dataclasses.replace(ccnn.DEFAULT, compensation="none")


def _baseline(
    random: Mapping[str, int], quick: Mapping[str, int]
) -> Mapping[str, Mapping[str, object]]:
    """Presets of a baseline whose own settings are the paper's.

    Args:
      random: what the preset of random weights changes.
      quick: what the quick one does, beside its pretraining.
    """
    return {
        "default": {},
        "paper": _PRETRAINING_OF_THE_PAPER,
        "quick": {"pretraining.epochs": 20, **quick},
        "random": {**_PRETRAINING_OF_THE_PAPER, **random},
    }


# The paper's number of epochs is for pretrained weights, which come from a file here.
_ALEXNET = Method(
    name="ccnn-alexnet",
    about="CCNN on AlexNet, for images of 63 pixels or more",
    reference="Hsu, Lin 2018",
    algorithm=ccnn.ALGORITHM,
    network=networks.ccnn_alexnet,
    config=Config(),
    presets={"default": {}, "paper": {}, "quick": {"epochs": 5}, "random": {"epochs": 30}},
    needs_weights=True,
)

METHODS = (
    _CCNN.replace(
        name="ccnn-i",
        about="CCNN without drift compensation, its Baseline I",
        config=_ONE_DEFAULT,
    ),
    _CCNN.replace(
        name="ccnn-ii",
        kind="features",
        about="mini-batch k-means on CCNN's first features, its Baseline II",
        config=Config(trainable="nothing", reliable=50),
        presets=_baseline({"epochs": 30, "pretraining.epochs": 0}, {"epochs": 5}),
    ),
    _CCNN.replace(
        name="ccnn-iii",
        kind="features",
        about="k-means on CCNN's first features, its Baseline III",
        config=Config(trainable="nothing", start="kmeans", epochs=0),
        presets=_baseline({"pretraining.epochs": 0}, {}),
    ),
    _CCNN.replace(
        name="ccnn-norm",
        about="CCNN with batch normalization",
        network=networks.ccnn_norm,
    ),
    _ALEXNET,
    _ALEXNET.replace(
        name="ccnn-alexnet-plain",
        about="CCNN on AlexNet without adaptation layers",
        network=networks.ccnn_alexnet_plain,
        config=Config(fc9="glorot"),
    ),
    _ALEXNET.replace(
        name="ccnn-resnet18",
        about="CCNN on ResNet-18, for images of 32 pixels or more",
        network=networks.ccnn_resnet18,
    ),
    _ALEXNET.replace(
        name="ccnn-squeezenet",
        about="CCNN on SqueezeNet, whose ImageNet weights are a package",
        network=networks.ccnn_squeezenet,
    ),
    _ALEXNET.replace(
        name="ccnn-lite0",
        about="CCNN on EfficientNet-Lite0, whose ImageNet weights are a package",
        network=networks.ccnn_lite0,
    ),
)
