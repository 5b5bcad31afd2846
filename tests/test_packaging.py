"""The wheel and the source distribution hold what they should, and the wheel works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "drl_latent": Path("drl_latent"),
    "envs": Path("drl_latent/envs"),
    "agents": Path("drl_latent/agents"),
}
LINKS = ("envs", "agents")


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what a checkout has: a build in the real one would leave files behind."""
    copy = tmp_path_factory.mktemp("tree") / "drl_latent"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in (*SOURCES, "tests", "scripts"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
    return copy


@pytest.fixture(scope="module")
def wheel(tree):
    """The wheel that is made from the source distribution, which is made from the tree."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tree / "dist", cwd=tree)
    (wheel,) = (tree / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def expected(tree):
    """Where each module and data file of the tree belongs in the wheel."""
    files = set()
    for source, target in SOURCES.items():
        # os.walk does not follow the two symlinks.
        for folder, _, names in os.walk(tree / source):
            inside = Path(folder).relative_to(tree / source)
            is_data = bool({"assets", "templates"} & set(inside.parts))
            files.update(
                str(target / inside / name)
                for name in names
                if is_data or name == "py.typed" or name.endswith(".py")
            )
    return files


@pytest.mark.parametrize("name", LINKS)
def test_editors_see_the_installed_layout(name):
    link = ROOT / "drl_latent" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"


def test_wheel_holds_every_module_and_asset(wheel_files, expected):
    missing = expected - wheel_files
    assert not missing, f"not in the wheel (is there an __init__.py?): {sorted(missing)}"
    assert "drl_latent/py.typed" in wheel_files
    assert any(name.startswith("drl_latent/envs/assets/") for name in wheel_files)


def test_wheel_holds_nothing_else_at_the_top(wheel_files):
    top = {name.split("/")[0] for name in wheel_files}
    assert {name for name in top if not name.endswith(".dist-info")} == {"drl_latent"}


def test_source_distribution_has_each_file_once(tree, wheel):
    (sdist,) = (tree / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert "envs/__init__.py" in files
    assert not [name for name in files if name.startswith(("drl_latent/envs", "drl_latent/agents"))]


def test_wheel_of_the_tree_is_the_same(tree, wheel_files):
    """What ``pip install .`` in a checkout builds, where the symlinks are."""
    out = tree / "direct"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=tree)
    (direct,) = out.glob("*.whl")
    with zipfile.ZipFile(direct) as archive:
        assert set(archive.namelist()) == wheel_files


def test_every_module_can_be_imported_from_the_wheel(wheel, wheel_files, tmp_path):
    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=False, symlinks=True)
    python = fresh / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-compile", wheel, cwd=tmp_path)
    site = Path(
        run(
            python, "-c", "import sysconfig as s; print(s.get_path('purelib'))", cwd=tmp_path
        ).strip()
    )
    # A path in a .pth file is only appended: the .pth files over there, among them that of an
    # editable drl_latent, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    modules = sorted(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in wheel_files
        if name.endswith(".py") and not name.endswith("__main__.py")
    )
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "import drl_latent; print(drl_latent.__file__)\n"
        "for name in ('envs', 'agents', 'tests', 'scripts'):\n"
        "    assert importlib.util.find_spec(name) is None, name\n"
    )
    where = run(python, "-I", "-c", code, *modules, cwd=tmp_path).splitlines()[-1]
    assert Path(where).is_relative_to(fresh)
    assert (fresh / "bin" / "drl-latent").exists()
