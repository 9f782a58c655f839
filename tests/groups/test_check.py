import numpy as np
import pytest
from PIL import Image

from commands import error
from jaxclust.cli.main import main
from jaxclust.data.listing import shown


@pytest.fixture
def odd(folder):
    """The folder's pictures and a few odd ones."""
    generator = np.random.default_rng(5)
    noise = Image.fromarray(generator.integers(0, 255, (80, 80, 3), np.uint8))
    noise.save(folder / "noise.png")
    rows, columns = np.mgrid[:64, :64]
    soft = np.stack([3 * columns, 3 * rows, rows + columns], axis=2).astype(np.uint8)
    Image.fromarray(soft).save(folder / "blurred.png")
    (folder / "copy.jpg").write_bytes((folder / "dots" / "00.jpg").read_bytes())
    Image.new("RGB", (40, 40), (3, 3, 3)).save(folder / "black.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_odd_pictures_are_listed(odd, tmp_path, capsys):
    pytest.importorskip("cleanvision")
    assert main(["check", str(odd), "--out", str(tmp_path / "odd.csv"), "--quiet"]) == 0
    lines = (tmp_path / "odd.csv").read_text().splitlines()
    assert lines[0] == "file,issue,detail"
    assert "dots/00.jpg,exact copy,copy.jpg" in lines
    assert "black.png,dark," in lines
    assert "black.png,hardly any content," in lines
    assert "blurred.png,blurred," in lines
    assert "broken.jpg,unreadable,no image" in lines
    assert "noise.png,blurred," not in lines
    out = capsys.readouterr().out
    assert out.startswith("41 pictures\n")
    assert "exact copy: dots/00.jpg" in out


def test_a_table_is_not_overwritten(odd, tmp_path, capsys):
    (tmp_path / "odd.csv").write_text("mine")
    line = error(capsys, ["check", str(odd), "--out", str(tmp_path / "odd.csv")])
    assert "must not exist without --overwrite" in line
    assert (tmp_path / "odd.csv").read_text() == "mine"


def test_names_are_printed_on_one_line():
    assert shown("a\nb") == "a\\nb"
