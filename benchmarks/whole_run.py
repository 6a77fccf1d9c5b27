"""The whole way of a sample, from counts to figures: `cicl.py run` against the same steps in scanpy.

    python benchmarks/whole_run.py scanpy FILE.h5ad OUTDIR

is scanpy's way in a process of its own: normalise, genes, PCA, neighbours, Leiden, UMAP, markers, and the figures.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def scanpy_way(path: Path, outdir: Path) -> None:
    """What scanpy's tutorial does with a sample, with scanpy's defaults, and a UMAP and a marker figure as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    adata = sc.read_h5ad(path)
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=2000)
    sc.pp.pca(adata)
    sc.pp.neighbors(adata)
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2)
    sc.tl.umap(adata)
    sc.tl.rank_genes_groups(adata, "leiden", method="wilcoxon")
    sc.pl.umap(adata, color="leiden", show=False)
    plt.savefig(outdir / "umap.png", dpi=150, bbox_inches="tight")
    sc.pl.rank_genes_groups_dotplot(adata, n_genes=4, show=False)
    plt.savefig(outdir / "markers.png", dpi=150, bbox_inches="tight")
    adata.write_h5ad(outdir / "scanpy.h5ad")


def process_of(command: list[str], threads: int) -> dict[str, float]:
    """Run a command; seconds of the wall clock, CPU seconds and peak memory of it and its children."""
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))}
    environment["OPENBLAS_NUM_THREADS"] = str(threads)
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        # The largest of all children so far; the processes are measured from the smallest on.
        "peak_mb": after.ru_maxrss / 2**10,
    }


def compare(path: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Best of the rounds of both ways, taking turns, with the stages of ours, and ours over scanpy's."""
    best: dict[str, Any] = {}
    stages: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        options = ["--id", "sample", "--outdir", folder, "--device", "cpu", "--threads", str(threads)]
        ways = {
            "scanpy": [sys.executable, __file__, "scanpy", str(path), folder],
            "cicl": [sys.executable, str(ROOT / "bin" / "cicl.py"), "run", str(path), *options],
        }
        for _ in range(rounds):
            for name, command in ways.items():
                took = process_of(command, threads)
                if name not in best or took["cpu_seconds"] < best[name]["cpu_seconds"]:
                    best[name] = took
                    if name == "cicl":
                        stages = json.loads((Path(folder) / "sample.metrics.json").read_text())["seconds"]
    ratios = {key: best["cicl"][key] / best["scanpy"][key] for key in ("seconds", "cpu_seconds")}
    return {"file": path.name, "threads": threads, **best, "stages_seconds": stages, "cicl_over_scanpy": ratios}


def main() -> None:
    """Do scanpy's way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("way", choices=["scanpy"])
    parser.add_argument("path", type=Path)
    parser.add_argument("outdir", type=Path)
    options = parser.parse_args()
    scanpy_way(options.path, options.outdir)


if __name__ == "__main__":
    main()
