"""Who may import whom (docs: the layers), and that nothing heavy is imported before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxclust"
LAYERS = {
    "types": 0,
    **dict.fromkeys(("assignment", "images", "kmeans", "losses", "networks", "optimizers"), 1),
    **dict.fromkeys(("agglomerative", "graph", "merging"), 1),
    **dict.fromkeys(("layerwise", "pretrain", "selftraining", "supervised", "algorithms"), 2),
    **dict.fromkeys(("compiling", "devices", "train", "checkpoint"), 3),
    **dict.fromkeys(
        ("compare", "datasets", "downloads", "estimators", "events", "features", "fit"), 4
    ),
    **dict.fromkeys(("folders", "plots", "predict", "record", "report", "sheets"), 4),
    **dict.fromkeys(("sources", "stdout", "streaming", "summary", "transfer", "weights"), 4),
    **dict.fromkeys(("auto", "cli", "flags", "progress", "stream", "sweep"), 5),
    "__main__": 6,
}
ASIDE = {"metrics", "selection", "stats"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part(path):
    """The first name below the package: "networks" for networks/layers.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Names imported anywhere in a file, as dotted strings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_a_layer():
    assert {part(path) for path in MODULES} - {"__init__"} == LAYERS.keys() | ASIDE


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path):
    mine = part(path)
    if mine == "__init__":
        return
    for name in imported(path):
        if not name.startswith("jaxclust."):
            continue
        theirs = name.split(".")[1]
        if theirs.startswith("__"):
            continue
        if theirs in ASIDE:
            assert mine in ASIDE or LAYERS[mine] >= 4, f"{mine} imports {name}"
            continue
        if mine in ASIDE:
            pytest.fail(f"{mine} stands aside and imports {name}")
        assert LAYERS[theirs] <= LAYERS[mine], f"{mine} imports {name}"
        if mine in ("train", "checkpoint"):
            assert theirs not in ("algorithms", "pretrain"), "the driver knows no algorithm by name"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_networks_import_flax(path):
    if part(path) != "networks":
        assert not any(name.split(".")[0] == "flax" for name in imported(path))


def test_nothing_heavy_is_imported_before_it_is_used():
    heavy = (
        "PIL",
        "cv2",
        "matplotlib",
        "orbax",
        "requests",
        "sklearn",
        "tensorflow",
        "tensorflow_datasets",
        "torch",
    )
    code = f"import sys, jaxclust.cli; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_experiments_can_be_imported_without_the_command_line_packages():
    root = PACKAGE.parent
    paths = [
        path for folder in ("experiments", "benchmarks") for path in (root / folder).glob("*.py")
    ]
    # benchmarks.step imports PyTorch's steps only as it runs.
    names = [f"{path.parent.name}.{path.stem}" for path in paths if path.stem != "torch_steps"]
    missing = ("tyro", "tqdm", "grain", "tensorflow_datasets", "torch")
    code = f"""
import importlib, sys

class Missing:
    def find_spec(name, path, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(name)

# Not None in sys.modules: SciPy takes any name that stands there for an installed package.
sys.meta_path.insert(0, Missing)
for name in {names}:
    importlib.import_module(name)
"""
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert end.returncode == 0, end.stderr
