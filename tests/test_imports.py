"""Who may import whom: the folder is the layer. And nothing heavy is imported before it is used."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jaxclust"
LAYERS = (
    *("errors", "whole_files", "types", "ops", "networks", "methods", "engine", "runs"),
    *("estimators", "comparison", "report", "groups", "cli", "__main__"),
)
"""The rooms of the package; each may import those before it."""
GROUND = ("data", "evaluation")
"""Rooms that import errors alone, and that the engine and all above it may import."""
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
OUTSIDE = [
    path
    for folder in ("experiments", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def room(path: Path) -> str:
    """The first name below the package: "networks" for networks/layers.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """The modules and names that a file imports anywhere, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def may_import(importer: str, other: str) -> bool:
    """Whether a room may import from another."""
    if other in (importer, "errors"):
        return True
    if importer in GROUND:
        return False
    if other in GROUND:
        return LAYERS.index(importer) >= LAYERS.index("engine")
    below = LAYERS.index(other) < LAYERS.index(importer)
    return below and (importer, other) not in (("engine", "methods"), ("comparison", "estimators"))


def test_imports_go_downward():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in MODULES
        for name in sorted(imported(path))
        if name.startswith("jaxclust.") and name != "jaxclust.__version__"
        if not may_import(room(path), name.split(".")[1])
    ]
    assert wrong == []


def test_what_stands_outside_imports_the_package_and_its_own_folder_alone():
    folders = {"experiments", "benchmarks", "examples", "tests"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in OUTSIDE
        for name in sorted(imported(path))
        if name.split(".")[0] in folders - {path.relative_to(ROOT).parts[0]}
    ]
    assert wrong == []


def test_only_networks_import_flax():
    importers = {room(path) for path in MODULES if "flax" in _packages(path)}
    assert importers <= {"networks"}


def _packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("jaxclust", ("jax", "matplotlib", "numpy", "tyro")),
        ("jaxclust.cli.group", ("jax", "matplotlib", "sklearn", "jaxclust.methods")),
        ("jaxclust.cli.main", ("jax", "matplotlib", "numpy", "tyro", "jaxclust.methods")),
        (
            "jaxclust.cli.fit",
            (
                *("PIL", "cv2", "matplotlib", "orbax", "requests", "scipy", "sklearn"),
                *("tensorflow", "tensorflow_datasets", "torch"),
            ),
        ),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(module, heavy):
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_experiments_can_be_imported_without_the_command_line_packages():
    # The benchmarks import what is in PyTorch only as they run.
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in OUTSIDE
        if path.parts[len(ROOT.parts)] != "examples" and not path.stem.startswith("torch_")
    ]
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
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert end.returncode == 0, end.stderr
