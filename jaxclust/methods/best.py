"""The best answer that the parts of this package give together, and two steps on the way to it.

``dec-da`` and ``dcec-da`` are DEC and DCEC on moved images, after Guo, Zhu, Liu, Yin: Deep Embedded
Clustering with Data Augmentation, ACML 2018. Their clusters start from graph degree linkage
(``ops.graph_start``) on the embedding of the pretrained autoencoder, and not from k-means.
``best`` is ``dec-da`` with the resets of Miklautz et al.: Breaking the Reclustering Barrier in
Centroid-based Deep Clustering, ICLR 2025. After each reset the graph makes the clusters anew. There
is no loss of reconstruction while it clusters, which saves the decoder's time.

Every setting that differs from the papers' was chosen on USPS and on scikit-learn's digits.
"""

from dataclasses import replace

from jaxclust.methods import dcec, pretraining
from jaxclust.methods.checks import changes
from jaxclust.networks.autoencoders import cae
from jaxclust.types import PRETRAINING, Method

_DEC = dcec.Config(
    reconstruction_weight=0.0,
    gamma=1.0,
    update_epochs=4.0,
    max_steps=2800,
    augment="affine",
    start="graph",
)
_PRETRAINING = pretraining.Config(epochs=100, least_steps=32, max_steps=5000, augment="affine")
_PAPER = {
    "start": "kmeans",
    "update_epochs": None,
    "max_steps": 20_000,
    **changes(_PRETRAINING, pretraining.Config(epochs=500, augment="affine"), PRETRAINING),
}
_QUICK = {"max_steps": 1400, "pretraining.epochs": 30}

_DEC_DA = Method(
    name="dec-da",
    about="DEC on moved images, with a convolutional autoencoder and a graph start (after DEC-DA)",
    reference="Guo, Zhu, Liu, Yin 2018",
    algorithm=dcec.ALGORITHM,
    network=cae,
    config=_DEC,
    pretrainer=pretraining.ALGORITHM,
    pretraining=_PRETRAINING,
    presets={"default": {}, "paper": _PAPER, "quick": _QUICK},
)

METHODS = (
    _DEC_DA.replace(
        name="best",
        about="the best of this package on gray images: DEC on moved images, clusters from a graph",
        reference="Guo, Zhu, Liu, Yin 2018; Miklautz et al. 2025",
        config=replace(_DEC, reset_epochs=20),
        # Resets need the epochs that "quick" saves.
        presets={"default": {}, "quick": _QUICK | {"reset_epochs": None}},
    ),
    _DEC_DA,
    _DEC_DA.replace(
        name="dcec-da",
        about="DCEC on moved images with a graph start (after DEC-DA)",
        config=replace(_DEC, reconstruction_weight=1.0),
        presets={
            "default": {},
            "paper": {"gamma": 0.1, **_PAPER},
            "quick": _QUICK,
        },
    ),
)
