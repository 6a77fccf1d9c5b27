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
    assert commands["console_scripts"]["cicl"] == "sccicl.cli:main"
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


def _sections(path):
    """Sections of a definition file of Apptainer: name -> its lines."""
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("%"):
            found[name := line[1:].strip()] = []
        elif found and line.strip():
            found[name].append(line.strip())
    return found


def _dockerfile(path):
    """Lines of RUN without flags, arguments of COPY from the project, and variables of ENV."""
    text = path.read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    runs = [re.sub(r"^(--\S+ )+", "", rest) for word, rest in lines if word == "RUN"]
    copies = [rest.split() for word, rest in lines if word == "COPY" and "--from" not in rest]
    variables = " ".join(rest for word, rest in lines if word == "ENV")
    return runs, copies, variables


def _commands(script, folder):
    """Commands that a script of the shell runs, written down by stand-ins, which are all that is on the PATH."""
    folder.mkdir()
    log = folder / "log"
    for name in ("apt-get", "bash", "ln", "rm", "mkdir", "useradd", "python3"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n')
        (folder / name).chmod(0o755)
    subprocess.run(["/bin/sh", "-eu", "-c", script], env={"PATH": str(folder)}, cwd=folder, check=True)
    return [line.split() for line in log.read_text().splitlines()]


def _packages(commands):
    return {word for words in commands if words[:2] == ["apt-get", "install"] for word in words[2:] if word[0] != "-"}


@pytest.mark.parametrize(("kind", "dockerfile"), [("cpu", "Dockerfile"), ("gpu", "Dockerfile.gpu")])
def test_definition_files_do_what_the_dockerfiles_do(kind, dockerfile, tmp_path):
    """Apptainer cannot be run here: the commands of both files are, with stand-ins for what they call."""
    sections = _sections(ROOT / "containers" / f"{kind}.def")
    runs, copies, variables = _dockerfile(ROOT / "containers" / dockerfile)
    assert set(sections) == {"arguments", "files", "post", "environment", "labels", "test"}
    post = re.sub(r"\{\{ \w+ \}\}", "", "\n".join(sections["post"]))
    built, of_docker = _commands(post, tmp_path / "def"), _commands("\n".join(runs), tmp_path / "docker")
    # Certificates come with the build of Docker as a secret.
    assert _packages(built) - {"ca-certificates"} == _packages(of_docker)
    for command in ("bash", "ln"):
        assert [words for words in built if words[0] == command] == [
            words for words in of_docker if words[0] == command
        ]
    copied = [(source, target) for *sources, target in copies for source in sources]
    pairs = [tuple(line.split()) for line in sections["files"]]
    assert sorted(pairs) == sorted(
        (source, f"{target}{Path(source).name}" if target.endswith("/") else target) for source, target in copied
    )
    assert all((ROOT / source).exists() for source, _ in pairs)
    exported = [word for word in " ".join(sections["environment"]).split() if "=" in word]
    assert exported and all(word in variables for word in exported)
    # Both take the base that the user gives.
    head = (ROOT / "containers" / f"{kind}.def").read_text()
    assert "From: {{ base }}" in head and f"base={_base(dockerfile)}" in sections["arguments"]


def _base(dockerfile):
    return re.search(r"^ARG BASE=(\S+)", (ROOT / "containers" / dockerfile).read_text(), re.MULTILINE)[1]
