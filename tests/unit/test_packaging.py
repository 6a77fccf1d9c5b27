"""The wheel has the command and all of the package; every file bears the same version."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))


def test_one_version():
    from set_version import PLACES, current, found

    bearers = found()
    assert {version for _, version in bearers} == {current()}, bearers
    bearing = {str(path.relative_to(ROOT)) for path, _ in bearers}
    plain = {name for name in PLACES if "*" not in name}
    assert plain <= bearing, "a file that should bear the version has none"
    modules = {
        str(path.relative_to(ROOT)) for path in ROOT.glob("modules/**/main.nf") if "cicl-nextflow" in path.read_text()
    }
    assert modules <= bearing


def test_changelog_and_recipe_know_what_pyproject_does():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = (ROOT / "recipes" / "meta.yaml").read_text()
    in_conda = {"torch": "pytorch", "igraph": "python-igraph", "matplotlib": "matplotlib-base"}
    for dependency in project["dependencies"]:
        name, bound = re.match(r"([\w-]+)(.*)", dependency).groups()
        line = re.search(rf"^    - {in_conda.get(name, name)}( .*)?$", recipe, re.MULTILINE)
        assert line, f"recipes/meta.yaml lacks {name}"
        assert (line[1] or "").strip() == bound


@pytest.mark.slow
def test_wheel(tmp_path):
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "build", "--quiet", "--out-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("sccicl-*.whl")
    (archive,) = tmp_path.glob("sccicl-*.tar.gz")
    assert archive.stat().st_size > 10_000
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        commands = configparser.ConfigParser()
        commands.read_string(file.read(next(name for name in names if name.endswith("entry_points.txt"))).decode())
    assert commands["console_scripts"]["cicl"] == "sccicl.cli.sample:main"
    package = {str(path.relative_to(ROOT / "bin")) for path in (ROOT / "bin" / "sccicl").rglob("*.*")}
    assert {name for name in package if "__pycache__" not in name} <= names
    # Installed alone, without the checkout
    target = tmp_path / "installed"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", target, wheel], check=True)
    done = subprocess.run(
        [sys.executable, "-c", "import sccicl, sys; print(sccicl.__file__, sccicl.__version__)"],
        env={"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(target))
    assert (target / "bin" / "cicl").exists()
