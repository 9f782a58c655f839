"""A class for each family of methods, whose name is its method's; the rest is DeepClustering."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxclust.estimators.clustering import DeepClustering


class _OfOneMethod(DeepClustering):
    """``DeepClustering`` with a fixed method; its parameters mean the same."""

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        image_shape: tuple[int, ...] | None = None,
        random_state: int | np.random.RandomState | None = 0,
        n_init: int = 1,
        preset: str = "default",
        settings: Mapping[str, object] | None = None,
        scale: Literal["minmax", "standard"] | None = None,
        verbose: bool | int = False,
        max_seconds: float | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.image_shape = image_shape
        self.random_state = random_state
        self.n_init = n_init
        self.preset = preset
        self.settings = settings
        self.scale = scale
        self.verbose = verbose
        self.max_seconds = max_seconds


class KMeans(_OfOneMethod):
    """k-means on pixels or the columns of a table, with ``partial_fit`` for mini-batches.

    As everywhere here ``n_init`` is the number of seeds that vote; ``settings={"restarts": 20}``
    is the number of starts of which each seed keeps the best, scikit-learn's ``n_init``.
    """

    method = "kmeans"


class DEC(_OfOneMethod):
    """Deep Embedded Clustering (Xie, Girshick, Farhadi 2016)."""

    method = "dec"


class IDEC(_OfOneMethod):
    """Improved DEC, which keeps the reconstruction (Guo, Gao, Liu, Yin 2017)."""

    method = "idec"


class DCN(_OfOneMethod):
    """Deep Clustering Network (Yang et al. 2017)."""

    method = "dcn"


class DKM(_OfOneMethod):
    """Deep k-Means (Moradi Fard, Thonet, Gaussier 2020)."""

    method = "dkm"


class DCEC(_OfOneMethod):
    """Deep Convolutional Embedded Clustering of images (Guo, Liu, Zhu, Yin 2017)."""

    method = "dcec"


class JULE(_OfOneMethod):
    """Joint unsupervised learning of clusters and a network, of images (Yang et al. 2016)."""

    method = "jule"


class DBC(_OfOneMethod):
    """Discriminatively boosted clustering of images (Li et al. 2017)."""

    method = "dbc"


class CCNN(_OfOneMethod):
    """Clustering CNN of images (Hsu, Lin 2018), with ``partial_fit`` for batches of new images."""

    method = "ccnn"


class DCTL(_OfOneMethod):
    """Deep convolutional k-means by transform learning, of images (Goel et al. 2022)."""

    method = "dctl"


class SpectralClustering(_OfOneMethod):
    """k-means on eigenvectors of a graph of nearest neighbors (Ng, Jordan, Weiss 2001).

    ``settings={"scale": "local"}`` is self-tuning; ``DeepClustering("sc-ls")`` is for many rows.
    """

    method = "sc-njw"


class AgglomerativeClustering(_OfOneMethod):
    """Linkage on a graph of nearest neighbors (Zhang et al. 2012).

    ``settings={"linkage": "average"}`` is average linkage; "path" and "zeta" are there, too.
    """

    method = "ac-gdl"
