"""Step integrate: where nothing can be corrected a warning says so, and the result is that of the cells as they are."""

import anndata
import numpy as np
import pytest
from click.testing import CliRunner
from sccicl.cli import main
from simulate import simulate_cells


@pytest.mark.parametrize(("lanes", "told"), [(None, "no column of batches"), (["one"], "all cells are of one batch")])
def test_without_batches_there_is_a_warning(lanes, told, tmp_path):
    cells = simulate_cells(n_cells=90, n_types=3)
    options = ["--device", "cpu", "--epochs", "1", "--min-steps", "1", "--n-clusters", "3"]
    if lanes:
        cells.obs["lane"] = lanes * 90
        options += ["--batch-col", "lane"]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    command = ["integrate", tmp_path / "cells.h5ad", "--id", "joined", "--outdir", tmp_path, *options]
    ended = CliRunner().invoke(main, [str(word) for word in command])
    assert ended.exit_code == 0 and f"WARNING: {told}" in ended.stderr
    found = anndata.read_h5ad(tmp_path / "joined.h5ad")
    assert any(told in warning for warning in found.uns["cicl"]["warnings"])
    assert np.isfinite(found.obsm["X_emb"]).all() and found.obs["joined"].nunique() == 3
