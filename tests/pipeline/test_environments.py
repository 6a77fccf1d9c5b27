"""Conda environments: all that a process imports is in its file, in versions that are the lock's."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "modules").rglob("environment*.yml"))
# Import names that are not the package's on conda-forge
PACKAGES = {"igraph": "python-igraph", "sklearn": "scikit-learn", "umap": "umap-learn", "matplotlib": "matplotlib-base"}
# What others bring: triton comes with torch for GPUs, numba with umap-learn, the others with jinja2 and scikit-learn
BROUGHT = {"triton", "numba", "packaging", "markupsafe", "threadpoolctl"}
# Rivals and tools that the engine tries to import, and does without
OPTIONAL = {"celltypist", "harmonypy", "scvi", "hnswlib", "joblib", "psutil"}


def imports(folder: Path) -> set[str]:
    """First parts of the names that any file below a folder imports, wherever it stands in the file."""
    found = set()
    # Those of the benchmark's programs run in environments of their own: docs/benchmark-systems.md.
    for path in set(folder.rglob("*.py")) - set(folder.rglob("benchmark/programs/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"sccicl", "cicl", "cicl_benchmark"}


def pins(path: Path) -> dict[str, str]:
    """Package -> version of an environment file."""
    lines = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    return dict(re.fullmatch(r"[a-z-]+::([a-z0-9._-]+)=([^=<>]+)", line).groups() for line in lines)


def runs_the_engine(path: Path) -> bool:
    return bool(re.search(r"^ *cicl(_benchmark)?\.py ", path.with_name("main.nf").read_text(encoding="utf-8"), re.M))


def test_files_are_those_of_the_lock():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "conda_environments.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [path for path in FILES if runs_the_engine(path)], ids=lambda path: path.parent.name)
def test_imports_of_the_engine_are_there(path):
    there = set(pins(path)) | ({"torch"} if set(pins(path)) & {"pytorch-cpu", "pytorch-gpu"} else set())
    needed = {PACKAGES.get(name, name) for name in imports(ROOT / "bin") - BROUGHT - OPTIONAL}
    assert needed - there == set()
    # 0.7 breaks scanpy's neighbours above 8,192 cells; Scrublet takes it above 10,000
    assert pins(path)["pynndescent"].startswith("0.5.")


def test_every_module_has_its_environment():
    assert {path.parent for path in FILES} == {path.parent for path in (ROOT / "modules").rglob("main.nf")}
    for path in FILES:
        assert path.name in path.with_name("main.nf").read_text()
    assert "celltypist" in pins(ROOT / "modules/local/annotate/environment.yml")
    assert "multiqc" in pins(ROOT / "modules/local/multiqc/environment.yml")


def test_gpu_environments_are_of_one_cuda():
    for path in FILES:
        if "gpu" in path.name:
            found = pins(path)
            # CUDA 13 wants a driver that few clusters have; Triton needs a C compiler at run time.
            assert found["cuda-version"].split(".")[0] == "12" and "c-compiler" in found and "pytorch-gpu" in found
