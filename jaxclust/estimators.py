"""The methods with scikit-learn's face: ``DeepClustering("dcec", n_clusters=10).fit(images).labels_``."""

import dataclasses
from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from jaxclust.data import datasets
from jaxclust.engine import driver, fit
from jaxclust.evaluation import agreement
from jaxclust.methods.registry import METHODS, configured


class DeepClustering(TransformerMixin, ClusterMixin, BaseEstimator):
    """A method of ``jaxclust methods`` as a clusterer and transformer.

    Args:
      method: its name.
      n_clusters: number of clusters.
      image_shape: (h, w) or (h, w, c) of the images where X is a table of pixels, one row an image; None where X has
        the images' own shape.
      random_state: the seed, an int from 0; with ``n_init`` seeds it is the first of them.
      n_init: seeds that run together. The one that agrees best with the others gives the labels: no true label, and
        no final loss, decides.
      preset: "paper" or "quick".
      settings: of the method, by name; those of the pretraining as "pretraining.epochs" and so on.

    Attributes:
      labels_: int32 (n,).
      all_labels_: of every seed, int32 (n_init, n), -1 for one that failed.
      seed_: that gave ``labels_``.
      agreement_: ARI of each two seeds that did not fail, float64.
      fit_: the whole run, ``jaxclust.fit.Fit``.
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
        preset: str = "paper",
        settings: dict[str, Any] | None = None,
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
          X: uint8 in 0..255 or float in [0, 1]; (n, h, w) or (n, h, w, c), or (n, pixels) with ``image_shape``.
          y: not looked at.

        Raises:
          ValueError: an argument breaks its rule, or every seed failed.
        """
        del y
        for name, least in (("random_state", 0), ("n_init", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name}: must be an integer of at least {least}, got {value!r}")
        images = self._images(X)
        dataset = datasets.checked("X", images)
        datasets.check_clusters(dataset.images, self.n_clusters)
        self._config, pretraining = self._configured()
        seeds = tuple(range(self.random_state, self.random_state + self.n_init))
        self._shape = dataset.images.shape[1:]
        self.fit_ = fit.fit(METHODS[self.method], self._config, pretraining, dataset.images, seeds)
        sound = [lane for lane, failed in enumerate(self.fit_.failed) if failed is None]
        if not sound:
            raise ValueError(
                f"fit: every seed met a NaN or inf, the first at {self.fit_.failed[0]}"
            )
        self.all_labels_ = self.fit_.labels
        self.agreement_ = agreement.agreement(self.all_labels_[sound])
        self._lane = sound[agreement.medoid(self.agreement_)]
        self.seed_, self.labels_ = seeds[self._lane], self.all_labels_[self._lane]
        self.n_features_in_ = int(np.prod(self._shape))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Clusters of images, int32 (n,), under the chosen seed's network; X as for ``fit``."""
        return self._apply(X, "predict").cluster

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The embedding, float32 (n, d), under the chosen seed's network; X as for ``fit``."""
        return self._apply(X, "embed")

    def _apply(self, X: np.ndarray, what: str) -> Any:
        check_is_fitted(self, "labels_")
        images = datasets.checked("X", self._images(X), least=1).images
        if images.shape[1:] != self._shape:
            raise ValueError(
                f"X: images must be of shape {self._shape} as in fit, got {images.shape[1:]}"
            )
        method = METHODS[self.method]
        network = fit.build(method, self._config, self._shape)
        states = self.fit_.phases["cluster"].runs.state
        one = jax.tree.map(lambda leaf: leaf[self._lane : self._lane + 1], states)
        found = driver.apply(method.algorithm, self._config, network, "map", one, images, what)
        return jax.tree.map(lambda leaf: np.asarray(leaf)[0], found)

    def _images(self, X: np.ndarray) -> np.ndarray:
        X = np.asarray(X)
        if self.image_shape is None:
            return X
        if X.ndim != 2 or X.shape[1] != np.prod(self.image_shape):
            raise ValueError(
                f"X: must be of shape (n, {np.prod(self.image_shape)}) for image_shape, got {X.shape}"
            )
        return X.reshape(-1, *self.image_shape)

    def _configured(self) -> tuple[Any, Any]:
        config, pretraining = configured(self.method, self.preset, int(self.n_clusters))
        mine, theirs = {}, {}
        for name, value in (self.settings or {}).items():
            prefix, dot, field = name.rpartition(".")
            target, group = (pretraining, theirs) if prefix == "pretraining" else (config, mine)
            known = () if target is None else [one.name for one in dataclasses.fields(target)]
            if field not in known or (dot and prefix != "pretraining") or name == "clusters":
                raise ValueError(
                    f"settings: must be those of {self.method}, n_clusters apart, got {name!r}"
                )
            group[field] = value
        if pretraining is not None:
            pretraining = dataclasses.replace(pretraining, **theirs)
        return dataclasses.replace(config, **mine), pretraining
