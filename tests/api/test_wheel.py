"""The wheel holds the whole library: modules, templates, page files, labels and types."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "from setuptools import build_meta; build_meta.build_wheel({!r})"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that setuptools builds, offline and without a build environment of its own."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tree)
    generated = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", ignore=generated)
    out = tree / "dist"
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(str(out))],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.whl")
    return zipfile.ZipFile(found)


def test_every_file_of_the_package_travels(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src" / "neuron_atlas"
    there = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if not name.partition("/")[0].endswith("-info")}
    assert packed == there
    assert {
        "neuron_atlas/py.typed",
        "neuron_atlas/relation_labels.yaml",
        "neuron_atlas/templates/en.yaml",
        "neuron_atlas/page/style.css",
        "neuron_atlas/page/index.html.j2",
        "neuron_atlas/api/loading.py",
    } <= packed


def test_files_travel_unchanged(wheel: zipfile.ZipFile) -> None:
    for name in wheel.namelist():
        if name.startswith("neuron_atlas/"):
            assert wheel.read(name) == (ROOT / "src" / name).read_bytes(), name


def test_the_licence_travels_and_the_name_is_ours(wheel: zipfile.ZipFile) -> None:
    (licence,) = [name for name in wheel.namelist() if name.endswith("LICENSE")]
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert Path(str(wheel.filename)).name.startswith("neuron_atlas-")
