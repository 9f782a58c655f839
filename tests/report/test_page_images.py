"""The images, matrices and thumbnails on the page are those of the run."""

import base64
import io
import json
import re

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from jaxclust.report import image_section, run_images
from jaxclust.report.look import Embedding, embed
from jaxclust.runs.reading import open_run


def pixels(address):
    """A picture of the page, uint8 (height, width), gray."""
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("L")
    )


def test_thumbnails_are_the_images_of_their_points(path, page, few_digits):
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    sheet = pixels(re.search(r"\.thumbs-0\{background-image:url\(([^)]*)\)", path.read_text())[1])
    width, height = points["size"]
    for place, row in enumerate(points["rows"]):
        top, left = place // points["columns"] * height, place % points["columns"] * width
        np.testing.assert_array_equal(
            sheet[top : top + height, left : left + width], few_digits[0][row, ..., 0]
        )


def test_sheets_hold_images_of_their_clusters(page, run, few_digits):
    shown = next(
        one for one in page.all("img") if one["alt"].startswith("Most certain, of clusters ")
    )
    labels = open_run(run).consensus().labels
    images = np.kron(few_digits[0][..., 0], np.ones((4, 4), np.uint8))

    def clusters(picture, columns, count):
        """The possible clusters of each image on a sheet."""
        sheet, found = pixels(picture["src"]), []
        for place in range(count):
            top, left = 2 + place // columns * 34, 2 + place % columns * 34
            (same,) = np.nonzero(
                (images == sheet[top : top + 32, left : left + 32]).all(axis=(1, 2))
            )
            found.append(set(labels[same]))
        return found

    sheets = [one for one in page.all("img") if re.match(r"\d+ of cluster", one["alt"])]
    assert len(sheets) == len(np.unique(labels))
    for one in sheets:
        count, cluster, members = map(
            int, re.match(r"(\d+) of cluster (\d+): (\d+) images", one["alt"]).groups()
        )
        assert members == (labels == cluster).sum()
        assert all(cluster in found for found in clusters(one, 8, count))
    named = [int(name) for name in shown["alt"].partition("clusters ")[2].split(", ")]
    assert all(
        name in found for name, found in zip(named, clusters(shown, 12, len(named)), strict=True)
    )


def test_images_are_ranked_by_how_certain_they_are(report):
    _, look = report
    images = run_images.inputs(look.settings[0], look.pictures).images
    votes = look.agreement.consensus
    (features,) = embed(look, 0, images, [look.seeds.index(votes.medoid)])
    labels = votes.labels
    means = {k: features[labels == k].mean(axis=0) for k in np.unique(labels)}
    certain = []
    for feature, own in zip(features, labels, strict=True):
        away = {k: float(np.linalg.norm(feature - mean)) for k, mean in means.items()}
        certain.append(1 - away.pop(own) / min(away.values()))
    ranked = look.embedding.ranked
    assert sorted(ranked) == list(range(300))
    assert (np.diff(np.array(certain)[ranked]) <= 1e-4).all()


def test_matrices_are_those_of_the_labels(path, run, few_digits):
    def table(title):
        body = path.read_text().partition(f"<caption><span>{title}")[2].partition("</table>")[0]
        return [
            re.findall(r"<td[^>]*>([^<]*)</td>", line)
            for line in re.findall(r"<tr>.*?</tr>", body)[1:]
        ]

    labels = np.load(run / "labels.npy", allow_pickle=False)
    ari = f"{adjusted_rand_score(*labels):.2f}"
    assert table("Agreement between seeds (ARI)") == [["1.00", ari], [ari, "1.00"]]
    counts = np.array([[int(cell or 0) for cell in line] for line in table("Classes by clusters")])
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (few_digits[1], open_run(run).consensus().labels), 1)
    assert sorted(map(tuple, counts.T)) == sorted(map(tuple, expected.T))
    # Matched: no other order of the clusters has more on the diagonal.
    assert np.trace(counts) == expected[linear_sum_assignment(-expected)].sum()


def test_runs_on_the_same_images_share_their_thumbnails(digits):
    n = len(digits.labels)
    pictures = run_images.Pictures(digits.name, digits.images, digits.labels)
    shown = image_section.Shown(0, np.zeros(n, int), np.arange(n), pictures)
    sprites = {}
    parts = []
    for number, points in enumerate((30, 30, 20)):
        places = np.arange(2 * points).reshape(-1, 2)
        embedded = Embedding(np.arange(points), places, [0.0], np.arange(points))
        parts.append(image_section.embedding_map(number, shown, embedded, sprites))
    assert list(sprites.values()) == ["thumbs-0", "thumbs-1"]
    assert [re.search(r"thumb (thumbs-.)", part)[1] for part in parts] == [
        "thumbs-0",
        "thumbs-0",
        "thumbs-1",
    ]
    assert not any("base64" in part for part in parts)
