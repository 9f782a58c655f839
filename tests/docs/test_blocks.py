"""Every code block of the README and of the site runs, or is named with the reason why not."""

import functools
import shlex

import numpy as np
import pytest
from PIL import Image

import doc_blocks
import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.data.datasets import Dataset
from jaxclust.engine import devices
from jaxclust.methods.registry import METHODS
from jaxclust.runs import fit as runs_fit

PAGES = {page.relative_to(doc_blocks.ROOT).as_posix(): page for page in doc_blocks.PAGES}
IMAGES = 110
"""Images of a set; --clusters auto with up to 20 clusters asks for five times as many."""
RUN = [
    name
    for name, page in PAGES.items()
    if any(
        (block.kind == "python" and name not in doc_blocks.NOT_RUN)
        or (block.kind == "shell" and not all(map(doc_blocks.skipped, doc_blocks.lines(block))))
        for block in doc_blocks.blocks(page)
    )
]


def all_lines():
    return [
        line
        for page in PAGES.values()
        for block in doc_blocks.blocks(page)
        if block.kind == "shell"
        for line in doc_blocks.lines(block)
    ]


def test_every_block_runs_or_has_a_reason():
    for line in all_lines():
        known = line.startswith("jaxclust ") or doc_blocks.skipped(line)
        assert known, f"no test runs {line!r}: name it in SKIPPED with a reason"
    for name, page in PAGES.items():
        for block in doc_blocks.blocks(page):
            if block.kind == "python":
                compile(block.text, f"{name}:{block.line}", "exec")


def test_no_reason_is_left_over():
    for start in doc_blocks.SKIPPED:
        assert any(line.startswith(start.rstrip()) for line in all_lines()), start


def test_a_line_gets_few_seeds_and_steps():
    words = doc_blocks.small("jaxclust fit dcec --data digits --seeds 10")
    assert words[:6] == ["fit", "dcec", "--data", "digits.npz", "--seeds", "3"]
    assert words[words.index("--max-steps") + 1] == "4"
    assert doc_blocks.small("jaxclust compare runs/all") == ["compare", "runs/all"]


@pytest.fixture
def folder(tmp_path, digits, monkeypatch):
    """A folder with the files that the pages name, in which a page runs."""
    images = digits.images[:IMAGES]
    labels = digits.labels[:IMAGES]
    for name in (*doc_blocks.FILES, "my-images"):
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels)
    np.savez(tmp_path / "new-images.npz", images=images[:5])
    np.save(tmp_path / "images.npy", digits.images[:1100])
    for name, size in (("my-photos", 40), ("PICTURES", 40), ("photos", IMAGES), ("new-images", 5)):
        for number in range(size):
            kind = tmp_path / name / f"kind-{number % 2}"
            kind.mkdir(parents=True, exist_ok=True)
            # Pictures of a folder get the size of the run that sorts them.
            Image.fromarray(images[number, :, :, 0] * 15).save(kind / f"{number}.png")
    (tmp_path / "more").mkdir()
    for number in range(40, 44):
        Image.fromarray(images[number, :, :, 0] * 15).save(tmp_path / "more" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXCLUST_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def short(folder, digits, monkeypatch):
    """Makes loading, fitting and opening short."""
    few = Dataset("digits", digits.images[:IMAGES], digits.labels[:IMAGES])
    load = jc.load
    monkeypatch.setattr(
        jc, "load", lambda name, **more: few if name in doc_blocks.FILES else load(name, **more),
        raising=False,
    )  # fmt: skip
    fit = runs_fit.fit

    @functools.wraps(fit)
    def short_fit(*arguments, **named):
        seeds = named.get("seeds", 5)
        named["seeds"] = min(seeds, 3) if isinstance(seeds, int) else seeds
        method = arguments[0] if isinstance(arguments[0], jc.Method) else None
        if method is not None:
            arguments = (small_method(method), *arguments[1:])
        return fit(*arguments, **named, progress=False)

    open_run = jc.open_run

    def short_open(directory, method=None):
        return open_run(directory, None if method is None else small_method(method))

    monkeypatch.setattr(jc, "fit", short_fit, raising=False)
    monkeypatch.setattr(jc, "open_run", short_open, raising=False)
    monkeypatch.setattr(devices, "fastest", lambda lanes: "map")
    for name, method in METHODS.items():
        monkeypatch.setitem(METHODS, name, small_method(method).replace(presets={
            preset: {} for preset in method.presets
        }))  # fmt: skip


def small_method(method):
    """The method with few steps."""
    names = set(doc_blocks.SMALL) & set(method.settings())
    if "reliable" in method.settings():
        names.remove("batch")
    changes = {name: int(doc_blocks.SMALL[name]) for name in names}
    return method.with_settings(changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_it_runs(name, folder, request, capfd):
    if any(block.kind == "python" for block in doc_blocks.blocks(PAGES[name])):
        request.getfixturevalue("short")
    names = {"__name__": "page"}
    for block in doc_blocks.blocks(PAGES[name]):
        if block.kind == "python" and name not in doc_blocks.NOT_RUN:
            exec(compile(block.text, f"{name}:{block.line}", "exec"), names)
        elif block.kind == "shell":
            for line in doc_blocks.lines(block):
                if doc_blocks.skipped(line) is None:
                    words = doc_blocks.small(line)
                    assert main(words) == 0, f"{shlex.join(words)}\n{capfd.readouterr().err}"
