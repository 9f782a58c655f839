"""Pictures: the grid's geometry, and files for odd inputs."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")
from jaxclust.report import figures


def test_grid_places_images_row_by_row_and_enlarges_small_ones():
    images = (
        np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(14, axis=1).repeat(14, axis=2) * 100
    )
    sheet = figures.grid(images, columns=2)
    assert sheet.shape == (2 * 30 + 2, 2 * 30 + 2, 3)
    assert [int(sheet[10, 10, 0]), int(sheet[10, 40, 0]), int(sheet[40, 10, 0])] == [0, 100, 200]
    assert int(sheet[0, 0, 0]) == 230
    assert int(sheet[40, 40, 0]) == 230  # the empty place


def test_an_empty_cluster_has_a_sheet(tmp_path):
    figures.contact_sheet(tmp_path / "empty.png", np.zeros((0, 8, 8, 1), np.uint8))
    assert (tmp_path / "empty.png").stat().st_size > 0


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_color_and_floats(channels):
    assert figures.grid(np.ones((2, 30, 30, channels), np.float32)).max() == 255


def test_curves_without_windows_draw_nothing(tmp_path):
    figures.curves(tmp_path / "curves.png", {"cluster": {}}, [0])
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize(("last", "scale"), [(0.5, "log"), (0.0, "linear"), (-0.5, "linear")])
def test_losses_that_a_logarithm_cannot_show_are_on_a_linear_axis(
    tmp_path, monkeypatch, last, scale
):
    drawn = []

    class Kept(figures.Figure):
        def savefig(self, path, **kwargs):
            drawn.append(self)

    monkeypatch.setattr(figures, "Figure", Kept)
    columns = {
        "lane": np.zeros(4, np.int32),
        "window": np.arange(4),
        "loss": np.array([2.0, np.nan, 1.0, last]),
    }
    figures.curves(tmp_path / "curves.png", {"cluster": columns}, [0])
    assert drawn[0].axes[0].get_yscale() == scale


def test_embedding_of_few_points(tmp_path):
    features = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    figures.embedding(tmp_path / "e.png", features, np.array([0, 1, 0, 1, 2]), None, "five")
    assert (tmp_path / "e.png").stat().st_size > 0


def test_equal_features_have_one_place(tmp_path):
    features, clusters = np.ones((12, 3), np.float32), np.zeros(12, np.int32)
    figures.embedding(tmp_path / "same.png", features, clusters, None, "collapsed")
    assert (tmp_path / "same.png").stat().st_size > 0
