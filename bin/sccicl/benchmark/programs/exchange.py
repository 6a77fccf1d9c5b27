"""What the Python programs share: reading what they are given, leaving what they found. See program.py.

Runs in Python 3.7 too, for programs that are as old as that; packages are imported where they are used.
"""

import glob
import hashlib
import importlib
import os
import runpy
import subprocess
import sys
import time
import types


class Exchange:
    """`k` (None where it has to be found), `seed`, `options`; the clock starts with `start`."""

    def __init__(self):
        with open("options.tsv", encoding="utf-8") as file:
            self.options = dict(line.rstrip("\n").split("\t") for line in file)
        self.k = int(self.options["k"]) or None
        self.seed = int(self.options["seed"])
        self._start = None

    def start(self):
        """Libraries are loaded: seconds count from here."""
        self._start = time.perf_counter()

    def counts(self):
        """Cells x genes, scipy CSR."""
        from scipy.io import mmread

        return mmread("counts.mtx").T.tocsr().astype("float32")

    def genes(self):
        """Names of genes."""
        with open("genes.tsv", encoding="utf-8") as file:
            return file.read().splitlines()

    def leave(self, labels, version):
        """Write clusters, seconds and version."""
        with open("clusters.txt", "w", encoding="utf-8") as file:
            file.writelines(f"{label}\n" for label in labels)
        with open("seconds.txt", "w", encoding="utf-8") as file:
            file.write(f"{time.perf_counter() - self._start:.3f}\n")
        with open("version.txt", "w", encoding="utf-8") as file:
            file.write(version + "\n")

    def cells(self):
        """AnnData of the counts, without any column."""
        import anndata
        import pandas as pd

        found = anndata.AnnData(self.counts(), var=pd.DataFrame(index=self.genes()))
        found.var_names_make_unique()
        return found

    def variable_genes(self, n_genes=2000):
        """Cells x variable genes: AnnData with log1p of counts / size factor, `layers["counts"]` the counts."""
        import scanpy as sc

        cells = self.cells()
        cells.layers["counts"] = cells.X.copy()
        sc.pp.normalize_total(cells)
        sc.pp.log1p(cells)
        if cells.n_vars > n_genes:
            sc.pp.highly_variable_genes(cells, n_top_genes=n_genes)
            cells = cells[:, cells.var["highly_variable"].to_numpy()].copy()
        return cells

    def components(self, n_components=50):
        """Principal components of z-scores (clipped at 10) of 2,000 variable genes."""
        import scanpy as sc

        cells = self.variable_genes()
        cells.X = cells.X.toarray()
        sc.pp.scale(cells, max_value=10)
        n_components = min(n_components, min(cells.shape) - 1)
        return sc.pp.pca(cells.X, n_comps=n_components, random_state=self.seed)


def version_of(package):
    """Name and version of an installed package."""
    try:
        from importlib.metadata import version
    except ImportError:  # Python 3.7
        from pkg_resources import get_distribution

        return f"{package} {get_distribution(package).version}"
    return f"{package} {version(package)}"


def commit_of(folder):
    """The commit of a checkout; of a folder without one, the digest of its Python files."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "**", "*.py"), recursive=True)):
        with open(path, "rb") as file:
            digest.update(file.read())
    files = "files " + digest.hexdigest()[:8]
    # A folder inside another checkout would be given the commit of that.
    if not os.path.exists(os.path.join(folder, ".git")):
        return files
    try:
        found = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--dirty", "--exclude", "*"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return "commit " + found.stdout.decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return files


def without_gpu():
    """Let code that asks for CUDA everywhere run where there is none."""
    import torch

    if torch.cuda.is_available():
        return
    torch.cuda.set_device = lambda *_args, **_options: None
    torch.Tensor.cuda = lambda self, *_args, **_options: self
    torch.nn.Module.cuda = lambda self, *_args, **_options: self


def _empty_class(name):
    """What a name of an empty module is: `from PIL import ImageFilter` and classes that are made of it work."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})


def empty_modules(*names):
    """Put an empty module in the place of every package that is missing and is imported for plots only."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            module = types.ModuleType(name)
            module.__getattr__ = _empty_class
            sys.modules[name] = module
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)


def import_from(folder):
    """From here on modules are imported from a checkout, and nothing is written to it."""
    # Our own folder is first on the path; modules of the checkout must not meet ours.
    sys.path[0] = folder
    sys.dont_write_bytecode = True


def run_script(folder, script, *arguments):
    """Run a script of a checkout as `python script arguments` would, in this process; nothing is written to it."""
    import_from(folder)
    sys.argv = [os.path.join(folder, script)] + [str(argument) for argument in arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")
