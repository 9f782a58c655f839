"""What a release holds: its metadata, and the files beside the modules."""

import configparser
import importlib.metadata
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import jaxclust

ROOT = Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def lines(section, option):
    """The lines of an option of setup.cfg."""
    return SETUP[section][option].split("\n")[1:]


def data_files():
    """The files of the package that are no modules, from its folder."""
    package = ROOT / "jaxclust"
    kept = [path for path in package.rglob("*") if path.is_file()]
    kept = [path for path in kept if "__pycache__" not in path.parts]
    return {path.relative_to(package).as_posix() for path in kept if path.suffix != ".py"}


def test_every_file_of_the_package_is_shipped():
    listed = {
        (folder.replace(".", "/") + "/" + name).removeprefix("jaxclust/")
        for folder in SETUP["options.package_data"]
        for name in SETUP["options.package_data"][folder].split()
    }
    assert listed == data_files()
    assert "py.typed" in listed
    assert SETUP["options.packages.find"]["include"] == "jaxclust*"


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for path in (ROOT / "jaxclust").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_metadata_are_whole():
    about = SETUP["metadata"]
    assert about["license_expression"] == "Apache-2.0"
    assert "Apache License" in (ROOT / about["license_files"]).read_text()
    assert about["long_description"] == "file: README.md"
    assert about["long_description_content_type"] == "text/markdown"
    assert all(about[name] for name in ("author", "description", "keywords"))
    least = SETUP["options"]["python_requires"]
    assert least == ">=3.11"
    assert "Programming Language :: Python :: 3.11" in lines("metadata", "classifiers")
    # A license stands in the expression alone: both together are refused by the index.
    assert not [line for line in lines("metadata", "classifiers") if line.startswith("License")]


def test_one_version_stands_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == jaxclust.__version__
    version = jaxclust.__version__.partition(".dev")[0]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_versions_are_known_of_all_that_is_asked_for():
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    asked = lines("options", "install_requires")
    for extra in SETUP["options.extras_require"]:
        asked += lines("options.extras_require", extra)
    names = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in asked}
    assert names - pinned == set()


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(tmp_path):
    # Not by import: the folder build/ beside the package would be taken for it.
    if not list(importlib.metadata.distributions(name="build")):
        pytest.skip("needs the extra build")
    command = [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix("jaxclust/") for name in names if name.startswith("jaxclust/")}
    modules = {
        path.relative_to(ROOT / "jaxclust").as_posix() for path in (ROOT / "jaxclust").rglob("*.py")
    }
    assert inside == modules | data_files()
    about = f"jaxclust-{jaxclust.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"jaxclust", about}
    assert f"{about}/licenses/LICENSE" in names
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "requirements.txt"} <= held
    assert not [name for name in held if name.startswith("tests")]
