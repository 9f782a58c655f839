"""Kinds of bad pictures: folders, tables and archives with them."""

import io
import os
import socket
import tarfile
import zipfile

import numpy as np
from PIL import Image

from fuzz.arrays import images


def png(array=None, **more):
    content = io.BytesIO()
    Image.fromarray(images()[0] if array is None else array).save(content, "PNG", **more)
    return content.getvalue()


def good(folder, count=6):
    """A folder with some pictures that are sound."""
    folder.mkdir()
    for place, image in enumerate(images()[:count]):
        (folder / f"good-{place}.png").write_bytes(png(image))
    return folder


def _bomb():
    """A PNG that claims 60,000 x 60,000 pixels."""
    content = bytearray(png())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(content)


BAD = {
    "empty.png": b"",
    "text.png": b"hello",
    "cut.png": png()[:60],
    "no_pixels.png": png()[:33],
    "bomb.png": _bomb(),
    "other.jpg": png()[:80],
    "code.svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "float.tif": None,
    "cut.gif": b"GIF89a\x10\x00\x10\x00",
    "cut.webp": b"RIFF\x00\x01\x00\x00WEBPVP8 ",
    "cut.bmp": b"BM" + b"\0" * 20,
    "zero.ppm": b"P6 0 0 255\n",
    "odd.ico": b"\0\0\1\0\1\0" + b"\xff" * 16,
    "line\nbreak.png": b"hello",
    b"no-utf8-\xff.png".decode(errors="surrogateescape"): b"hello",
}
"""Files that are no pictures, by their names; the run goes on without them."""


def _float_tif():
    content = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(content, "TIFF")
    return content.getvalue()


BAD["float.tif"] = _float_tif()


def specials(folder):
    """Things with a picture's name that are no files: a pipe, a socket, a folder, links."""
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(folder)  # A socket's address may be 107 bytes long.
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(here)


def zipped(members, name="a.zip"):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return content.getvalue()


def tarred(members, mode="w"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def _pipe_in_tar():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        info = tarfile.TarInfo("pipe.png")
        info.type = tarfile.FIFOTYPE
        archive.addfile(info)
    return content.getvalue()


SIX = {f"{place}.png": png(image) for place, image in enumerate(images()[:6])}
REFUSED = {
    "empty.zip": b"",
    "text.zip": b"hello",
    "cut.zip": zipped(SIX)[:-30],
    "no_pictures.zip": zipped({"a.txt": b"hello"}),
    "leads_out.zip": zipped({"../a.png": png()}),
    "empty.tar": b"",
    "cut.tar": tarred(SIX)[:700],
    "text.tar.gz": b"hello",
    "cut.tar.gz": tarred(SIX, "w:gz")[:100],
    "pipe.tar": _pipe_in_tar(),
    "leads_out.tar": tarred({"../../a.png": png()}),
    "empty.csv": b"",
    "no_column.csv": b"a,b\n1,2\n",
    "nul.csv": b"file\n\0\0\0\n",
    "not_there.csv": b"file,label\nnothing.png,1\nnothing2.png,2\n",
    "twice.csv": b"file\na.png\na.png\n",
    "quote.csv": b'file\n"a.png\n',
    "long_cell.csv": b"file\n" + b"a" * 200_000 + b"\n",
    "bytes.csv": bytes(range(256)),
    "devices.csv": b"file\n/dev/zero\n/dev/stdin\n/dev/null\n",
    "folders.csv": b"file\n/\n/tmp\n.\n",
    "long_names.csv": b"file\n" + b"b" * 5000 + b".png\n",
    "empty.parquet": b"",
    "text.parquet": b"PAR1hello",
}
"""Archives and tables that must be refused, by their names."""
