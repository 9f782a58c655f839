"""The methods as scikit-learn's clusterers: ``DeepClustering("dcec", n_clusters=10)``."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from jaxclust.engine import fit as engine
from jaxclust.errors import UsageError
from jaxclust.estimators import batches, folder, inputs, parameters, states, stopped, tables
from jaxclust.estimators.batches import Progress
from jaxclust.estimators.tables import Scaling
from jaxclust.runs.failure import total_failure
from jaxclust.runs.fit import execute
from jaxclust.runs.plan import Plan, with_clusters
from jaxclust.runs.progress import Bars
from jaxclust.runs.run import Run
from jaxclust.types import Method, Prediction


def _has_probabilities(estimator: "DeepClustering") -> bool:
    chosen = inputs.chosen(estimator)
    if estimator.n_init != 1 or chosen is None:
        return True
    return chosen.algorithm.soft is not None


def _takes_batches(estimator: "DeepClustering") -> bool:
    chosen = inputs.chosen(estimator)
    if chosen is not None:
        batches.check(chosen)
    return chosen is not None


_FIRST = Progress()


class DeepClustering(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator
):
    """A method of ``jaxclust methods`` as a clusterer and transformer.

    Methods whose network sees an image as a vector (k-means, sae-kmeans, DEC, IDEC, DCN, DKM,
    linkage) also take tables of any numbers, such as a DataFrame.

    Args:
      method: the method's name, one of ``jaxclust.methods.names()``, or what ``jaxclust.method``
        made.
      n_clusters: number of clusters.
      image_shape: (h, w) or (h, w, c) of the images where X is a table of pixels with a row for
        each image. None where X has the images' own shape or is a table of other numbers.
      random_state: the seed, an integer from 0; with ``n_init`` seeds the first of them. A
        ``RandomState`` draws it, and None lets NumPy's global one do so.
      n_init: number of seeds, which run together and vote on the cluster of each image.
      preset: "default" or another of the method's presets.
      settings: settings of the method, by name; those of the pretraining as
        "pretraining.epochs" and so on. ``set_params(settings__pretraining__epochs=5)`` changes
        one of them, so that a grid search can.
      scale: how a table is scaled: "minmax" brings each column to [0, 1], "standard" to mean 0
        and variance 1. None divides all columns by one number, so that distances keep their
        proportions. ``fit`` learns the numbers. Images are not scaled.
      verbose: whether progress is shown on stderr.
      max_seconds: ``fit`` stops after the window of training in which this has passed. A
        ConvergenceWarning says how far it came, and ``labels_`` are those of the last whole
        window. Where clustering has not begun then, or clusters are only made at the end (JULE),
        ``fit`` is refused.

    Attributes:
      labels_: the cluster of each image with most votes of the seeds, int32 (n,).
      share_: that cluster's share of the votes, float64 (n,).
      all_labels_: the clusters of every seed in the numbering of ``labels_``, int32 (n_init, n), -1
        for one that failed. ``run_.labels`` has each seed's own numbering.
      seed_: the seed that agrees best with the others. It gives the numbering of ``labels_`` and
        the embedding of ``transform``.
      agreement_: adjusted Rand index of each two seeds that did not fail, float64.
      cluster_centers_: the centers of ``seed_``: of k-means float64 (k, d) in the units of a table
        or, of images, in [0, 1]; of other methods float32, in the space of ``transform``. Methods
        without centers do not have it.
      inertia_: of k-means the sum of squared distances to the nearest of them.
      run_: the whole run. A pickle keeps only its record, and the networks of the seeds that vote.
      n_features_in_: pixels of an image, or columns of a table.
      feature_names_in_: names of the columns, where X was a DataFrame with names.
    """

    n_features_in_: int
    _scaling: Scaling | None

    def __init__(
        self,
        method: str | Method = "dcec",
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
        self.method = method
        self.n_clusters = n_clusters
        self.image_shape = image_shape
        self.random_state = random_state
        self.n_init = n_init
        self.preset = preset
        self.settings = settings
        self.scale = scale
        self.verbose = verbose
        self.max_seconds = max_seconds

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tables_too = inputs.takes_tables(self)
        tags.input_tags.three_d_array = self.image_shape is None
        tags.input_tags.two_d_array = tables_too or self.image_shape is not None
        tags.input_tags.positive_only = not tables_too or self.image_shape is not None
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """The parameters by name.

        Args:
          deep: also list each setting of the method with its present value, such as
            ``settings__gamma`` and ``settings__pretraining__epochs``.
        """
        params = super().get_params(deep=deep)
        return params | parameters.listed(self) if deep else params

    def set_params(self, **params: Any) -> "DeepClustering":
        """Changes parameters, and settings by the names that ``get_params`` lists.

        Args:
          **params: parameters; ``settings__gamma`` and ``settings__pretraining__epochs`` change
            one setting each and leave the others. Beside ``settings`` itself those that have the
            given value anyway are left out.

        Raises:
          ValueError: there is no such parameter. Nothing has been changed then.
        """
        single = {name for name in params if name.startswith(parameters.SETTING)}
        with inputs.unchanged_on_error(self):
            super().set_params(**{name: params[name] for name in params if name not in single})
            if single:
                named = {name: params[name] for name in params if name in single}
                self.settings = parameters.changed(self, named, "settings" in params)
        return self

    def fit(self, X: Any, y: Any = None) -> "DeepClustering":
        """Clusters images or the rows of a table.

        Args:
          X: images, uint8 in 0..255 or float in [0, 1], (n, h, w) or (n, h, w, c), or with
            ``image_shape`` (n, pixels). Or a table of finite numbers, (n, features), with a method
            that takes it. Floats up to 1e-6 beside [0, 1] are taken.
          y: not looked at.

        Raises:
          UsageError: an argument breaks its rule, every seed failed, or ``max_seconds`` passed.
          ValueError: X is no array of finite numbers.

        A fitted estimator stays as it was where this raises.
        """
        del y
        with inputs.unchanged_on_error(self):
            self._fit(X)
        return self

    @available_if(_takes_batches)
    def partial_fit(self, X: Any, y: Any = None) -> "DeepClustering":
        """Goes on with a batch of new images: k-means and CCNN, which keep nothing for each image.

        The first batch is clustered as by ``fit``, with the pretraining, and the scaling of a table
        and the numbering of the seeds' clusters stay as they are then. A later one moves the
        centers of k-means (Sculley 2010), also that on a network's features, which stay as they
        are; or it is one pass of CCNN's steps. ``labels_`` and what belongs to them are those of
        the last batch; ``run_`` keeps the first one's.

        Args:
          X: as for ``fit``; one image or row is enough after the first batch. A step of CCNN takes
            ``batch`` squared by ``reliable`` images, 250 at its defaults, and of fewer some twice.
          y: not looked at.

        Raises:
          UsageError: as from ``fit``, the images are of another size, or a seed met a NaN.
        """
        if not hasattr(self, "run_"):
            return self.fit(X, y)
        with inputs.unchanged_on_error(self):
            self._move(inputs.of_new(self, X))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each image with most votes of the seeds, numbered as in ``labels_``.

        Args:
          X: as for ``fit``, of the same size; one image is enough.

        Returns:
          int32 (n,).

        Raises:
          UsageError: the images are of another size.
          NotFittedError: ``fit`` was not called.
        """
        each = self._predictions(inputs.of_new(self, X))
        return np.asarray(self.run_.consensus().vote(each).cluster)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Each cluster's share of the votes, or with one seed its soft assignment.

        A soft assignment is Student's t similarity to the clusters' centers (DEC, eq. 1). One seed
        of CCNN, whose probabilities are another layer's, has no ``predict_proba``.

        Args:
          X: as for ``predict``.

        Returns:
          float32 (n, n_clusters); rows sum to 1. Where clusters have equally many votes, the one
          that ``predict`` gives has about 1e-6 more than the others.

        Raises:
          UsageError: the images are of another size.
          NotFittedError: ``fit`` was not called.
        """
        taken = inputs.of_new(self, X)
        votes = self.run_.consensus()
        method = self.run_.method
        if len(votes.seeds) > 1 or method.algorithm.soft is None:
            each = self._predictions(taken)
            chosen = np.asarray(votes.vote(each).cluster)
            return states.shares(np.asarray(each.cluster), chosen, self.run_.settings.clusters)
        return states.soft_assignments(method, self._states, self._embedding(taken))

    def transform(self, X: Any) -> np.ndarray:
        """The embedding of images under the network of ``seed_``.

        Args:
          X: as for ``predict``.

        Returns:
          float32 (n, d).

        Raises:
          UsageError: the images are of another size.
          NotFittedError: ``fit`` was not called.
        """
        return self._embedding(inputs.of_new(self, X))

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes the run's folder, as ``run_.save`` does, and ``estimator.json`` into it.

        After ``partial_fit`` the labels there are those of the first batch; the centers have moved,
        and there is no ``inertia_``. An estimator that was loaded and then moved by ``partial_fit``
        cannot be saved again.

        Args:
          path: the folder; must not exist unless ``overwrite``.
          overwrite: replace an earlier run there, and nothing else.

        Raises:
          UsageError: the folder must not be written to, or the parameters cannot be written as
            JSON or have changed since ``fit``. Or a part of the run is missing, as in an estimator
            from a pickle, in a loaded one after ``partial_fit`` or one whose folder is gone.
          NotFittedError: ``fit`` was not called.
        """
        check_is_fitted(self, "labels_")
        folder.write(self, path, overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike, method: Method | None = None) -> "DeepClustering":
        """A fitted estimator from a folder that ``save`` has written. Nothing is unpickled.

        Args:
          path: the folder.
          method: the method, where the estimator was given one that ``jaxclust.method`` made.

        Raises:
          UsageError: the folder holds no estimator of this class, a file is damaged, or the method
            is missing or another one.
        """
        kept = folder.read(cls, path, method)
        estimator = cls(**kept.parameters)
        vars(estimator).update(kept.attributes)
        estimator._keep(kept.run, states.of_voters(kept.run), estimator._progress)
        return estimator

    def __getstate__(self) -> dict[str, object]:
        """What a pickle or a copy holds: what predictions need, not the whole run."""
        state: dict[str, object] = dict(vars(self))
        if "run_" in state:
            state["run_"] = dataclasses.replace(self.run_, phases={}, directory=None)
            state["_states"] = states.on_host(self._states)
        return state

    def _fit(self, X: Any) -> None:
        """Clusters X and sets all attributes."""
        seeds = inputs.seeds_of(self.random_state, self.n_init)
        data = inputs.to_cluster(self, X)
        method = with_clusters(inputs.method_of(self), data, self.n_clusters)
        plan = Plan(seeds=tuple(seeds), max_seconds=self.max_seconds, data="X")
        with Bars(disable=not self.verbose) as bars:
            run = execute(method, data, plan, bars)
        if not run.finished:
            run = stopped.with_labels(run, data.images, self.max_seconds)
        if len(run.failed) == len(seeds):
            raise UsageError(f"fit: {total_failure(run)}")
        self._keep(run, states.of_voters(run))
        self._measure(data.images)

    def _move(self, taken: np.ndarray) -> None:
        """Goes on with a batch of the network's inputs."""
        moved, progress = batches.moved(self.run_, self._states, self._progress, taken)
        self._keep(states.with_states(self.run_, moved), moved, progress)
        each = self._predictions(taken)
        votes = self.run_.consensus().vote(each)
        self._keep_labels(np.asarray(each.cluster), np.asarray(votes.cluster), votes.probability)
        self._measure(taken)

    def _keep(self, run: Run, kept: Any, progress: Progress = _FIRST) -> None:
        """Sets what follows from a run and the states of the seeds that vote."""
        votes = run.consensus()
        self.run_ = run
        self._states = kept
        self._progress = progress
        self._keep_labels(votes.seed_labels, votes.labels.copy(), votes.share.copy())
        self.seed_ = votes.medoid
        self.agreement_ = votes.agreement.copy()
        centers = states.centers_of(run.method, kept)
        vars(self).pop("cluster_centers_", None)
        if centers is None:
            one = np.zeros((1, *run.settings.data.shape[1:]), np.float32)
            self._n_features_out = self._embedding(one).shape[1]
            return
        self._n_features_out = centers.shape[2]
        self.cluster_centers_ = centers[votes.seeds.index(votes.medoid)]
        if self._scaling is not None and states.is_kmeans(run.method):
            self.cluster_centers_ = tables.unscaled(self.cluster_centers_, self._scaling)

    def _keep_labels(self, each: np.ndarray, labels: np.ndarray, share: Any) -> None:
        """Sets the labels of all voting seeds, int32 (seeds, n), their votes and the shares."""
        seeds = self.run_.seeds
        self.labels_ = labels
        self.share_ = np.asarray(share, np.float64)
        self.all_labels_ = np.full((len(seeds), len(labels)), -1, np.int32)
        self.all_labels_[[seeds.index(seed) for seed in self.run_.consensus().seeds]] = each

    def _measure(self, taken: np.ndarray) -> None:
        """Sets the inertia of k-means on some inputs."""
        vars(self).pop("inertia_", None)
        if not states.is_kmeans(self.run_.method):
            return
        votes = self.run_.consensus()
        points = self._embedding(taken)
        if self._scaling is not None:
            points = tables.unscaled(points, self._scaling)
        labels = self.all_labels_[self.run_.seeds.index(votes.medoid)]
        self.inertia_ = float(((points - self.cluster_centers_[labels]) ** 2).sum(dtype=np.float64))

    def _embedding(self, taken: np.ndarray) -> np.ndarray:
        """The embedding of a network's inputs under ``seed_``, float32 (n, d)."""
        votes = self.run_.consensus()
        own = states.at(self._states, votes.seeds.index(votes.medoid))
        return engine.apply(self.run_.method, own, taken, "embed")[0]

    def _predictions(self, taken: np.ndarray) -> Prediction:
        """What each voting seed says of a network's inputs, in the numbering of ``labels_``."""
        each = engine.apply(self.run_.method, self._states, taken, "predict")
        votes = self.run_.consensus()
        return votes.numbered(each, votes.seeds)
