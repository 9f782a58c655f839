"""Pictures: the grid's geometry, and files for odd inputs."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")
from jaxclust.data.datasets import Dataset
from jaxclust.report import figures, run_figures
from jaxclust.runs.progress import Bars
from jaxclust.runs.reading import open_run


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


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be saved."""
    kept = []

    class Kept(figures.Figure):
        def savefig(self, path, **kwargs):
            kept.append(self)

    monkeypatch.setattr(figures, "Figure", Kept)
    return kept


def legend(axes):
    """Texts of a panel's legend."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_legend_of_an_embedding_names_the_classes(tmp_path, drawn):
    features = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    clusters = np.arange(12, dtype=np.int32) % 4
    labels = np.arange(12, dtype=np.int32) % 3 - 1
    path = tmp_path / "embedding.png"
    figures.embedding(path, features, clusters, labels, "title", ("a$b$", "x" * 40))
    by_cluster, by_class = drawn[0].axes
    assert legend(by_cluster) == ["0", "1", "2", "3"]
    assert legend(by_class) == ["a$b$", f"{'x' * 21}..."]
    assert not by_class.get_legend().get_texts()[0].get_parse_math()
    figures.embedding(path, features, clusters, labels, "title")
    assert legend(drawn[1].axes[1]) == ["0", "1"]


def test_images_of_unknown_class_are_gray_in_the_embedding(tmp_path, drawn):
    features = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    labels = np.array([-1, 0, 1, -1, 0, -1], np.int32)
    figures.embedding(tmp_path / "embedding.png", features, labels.clip(0), labels, "title")
    unknown, known = drawn[0].axes[1].collections
    assert (len(unknown.get_offsets()), len(known.get_offsets())) == (3, 3)
    assert (unknown.get_facecolor()[:, :3] == 0xBB / 255).all()


def test_the_figures_of_a_run_have_the_clusters_of_its_table(
    run, few_digits, tmp_path, monkeypatch
):
    """Each sheet's number is that of its images in clusters.csv."""
    sheets = {}
    shown = []
    monkeypatch.setattr(
        figures, "contact_sheet", lambda path, images: sheets.update({path.stem: images})
    )
    monkeypatch.setattr(figures, "embedding", lambda *arguments: shown.append(arguments))
    opened = open_run(run)
    dataset = Dataset("few", *few_digits)
    run_figures.draw(tmp_path / "figures", opened, dataset, dataset.images, Bars(disable=True))
    lines = (run / "clusters.csv").read_text().splitlines()[1:]
    clusters = np.array([int(line.split(",")[1]) for line in lines])
    images = {
        image.tobytes(): number for image, number in zip(few_digits[0], clusters, strict=True)
    }
    assert len(images) == len(sheets) * 30 == 300  # No two images are the same.
    for cluster in range(10):
        found = {images[image.tobytes()] for image in sheets[f"cluster-{cluster}"]}
        assert found == ({cluster} if (clusters == cluster).any() else set())
    ((_, features, colors, _, title, _),) = shown
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(colors, clusters[order])
    np.testing.assert_array_equal(features, opened.embed(few_digits[0][order], 0))
    assert title == "few: 300 images in the embedding of seed 0\nclusters: consensus of 2 seeds"


def test_a_legend_names_the_clusters_in_their_colors(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, path, **_: drawn.append(figure))
    features = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    figures.embedding(tmp_path / "e.png", features, np.array([3, 0, 3, 1, 0, 1]), None, "six")
    (axes,) = drawn[0].axes
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1", "2", "3"]
    (dots,) = axes.collections
    dots.update_scalarmappable()
    colors = [tuple(handle.get_color()) for handle in legend.legend_handles]
    assert [colors.index(tuple(color)) for color in dots.get_facecolors()] == [3, 0, 3, 1, 0, 1]


def test_a_cluster_has_the_color_of_its_class(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, path, **_: drawn.append(figure))
    features = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    clusters = np.array([3, 3, 0, 0, 1, 1, 4])
    labels = np.array([0, 0, 1, 1, 5, 5, 5])
    figures.embedding(tmp_path / "e.png", features, clusters, labels, "seven")
    left, right = (axes.collections[0] for axes in drawn[0].axes)
    for dots in (left, right):
        dots.update_scalarmappable()
    shown, true = left.get_facecolors(), right.get_facecolors()
    np.testing.assert_array_equal(shown[:6], true[:6])
    # The cluster without a class has a color that no class has.
    assert not any((shown[6] == other).all() for other in true)
    colors = [handle.get_color() for handle in drawn[0].axes[0].get_legend().legend_handles]
    np.testing.assert_array_equal(shown, [colors[cluster] for cluster in clusters])


def test_embedding_of_few_points(tmp_path):
    features = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    figures.embedding(tmp_path / "e.png", features, np.array([0, 1, 0, 1, 2]), None, "five")
    assert (tmp_path / "e.png").stat().st_size > 0


def test_equal_features_have_one_place(tmp_path):
    features, clusters = np.ones((12, 3), np.float32), np.zeros(12, np.int32)
    figures.embedding(tmp_path / "same.png", features, clusters, None, "collapsed")
    assert (tmp_path / "same.png").stat().st_size > 0
