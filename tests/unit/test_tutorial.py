"""docs/tutorial.ipynb runs from its first cell to its last, and names the clusters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
END = """
assert 3 <= adata.obs["cicl"].nunique() <= 12
assert {"T cell", "B cell"} <= set(adata.obs["cell_type"])
sccicl_again = sccicl.cicl(adata, random_state=0, layer="counts", copy=True)
assert (sccicl_again.obs["cicl"] == adata.obs["cicl"]).all()
assert sccicl_again.obsm["X_cicl"].tobytes() == adata.obsm["X_cicl"].tobytes()
"""


@pytest.mark.slow
def test_tutorial(tmp_path):
    """The last lines hold the promise of docs/api.md: the same bits before and after scanpy.tl.umap."""
    notebook = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    program = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "bin"), "MPLBACKEND": "agg"}
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    run = subprocess.run(
        [sys.executable, "-c", program + END], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
