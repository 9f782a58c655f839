"""Galleries of made-up pictures, and what their pages hold."""

import base64
import json
import re
import shutil

import numpy as np
from PIL import Image

from jaxclust.report.gallery import Gallery, write_gallery

AWKWARD = (
    "</script><script>alert(1)</script>.png",
    'it\'s "one" & <b>two</b>, three.png',
    "caf\udce9.png",
    "two\nlines.png",
)
TARGET = "original%20%231.png"
"""The original of every picture."""


def gallery(n=12, k=3, **parts):
    """A gallery of n pictures in k groups, the last of which fits none.

    The names of the last pictures but one are awkward.
    """
    generator = np.random.default_rng(0)
    groups = (np.arange(n) % k).astype(np.int32)
    groups[-1] = -1
    sure = generator.uniform(0.5, 1, n)
    members = [np.flatnonzero(groups == group) for group in range(k)]
    names = [f"holiday/{i:04d}.png" for i in range(n)]
    names[-1 - len(AWKWARD) : -1] = AWKWARD
    given = Gallery(
        title="My <pictures>",
        names=names,
        targets=[TARGET] * n,
        groups=groups,
        sure=sure,
        order=[places[np.argsort(-sure[places])] for places in members],
        neighbors=np.stack([np.roll(np.arange(n), -i - 1)[:10] for i in range(n)]).astype(np.int32),
        group_names=["", "Cats & <dogs>", *[""] * (k - 2)],
        levels={"coarse": np.where(groups < 0, -1, 0).astype(np.int32)},
        about=[f"{n} pictures.", "2 < 3."],
    )
    return given._replace(**parts)


def picture(i):
    """A picture of one color that tells i, wide for even i and high for odd i."""
    size = (64, 32) if i % 2 == 0 else (50, 200)
    return Image.new("RGB", size, color(i))


def color(i):
    return (i % 6 * 40 + 20, i // 6 % 6 * 40 + 20, i // 36 % 6 * 40 + 20)


def written(folder, given, thumbnail=picture):
    """The page of a gallery, beside the original of its pictures."""
    page = folder / "groups.html"
    write_gallery(page, given, thumbnail)
    picture(0).save(folder / "original #1.png")
    return page


def content(page):
    """What the page's script reads."""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S
    )
    return json.loads(found[1])


def array(text, kind="<i4"):
    return np.frombuffer(base64.b64decode(text), kind)


def copied(page, folder):
    """The page and what it loads, in another folder."""
    shutil.copytree(page.parent, folder, dirs_exist_ok=True)
    return folder / page.name
