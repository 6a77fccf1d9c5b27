"""Conda environments of the modules, made of the lock: exact versions, and no package that a process lacks.

usage: python scripts/conda_environments.py [--write]

Without --write it ends with status 1 where a file is not as it would be made. All processes of the engine have the same
environment, so that conda makes it once; ANNOTATE has CellTypist besides, and the training has one for GPUs.
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
MODULES = ROOT / "modules" / "local"
# The Python of the images, for which the lock's markers are read
PYTHON = "3.11"
# conda-forge's names where they are not PyPI's. igraph alone is the C library there.
CONDA_NAMES = {"igraph": "python-igraph", "matplotlib": "matplotlib-base", "torch": "pytorch-cpu"}
BIOCONDA = {"celltypist", "multiqc"}
# torch for CUDA 12, whose drivers (525 to 575) most clusters have. Triton builds its launcher with a C compiler.
GPU = ["conda-forge::c-compiler=1.11.0", "conda-forge::cuda-version=12"]
# Programs that the lock has not
ALIGNERS = {
    "gffread": ["bioconda::gffread=0.12.7"],
    "star/genomegenerate": ["bioconda::star=2.7.10b"],
    "star/starsolo": ["bioconda::star=2.7.10b"],
    # which brings salmon and alevin-fry
    "simpleaf/index": ["bioconda::simpleaf=0.19.5"],
    "simpleaf/quant": ["bioconda::simpleaf=0.19.5"],
    "reference": ["conda-forge::gawk=5.3.1", "conda-forge::gzip=1.13"],
    "transcripts": ["conda-forge::gawk=5.3.1"],
}
HEAD = """---
# Made of the lock by scripts/conda_environments.py: `make format` writes it anew
channels:
  - conda-forge
  - bioconda
dependencies:
"""


def locked() -> dict[str, str]:
    """Versions of the lock for PYTHON on Linux."""
    here = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
    here |= {"platform_machine": "x86_64", "platform_system": "Linux", "implementation_name": "cpython"}
    found = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        match = re.match(r"^([a-z0-9._-]+)==(\S+?)(?:\s*;\s*(.*?))?\s*\\?$", line)
        if match and (match[3] is None or Marker(match[3]).evaluate(here)):
            found[match[1]] = match[2]
    return found


def engine_packages() -> list[str]:
    """What the engine is declared to need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text).name for text in project["dependencies"]]


def pinned(names: list[str], gpu: bool = False) -> list[str]:
    """`channel::name=version` of packages, by conda's names."""
    versions = locked()
    conda_names = CONDA_NAMES | ({"torch": "pytorch-gpu"} if gpu else {})
    pins = [
        f"{'bioconda' if name in BIOCONDA else 'conda-forge'}::{conda_names.get(name, name)}={versions[name]}"
        for name in names
    ]
    return [*pins, f"conda-forge::python={PYTHON}", *(GPU if gpu else [])]


def made() -> dict[Path, str]:
    """Content of every environment file."""
    engine = engine_packages()
    found = {}
    for source in sorted(MODULES.rglob("main.nf")):
        folder = source.parent
        name = str(folder.relative_to(MODULES))
        packages = {"multiqc": ["multiqc"], "annotate": [*engine, "celltypist"]}.get(name, engine)
        pins = {"environment.yml": ALIGNERS.get(name) or pinned(packages)}
        if "environment.gpu.yml" in source.read_text(encoding="utf-8"):
            pins["environment.gpu.yml"] = pinned(packages, gpu=True)
        for file, lines in pins.items():
            found[folder / file] = HEAD + "".join(f'  - "{line}"\n' for line in sorted(lines))
    return found


def main(write: bool) -> int:
    """Write the files, or name those that are not as they would be made."""
    files = made()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if write:
        for path in stale:
            path.write_text(files[path], encoding="utf-8")
        return 0
    for path in stale:
        print(f"{path.relative_to(ROOT)} is not what the lock makes of it: make format")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
