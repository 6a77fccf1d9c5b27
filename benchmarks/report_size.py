"""Size of a report of many cells, and the time until its first map is drawn in a headless Chromium.

usage: report_size.py [cells]        200,000 by default, simulated: 30 clusters, 2,000 genes, 100 of them in a cell
"""

import sys
import tempfile
import time
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bin"), str(ROOT / "tests" / "helpers")]
CLUSTERS, GENES, DETECTED = 30, 2_000, 100


def simulated(n_cells: int) -> anndata.AnnData:
    """Clusters of cells with counts, a map, a confidence and measures of quality."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, CLUSTERS, n_cells)
    # Every cluster has genes of its own among those that a cell may have.
    genes = np.sort((rng.integers(0, GENES // 2, (n_cells, DETECTED)) + 30 * codes[:, None]) % GENES, axis=1)
    counts = rng.geometric(0.4, genes.size).astype(np.float32)
    x = sparse.csr_matrix((counts, genes.ravel(), np.arange(0, genes.size + 1, DETECTED)), shape=(n_cells, GENES))
    x.sum_duplicates()
    obs = pd.DataFrame(
        {
            "cicl": pd.Categorical.from_codes(codes, [str(i) for i in range(CLUSTERS)]),
            "cicl_confidence": rng.beta(4, 2, n_cells),
            "cicl_qc_mito": rng.gamma(2, 2, n_cells),
        },
        index=[f"CELL{i:07d}-1" for i in range(n_cells)],
    )
    adata = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"GENE{i}" for i in range(GENES)]))
    adata.obsm["X_umap"] = (rng.normal(size=(CLUSTERS, 2)) * 8)[codes] + rng.normal(size=(n_cells, 2))
    adata.uns["cicl"] = {"id": "simulated"}
    return adata


def main(n_cells: int) -> None:
    """Write the report, open it, and print size and times."""
    from chromium import Page
    from sccicl.report.page import write_report

    with tempfile.TemporaryDirectory() as folder:
        adata = simulated(n_cells)
        start = time.perf_counter()
        path = write_report([(adata, {})], Path(folder) / "report.html")
        written = time.perf_counter() - start
        with Page(1440, 900) as page:
            start = time.perf_counter()
            page.open(path)
            # As a reader would who goes to the map at once
            page.run("void document.querySelector('.cells').scrollIntoView({behavior: 'instant'})")
            page.wait("document.querySelector('[data-plot=cells]').dataset.drawn")
            drawn = time.perf_counter() - start
            errors = page.errors
        size = path.stat().st_size / 1e6
        print(f"{n_cells:,} cells: {size:.1f} MB, written in {written:.1f} s, map drawn after {drawn:.1f} s", errors)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
