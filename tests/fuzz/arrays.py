"""Kinds of bad files of arrays: each writes a file into a folder and returns its path."""

import io
import os
import zipfile

import numpy as np

N = 12
SIDE = 8


def images(seed=0):
    """Pictures of three kinds, uint8 (12, 8, 8)."""
    draw = np.random.default_rng(seed)
    base = draw.integers(0, 256, (3, SIDE, SIDE))
    noise = draw.integers(-20, 21, (N, SIDE, SIDE))
    return np.clip(base[np.arange(N) % 3] + noise, 0, 255).astype(np.uint8)


LABELS = np.arange(N) % 3


def npy(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def npz(**members):
    """The bytes of an .npz file; members that are bytes stand in it as they are."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            raw = isinstance(member, bytes)
            archive.writestr(name if raw else f"{name}.npy", member if raw else npy(member))
    return content.getvalue()


def header(text, rest=b"\0" * 4096, version=b"\x01\x00"):
    """An .npy file with this header."""
    body = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(body).to_bytes(2, "little") + body + rest


def shaped(shape, descr="'|u1'", order="False"):
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")


def _duplicate():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("images.npy", npy(images()))
        archive.writestr("labels.npy", npy(LABELS)[:-9])
    return content.getvalue()


def _encrypted():
    content = bytearray(npz(images=images()))
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    content[6] |= 1
    return bytes(content)


X = images()
REFUSED = {
    "empty.npz": b"",
    "text.npz": b"hello",
    "cut.npz": npz(images=X)[:-200],
    "member_is_text.npz": npz(images=b"hello"),
    "labels_are_text.npz": npz(images=X, **{"labels": b"hello"}),
    "member_empty.npz": npz(**{"images.npy": b""}),
    "no_members.npz": npz(),
    "other_names.npz": npz(x=X, y=LABELS),
    "objects.npz": npz(images=np.array([X, None], object)),
    "labels_objects.npz": npz(images=X, labels=np.array([None] * N, object)),
    "encrypted.npz": _encrypted(),
    "labels_cut.npz": _duplicate(),
    "labels_long.npz": npz(images=X, labels=np.arange(N + 1)),
    "labels_table.npz": npz(images=X, labels=np.zeros((N, 3), int)),
    "labels_scalar.npz": npz(images=X, labels=np.array(3)),
    "labels_floats.npz": npz(images=X, labels=LABELS + 0.5),
    "labels_nan.npz": npz(images=X, labels=np.full(N, np.nan)),
    "labels_complex.npz": npz(images=X, labels=LABELS * 1j),
    "labels_dates.npz": npz(images=X, labels=LABELS.astype("datetime64[D]")),
    "scalar.npz": npz(images=np.array(3, np.uint8)),
    "empty.npy": b"",
    "magic_alone.npy": b"\x93NUMPY",
    "cut.npy": npy(X)[:-100],
    "cut_header.npy": npy(X)[:40],
    "version_9.npy": header("{}", version=b"\x09\x00"),
    "no_header.npy": header(""),
    "header_code.npy": header("__import__('os').getcwd()"),
    "header_open.npy": header("{'descr': ("),
    "minus_one.npy": shaped("(-1, 8, 8)"),
    "minus_many.npy": shaped("(-12, 8, 8)"),
    "minus_in_zip.npz": npz(**{"images.npy": shaped("(-1, 8, 8)")}),
    "minus_many_in_zip.npz": npz(**{"images.npy": shaped("(-7, 8, 8)")}),
    "huge.npy": shaped("(1000000000000, 8, 8)"),
    "huge_in_zip.npz": npz(**{"images.npy": shaped("(1000000000000, 8, 8)")}),
    "beyond_64_bits.npy": shaped("(1000000000000000000000000, 8, 8)"),
    "shape_of_text.npy": shaped("('a', 8, 8)"),
    "shape_of_floats.npy": shaped("(2.5, 8, 8)"),
    "no_such_type.npy": shaped("(12, 8, 8)", "'|q7'"),
    "objects.npy": npy(np.array([X, None], object)),
    "text.npy": npy(np.full((N, 8, 8), "a")),
    "bytes.npy": npy(np.full((N, 8, 8), b"a")),
    "void.npy": npy(np.zeros((N, 8, 8), "V4")),
    "records.npy": npy(np.zeros((N, 8, 8), [("a", "u1"), ("b", "f4")])),
    "dates.npy": npy(np.zeros((N, 8, 8), "datetime64[s]")),
    "complex.npy": npy(X * 1j),
    "booleans.npy": npy(X > 99),
    "int64.npy": npy(X.astype(np.int64)),
    "uint16.npy": npy(X.astype(np.uint16)),
    "floats_to_255.npy": npy(X.astype(np.float32)),
    "nan.npy": npy(np.full((N, 8, 8), np.nan)),
    "inf.npy": npy(np.where(X > 99, np.inf, 0.5)),
    "negative.npy": npy(X / 255.0 - 0.5),
    "scalar.npy": npy(np.uint8(3)),
    "vectors.npy": npy(X.reshape(N, -1)),
    "rank_5.npy": npy(X[..., None, None]),
    "rank_40.npy": npy(X.reshape(N, 8, 8, *[1] * 30)),
    "no_images.npy": npy(X[:0]),
    "no_pixels.npy": npy(X[:, :0]),
    "one_image.npy": npy(X[:1]),
    "all_the_same.npy": npy(np.zeros((N, 8, 8), np.uint8)),
    "zeros_and_ones.npy": npy((X > 99).astype(np.uint8)),
    "channels_first.npy": npy(np.stack([X, X, X], 1)),
}
"""Content that must be refused, by the file's name."""
TAKEN = {
    "array.npz": npy(X),
    "f_order.npy": npy(np.asfortranarray(X)),
    "float16.npy": npy((X / 255).astype(np.float16)),
    "big_endian.npy": npy((X / 255).astype(">f8")),
    "with_noise.npz": npz(images=X, labels=LABELS - 1),
    "no_class_known.npz": npz(images=X, labels=np.full(N, -1)),
    "one_class.npz": npz(images=X, labels=np.zeros(N, int)),
    "huge_classes.npz": npz(images=X, labels=LABELS * 2**62),
    "words.npz": npz(images=X, labels=np.array(["a", "b", "c"])[LABELS]),
    "byte_words.npz": npz(images=X, labels=np.array([b"a", b"b", b"\xff"])[LABELS]),
    "boolean_classes.npz": npz(images=X, labels=LABELS > 0),
    "five_channels.npy": npy(np.stack([X] * 5, -1)),
    "archive.npy": npz(images=X),
    "more_members.npz": npz(images=X, labels=LABELS, other=b"hello"),
}
"""Content that is odd and sound."""


def special(folder):
    """Paths that are no regular files and must be refused, by their names."""
    paths = {}
    for name in ("pipe.npz", "pipe.npy", "pipe.csv", "pipe.zip", "pipe.tar.gz", "pipe.parquet"):
        paths[name] = folder / name
        os.mkfifo(paths[name])
    paths["folder.npz"] = folder / "folder.npz"
    paths["folder.npz"].mkdir()
    paths["gone.npz"] = folder / "gone.npz"
    paths["loop.npz"] = folder / "loop.npz"
    paths["loop.npz"].symlink_to(paths["loop.npz"])
    paths["zero.npy"] = folder / "zero.npy"
    paths["zero.npy"].symlink_to("/dev/zero")
    return paths
