"""Imports run one way: each folder of the package imports only what docs/architecture.md allows it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bin" / "sccicl"
# Of other packages, what these folders may import anywhere, and at the top of a file
ANYWHERE = {"model": {"torch", "numpy", "triton"}}
AT_TOP = {"runtime": set()}


def allowed() -> dict[str, set[str]]:
    """Folder or file of the package -> what it may import, from the table of docs/architecture.md, top layer first."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)/?` +\|[^|\n]*\|([^|\n]*)\|$", text, re.MULTILINE)
    layers = {
        name.removesuffix(".py"): re.findall(r"`([\w.]+?)(?:\.py)?/?`|(everything below)", may) for name, may in rows
    }
    names = list(layers)
    return {
        name: {other for word, below in may for other in (names[names.index(name) + 1 :] if below else [word])}
        for name, may in layers.items()
    }


def imports(path: Path) -> list[tuple[str, bool]]:
    """Modules that a file imports, ours as `sccicl...`, and whether it does at its top; those inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    package = ["sccicl", *path.relative_to(PACKAGE).parent.parts]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [] if node.level == 0 else package[: len(package) - node.level + 1]
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                is_module = (PACKAGE.parent / inner.replace(".", "/")).with_suffix(".py").exists()
                is_folder = (PACKAGE.parent / inner.replace(".", "/")).is_dir()
                found.append((inner if is_module or is_folder else module, id(node) in top))
    return found


def layer_of(module: str) -> str:
    """The folder of a module of ours, or the file beside the folders."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


FILES = sorted(PACKAGE.rglob("*.py"))


def test_the_table_names_every_folder_and_file():
    layers = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    layers |= {path.stem for path in PACKAGE.glob("*.py")}
    assert set(allowed()) == layers


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(path):
    folder = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    may = allowed()[folder] | {folder}
    ours = {layer_of(module) for module, _ in imports(path) if module.split(".")[0] == "sccicl"}
    assert ours <= may, f"{path.name} imports from {sorted(ours - may)}"


def test_no_circle_among_files():
    graph = {}
    for path in FILES:
        name = ".".join(["sccicl", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        # A package's __init__ that hands on what its files hold is imported with each of them.
        graph[name] = {module for module, _ in imports(path) if module.startswith("sccicl") and module != name}
    # Take away files that import none of the rest, until nothing goes: what stays is in a circle or above one.
    while free := [name for name, needs in graph.items() if not needs & set(graph)]:
        for name in free:
            del graph[name]
    assert not graph


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_packages_of_others_where_they_may_be(path):
    folder = path.relative_to(PACKAGE).parts[0]
    for module, at_top in imports(path):
        root = module.split(".")[0]
        if root == "sccicl" or root in sys.stdlib_module_names:
            continue
        assert root in ANYWHERE.get(folder, {root}), f"{path.name} imports {root}"
        assert not at_top or root in AT_TOP.get(folder, {root}), f"{path.name} imports {root} at its top"


def test_the_model_needs_torch_and_numpy_only():
    program = """
import importlib, importlib.abc, importlib.util, pkgutil, sys
ALLOWED = {"torch", "numpy", "sccicl"}
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root = name.split(".")[0]
        if root in {"scipy", "pandas", "anndata", "scanpy", "sklearn", "tqdm", "h5py", "click", "matplotlib", "igraph"}:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return None
sys.meta_path.insert(0, Refuse())
import sccicl.model
names = [module.name for module in pkgutil.iter_modules(sccicl.model.__path__, "sccicl.model.")]
for name in names:
    if not name.endswith("loss_triton") or importlib.util.find_spec("triton"):
        importlib.import_module(name)
print(len(names))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) == len(list((PACKAGE / "model").glob("[!_]*.py")))
