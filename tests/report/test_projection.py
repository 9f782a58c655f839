"""Features in two dimensions, and their silhouette."""

import numpy as np

from jaxclust.report import projection


def test_silhouette_of_one_cluster_is_not_a_number():
    assert np.isnan(projection.silhouette(np.eye(3), np.zeros(3, int)))
    assert (
        projection.silhouette(np.array([[0.0], [0.1], [9.0], [9.1]]), np.array([0, 0, 1, 1])) > 0.9
    )


def test_equal_features_have_one_place_in_two_dimensions():
    assert (projection.in_two_dimensions(np.ones((12, 3), np.float32)) == 0).all()
