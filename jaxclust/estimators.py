"""The methods as scikit-learn's clusterers: ``DeepClustering("dcec", n_clusters=10)``."""

from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.runs.failure import total_failure
from jaxclust.runs.fit import fit
from jaxclust.runs.run import Run
from jaxclust.types import Method


class DeepClustering(TransformerMixin, ClusterMixin, BaseEstimator):
    """A method of ``jaxclust methods`` as a clusterer and transformer.

    Args:
      method: the method's name, one of ``jaxclust.methods.names()``.
      n_clusters: number of clusters.
      image_shape: (h, w) or (h, w, c) of the images where X is a table of pixels with a row for
        each image; None where X has the images' own shape.
      random_state: the seed, an integer from 0; with ``n_init`` seeds the first of them.
      n_init: number of seeds, which run together and vote on the cluster of each image.
      preset: "default" or another of the method's presets.
      settings: settings of the method, by name; those of the pretraining as
        "pretraining.epochs" and so on.

    Attributes:
      labels_: the cluster of each image with most votes of the seeds, int32 (n,).
      share_: that cluster's share of the votes, float64 (n,).
      all_labels_: the clusters of every seed in the numbering of ``labels_``, int32 (n_init, n), -1
        for one that failed. ``run_.labels`` has each seed's own numbering.
      seed_: the seed that agrees best with the others. It gives the numbering of ``labels_`` and
        the embedding of ``transform``.
      agreement_: adjusted Rand index of each two seeds that did not fail, float64.
      run_: the whole run.
      n_features_in_: pixels of an image.
    """

    def __init__(
        self,
        method: str = "dcec",
        n_clusters: int = 10,
        *,
        image_shape: tuple[int, ...] | None = None,
        random_state: int = 0,
        n_init: int = 1,
        preset: str = "default",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.method = method
        self.n_clusters = n_clusters
        self.image_shape = image_shape
        self.random_state = random_state
        self.n_init = n_init
        self.preset = preset
        self.settings = settings

    def fit(self, X: np.ndarray, y: None = None) -> "DeepClustering":
        """Clusters images.

        Args:
          X: uint8 in 0..255 or float in [0, 1]; (n, h, w) or (n, h, w, c), or (n, pixels) with
            ``image_shape``.
          y: not looked at.

        Raises:
          UsageError: an argument breaks its rule, or every seed failed.
        """
        del y
        for name, least in (("random_state", 0), ("n_init", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                rule = f"{name}: must be an integer of at least {least}"
                raise UsageError(f"{rule}, got {value!r}")
        dataset = datasets.checked("X", self._images(X))
        seeds = range(self.random_state, self.random_state + self.n_init)
        self.run_ = fit(self._method(), dataset, self.n_clusters, seeds, progress=False)
        failed = self.run_.failed
        if len(failed) == len(seeds):
            raise UsageError(f"fit: {total_failure(self.run_)}")
        votes = self.run_.consensus()
        self.labels_ = votes.labels.copy()
        self.share_ = votes.share.copy()
        self.all_labels_ = np.full_like(self.run_.labels, -1)
        self.all_labels_[[seeds.index(seed) for seed in votes.seeds]] = votes.seed_labels
        self.seed_ = votes.medoid
        self.agreement_ = votes.agreement.copy()
        self.n_features_in_ = int(np.prod(dataset.images.shape[1:]))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The cluster of each image with most votes of the seeds, numbered as in ``labels_``.

        Args:
          X: as for ``fit``, of the same size; one image is enough.

        Returns:
          int32 (n,).

        Raises:
          UsageError: the images are of another size.
          NotFittedError: ``fit`` was not called.
        """
        return np.asarray(self._run().predict(self._images(X)).cluster)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The embedding of images under the network of ``seed_``.

        Args:
          X: as for ``predict``.

        Returns:
          float32 (n, d).

        Raises:
          UsageError: the images are of another size.
          NotFittedError: ``fit`` was not called.
        """
        return self._run().embed(self._images(X), self.seed_)

    def _run(self) -> Run:
        check_is_fitted(self, "labels_")
        return self.run_

    def _images(self, X: np.ndarray) -> np.ndarray:
        X = np.asarray(X)
        if self.image_shape is None:
            return X
        if X.ndim != 2 or X.shape[1] != np.prod(self.image_shape):
            pixels = np.prod(self.image_shape)
            rule = f"X: must be of shape (n, {pixels}) for image_shape"
            raise UsageError(f"{rule}, got {X.shape}")
        return X.reshape(-1, *self.image_shape)

    def _method(self) -> Method:
        settings = self.settings or {}
        if "clusters" in settings:
            rule = f"settings: must be those of {self.method}, n_clusters apart"
            raise UsageError(f"{rule}, got 'clusters'")
        if isinstance(self.method, Method):
            return self.method.with_settings(settings)
        return registry.method(self.method, self.preset).with_settings(settings)
