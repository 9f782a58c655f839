"""Archives: nothing leads out of them, none unpacks without end, damage is said in one line."""

import io
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jaxclust.data import archives
from jaxclust.data.archives import open_archive
from jaxclust.data.pictures import Unreadable
from jaxclust.errors import UsageError


def zipped(path, files, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content, **options)
    return path


def tarred(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                member.type, member.linkname = content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


PACKERS = {"x.zip": zipped, "x.tar": tarred}


@pytest.mark.parametrize(("name", "packer"), PACKERS.items())
def test_names_that_lead_out_are_refused(tmp_path, name, packer):
    path = packer(tmp_path / name, {"a.png": b"x", "../../etc/b.png": b"x"})
    with pytest.raises(UsageError, match=r"must not lead out of it, got '../../etc/b\.png'"):
        open_archive(path)


@pytest.mark.parametrize(("name", "packer"), PACKERS.items())
def test_names_are_made_relative_and_the_last_of_a_name_counts(tmp_path, name, packer):
    files = {"/root/a.png": b"1", "./b//c.png": b"2", "__MACOSX/._a.png": b"x", ".x/d.png": b"x"}
    archive = open_archive(packer(tmp_path / name, files))
    assert dict(archive.lengths) == {"root/a.png": 1, "b/c.png": 1}
    assert (archive.read("root/a.png"), archive.read("b/c.png")) == (b"1", b"2")
    assert archive.lengths.keys() == open_archive(tmp_path / name).lengths.keys()


def test_backslashes_of_windows_are_folders(tmp_path):
    path = zipped(tmp_path / "x.zip", {"cat\\a.png": b"1"})
    assert list(open_archive(path).lengths) == ["cat/a.png"]
    with pytest.raises(UsageError, match="must not lead out of it"):
        open_archive(zipped(tmp_path / "y.zip", {"..\\a.png": b"1"}))


def test_links_in_a_tar_are_not_followed_but_second_names_are(tmp_path):
    files = {
        "a.png": b"picture",
        "soft.png": (tarfile.SYMTYPE, "/etc/passwd"),
        "hard.png": (tarfile.LNKTYPE, "a.png"),
        "broken.png": (tarfile.LNKTYPE, "../none.png"),
        "pipe.png": (tarfile.FIFOTYPE, ""),
    }
    archive = open_archive(tarred(tmp_path / "x.tar", files))
    assert archive.read("hard.png") == b"picture"
    for name in ("soft.png", "broken.png", "pipe.png"):
        with pytest.raises(Unreadable, match="a link in an archive"):
            archive.read(name)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, name, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS_SAFE", 2**20)
    files = {"a.png": bytes(2**21)}
    path = tmp_path / name
    zipped(path, files) if name == "x.zip" else tarred(path, files, "w:gz")
    assert path.stat().st_size * 500 < 2**21
    with pytest.raises(UsageError, match="must not unpack to more than 100 times its size, got at"):
        open_archive(path)
    # One that hardly shrinks may be as large as it likes.
    noise = {"a.png": np.random.default_rng(0).bytes(2**21)}
    zipped(path, noise) if name == "x.zip" else tarred(path, noise, "w:gz")
    assert open_archive(path).read("a.png") == noise["a.png"]


def test_a_zip_that_says_less_than_it_holds_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.png": bytes(100_000)})
    whole = path.read_bytes()
    path.write_bytes(whole.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(Unreadable):
        open_archive(path).read("a.png")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxclust.data.pictures.LARGEST_FILE", 10)
    for name, packer in PACKERS.items():
        archive = open_archive(packer(tmp_path / name, {"a.png": b"x" * 11}))
        with pytest.raises(Unreadable, match="larger than"):
            archive.read("a.png")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_no_damage_to_an_archive_escapes(tmp_path, name):
    path = tmp_path / name
    files = {"a.png": b"some content", "b.png": b"other content"}
    zipped(path, files) if name == "x.zip" else tarred(path, files, "w:gz" if "gz" in name else "w")
    whole = path.read_bytes()
    # The zeros at the end of a .tar say nothing.
    places = range(0, len(whole.rstrip(b"\0")), max(len(whole) // 400, 1))
    cut = [_refusal(path, whole[:place]) for place in places]
    assert None not in cut
    damaged = [
        _refusal(path, whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        for place in places
    ]
    refusals = [refusal for refusal in (*cut, *damaged) if refusal is not None]
    assert len(refusals) > len(places) * 1.3
    assert not any("\n" in refusal for refusal in refusals)
    for content in (b"", b"x" * 600):
        assert _refusal(path, content) is not None


def _refusal(path, content):
    """Why an archive with some content, or a file in it, cannot be read; None where it can."""
    path.write_bytes(content)
    try:
        archive = open_archive(path)
        for member in archive.lengths:
            archive.read(member)
    except (UsageError, Unreadable) as error:
        return str(error)
    return None


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.png": b"x"})
    whole = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(mark) + flags] |= 1
    path.write_bytes(whole)
    with pytest.raises(Unreadable, match="encrypted"):
        open_archive(path).read("a.png")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_threads_share_an_archive(tmp_path, name):
    rng = np.random.default_rng(0)
    files = {f"{number}.png": rng.bytes(20_000 + number) for number in range(40)}
    path = tmp_path / name
    zipped(path, files) if name == "x.zip" else tarred(path, files, "w:gz" if "gz" in name else "w")
    archive = open_archive(path)
    start = threading.Barrier(4)

    def read(_):
        start.wait()
        return {member: archive.read(member) for member in archive.lengths}

    with ThreadPoolExecutor(4) as pool:
        assert all(found == files for found in pool.map(read, range(4)))


def test_the_unpacked_tar_is_gone_with_its_archive(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    archive = open_archive(tarred(tmp_path / "x.tar.gz", {"a.png": b"x"}, "w:gz"))
    assert archive.read("a.png") == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]
    del archive
