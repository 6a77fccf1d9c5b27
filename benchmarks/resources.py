"""Measure what the steps of a sample take: seconds and peak memory against cells and size of the input.

conf/base.config asks for memory and time by these numbers: `python benchmarks/resources.py 1000 4000 16000`.
The cells are simulated, as sparse and as deep as those of a 10x run: 20,000 genes, 3,000 counts in a cell.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N_GENES, N_TYPES, DEPTH = 20_000, 10, 3_000
# As the pipeline does it by default
QUALITY_CONTROL = ["--doublets", "mark", "--nmads", "5", "--min-cells", "3"]
ENGINE = Path(__file__).resolve().parents[1] / "bin" / "cicl.py"


def simulate(n_cells: int, target: str, seed: int = 0) -> None:
    """Write cells of ten types; each count falls on a gene by the profile of the cell's type."""
    import anndata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    rng = np.random.default_rng(seed)
    profiles = rng.gamma(0.3, 1.0, N_GENES)[None, :] * np.exp(rng.normal(0, 0.7, (N_TYPES, N_GENES)))
    cumulative = np.cumsum(profiles / profiles.sum(axis=1, keepdims=True), axis=1)
    rows, columns = [], []
    for cell in range(n_cells):
        depth = int(DEPTH * rng.lognormal(0, 0.4))
        columns.append(np.searchsorted(cumulative[cell % N_TYPES], rng.random(depth)).clip(max=N_GENES - 1))
        rows.append(np.full(depth, cell, dtype=np.int32))
    places = (np.concatenate(rows), np.concatenate(columns).astype(np.int32))
    counts = sparse.csr_matrix((np.ones(len(places[0]), dtype=np.float32), places), shape=(n_cells, N_GENES))
    names = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    cells = anndata.AnnData(counts, obs=names, var=pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)]))
    cells.write_h5ad(target, compression="gzip")


def run(*arguments: object) -> tuple[float, float]:
    """Seconds and peak memory (MB) of one command of the engine.

    The kernel counts the memory of the process that starts another to the other's peak, so this one has to stay small.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, ENGINE, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"cicl.py {arguments[0]} ended with status {status}")
    return time.perf_counter() - start, used.ru_maxrss / 1024


def main(sizes: list[int]) -> None:
    """Print a row for every number of cells and step."""
    print("cells\tstep\tinput_mb\tseconds\tpeak_mb", flush=True)
    for n_cells in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            counts, prepared = folder / "s.h5ad", folder / "s.prepared.h5ad"
            subprocess.run([sys.executable, __file__, "--simulate", str(n_cells), counts], check=True)
            where = ["--id", "s", "--outdir", folder]
            steps = {
                "prepare": (counts, ["prepare", counts, *where, *QUALITY_CONTROL]),
                "fit": (prepared, ["fit", prepared, *where, "--device", "cpu", "--threads", 2]),
                "cluster": (prepared, ["cluster", prepared, "--fit", folder / "s.fit.pt", *where]),
                "score": (folder / "s.clustered.h5ad", ["score", folder / "s.clustered.h5ad", *where]),
                "markers": (folder / "s.clustered.h5ad", ["markers", folder / "s.clustered.h5ad", *where]),
                "plot": (
                    folder / "s.clustered.h5ad",
                    ["plot", folder / "s.clustered.h5ad", *where[:2], "--outdir", folder / "out"],
                ),
            }
            for step, (source, arguments) in steps.items():
                seconds, peak = run(*arguments)
                megabytes = source.stat().st_size / 1e6
                print(f"{n_cells}\t{step}\t{megabytes:.1f}\t{seconds:.0f}\t{peak:.0f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--simulate"]:
        simulate(int(sys.argv[2]), sys.argv[3])
    else:
        main([int(word) for word in sys.argv[1:]] or [1_000, 4_000, 16_000])
