"""The gallery's page: what it holds, how it is escaped, where the thumbnails stand."""

import base64
import configparser
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from galleries import AWKWARD, TARGET, array, color, content, gallery, picture, written
from jaxclust.report.gallery import ODD, TYPICAL, write_gallery
from pages import Page

KINDS = (".css", ".html", ".js")


def sheet(page, address):
    """A sheet's pixels, from its file or from the address itself."""
    if address.startswith("data:"):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))
    return np.asarray(Image.open(page.parent / address))


def check_thumbnails(page, n):
    """Each thumbnail stands where the page looks for it, has its size, and bleeds nowhere."""
    data = content(page)
    places = array(data["places"])
    sizes = array(data["sizes"], "u1").reshape(n, 2)
    sheets = [sheet(page, address) for address in data["sheets"]]
    assert sorted(places) == list(range(n))
    for i in range(n):
        assert tuple(sizes[i]) == ((158, 79) if i % 2 == 0 else (40, 158))
        at = places[i] % 100
        top = at // 10 * 160
        left = at % 10 * 160
        cell = sheets[places[i] // 100][top : top + 160, left : left + 160]
        # A decoder mixes the outermost pixel with the neighboring cell.
        assert np.abs(cell[1:-1, 1:-1].astype(int) - color(i)).max() <= 6


def test_what_the_page_is_made_of_is_shipped():
    root = Path(__file__).parents[2]
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    shipped = setup["options.package_data"]["jaxclust.report"].split()
    files = (root / "jaxclust" / "report").iterdir()
    assert sorted(shipped) == sorted(path.name for path in files if path.suffix in KINDS)


def test_a_small_set_stands_in_the_page(tmp_path):
    page = written(tmp_path, gallery(300))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["groups.html", "original #1.png"]
    data = content(page)
    assert len(data["sheets"]) == 3
    check_thumbnails(page, 300)


def test_sheets_of_a_larger_set_stand_beside_the_page(tmp_path):
    seen = []
    given = gallery(301)
    write_gallery(tmp_path / "groups.html", given, picture, lambda *done: seen.append(done))
    page = tmp_path / "groups.html"
    assert seen == [(100, 301), (200, 301), (300, 301), (301, 301)]
    files = sorted((tmp_path / "groups-pictures").iterdir())
    data = content(page)
    assert data["sheets"] == [f"groups-pictures/{path.name}" for path in files]
    heights = [sheet(page, address).shape[0] for address in data["sheets"]]
    assert heights == [1600, 1600, 1600, 160]
    check_thumbnails(page, 301)
    # What closed groups show stands on the first sheets.
    shown = [i for order in given.order for i in (*order[:TYPICAL], *order[-ODD:])]
    assert array(data["places"])[shown].max() < len(shown)


def test_files_of_an_earlier_page_are_removed_and_others_stay(tmp_path):
    page = written(tmp_path, gallery(301))
    folder = tmp_path / "groups-pictures"
    (folder / "mine.jpg").write_bytes(b"")
    written(tmp_path, gallery(302))
    kept = {address.partition("/")[2] for address in content(page)["sheets"]}
    assert {path.name for path in folder.iterdir()} == kept | {"mine.jpg"}
    (folder / "mine.jpg").unlink()
    written(tmp_path, gallery(12))
    assert not folder.exists()


def test_the_page_is_escaped_and_asks_nobody(tmp_path):
    page = written(tmp_path, gallery())
    source = page.read_text()
    parsed = Page(source)
    assert parsed.all("title") == [{}]
    assert "<title>My &lt;pictures&gt;: pictures in groups</title>" in source
    assert "2 < 3." in parsed.text
    assert source.count("<script") == 2
    assert source.count("</script>") == 2
    assert source.split("<body>")[0].count("http-equiv") == 1
    policy = next(one for one in parsed.all("meta") if "http-equiv" in one)["content"]
    assert policy.startswith("default-src 'none'; img-src 'self' file: data:;")
    assert "http:" not in source.replace("http-equiv", "")
    assert "https:" not in source
    data = content(page)
    assert tuple(data["names"][-5:-1]) == AWKWARD
    assert data["groupNames"] == ["", "Cats & <dogs>", ""]


def test_what_the_script_reads(tmp_path):
    given = gallery(20)
    data = content(written(tmp_path, given))
    assert data["links"]["start"] + data["links"]["ends"][3] == TARGET
    np.testing.assert_array_equal(array(data["groups"]), given.groups)
    np.testing.assert_allclose(array(data["sure"], "<u2") / 1e4, given.sure, atol=5e-5)
    np.testing.assert_array_equal(array(data["order"]), [*np.concatenate(given.order), 19])
    np.testing.assert_array_equal(array(data["neighbors"]).reshape(20, 8), given.neighbors[:, :8])
    (level,) = data["levels"]
    assert level["name"] == "coarse"
    np.testing.assert_array_equal(array(level["groups"]), given.levels["coarse"])


def test_a_gallery_without_links_and_levels(tmp_path):
    data = content(written(tmp_path, gallery(targets=None, levels=None)))
    assert data["links"] is None
    assert data["levels"] == []


def test_a_title_that_is_no_utf8(tmp_path):
    assert "<h1>caf?</h1>" in written(tmp_path, gallery(title="caf\udce9")).read_text()


@pytest.mark.parametrize("fault", [OSError, ValueError, SyntaxError, Image.DecompressionBombError])
def test_a_picture_that_cannot_be_read_is_counted(tmp_path, fault):
    def thumbnail(i):
        if i == 4:
            raise fault("damaged")
        return picture(i)

    page = written(tmp_path, gallery(), thumbnail)
    sizes = array(content(page)["sizes"], "u1").reshape(-1, 2)
    np.testing.assert_array_equal(np.flatnonzero(sizes[:, 0] == 0), [4])
    assert "1 of the pictures cannot be shown" in Page(page.read_text()).text


def test_any_other_error_is_a_bug_and_leaves_no_page(tmp_path):
    def thumbnail(i):
        raise KeyError(i)

    with pytest.raises(KeyError):
        write_gallery(tmp_path / "groups.html", gallery(), thumbnail)
    assert list(tmp_path.iterdir()) == []


def test_parts_that_do_not_fit_together_are_refused(tmp_path):
    given = gallery()
    faults = {
        "sure": given.sure[:-1],
        "targets": ["a"],
        "levels": {"fine": given.groups[:3]},
        "order": [given.order[1], given.order[0], given.order[2]],
        "group_names": ["a"],
    }
    for name, value in faults.items():
        with pytest.raises(ValueError, match="must have"):
            write_gallery(tmp_path / "groups.html", given._replace(**{name: value}), picture)
    doubled = [given.order[0], given.order[1], given.order[2][[0, 0, 1]]]
    with pytest.raises(ValueError, match="once"):
        write_gallery(tmp_path / "groups.html", given._replace(order=doubled), picture)
